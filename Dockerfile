# The service, (--target scoring) with what computes scores, and (--target mlflow) a server of MLflow. docs/operations.md
# says how they are run.

FROM python:3.13-slim AS installer
WORKDIR /src
COPY requirements/uv.txt requirements/build.txt requirements/
RUN python -m pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements/uv.txt -r requirements/build.txt
ENV UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never

FROM installer AS built
COPY requirements/serve.txt requirements/
RUN python -m venv --without-pip /opt/fedelta \
 && uv pip install --python /opt/fedelta/bin/python --require-hashes -r requirements/serve.txt
COPY . .
RUN python -m pip wheel --disable-pip-version-check --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheels . \
 && uv pip install --python /opt/fedelta/bin/python --no-deps /wheels/*.whl \
 && install -d -m 0700 /var/lib/fedelta

FROM built AS scoring-built
COPY requirements/scoring.txt requirements/
RUN uv pip install --python /opt/fedelta/bin/python --require-hashes -r requirements/scoring.txt

# LightGBM needs OpenMP's library, which the slim image lacks.
FROM python:3.13 AS openmp
RUN install -D -m 0644 /usr/lib/*-linux-gnu/libgomp.so.1 /opt/openmp/libgomp.so.1

FROM installer AS mlflow-built
COPY requirements/mlflow.txt requirements/
RUN python -m venv --without-pip /opt/mlflow \
 && uv pip install --python /opt/mlflow/bin/python --require-hashes -r requirements/mlflow.txt \
 && install -d -m 0700 /var/lib/mlflow

FROM python:3.13-slim AS mlflow
COPY --from=mlflow-built /opt/mlflow /opt/mlflow
COPY --from=mlflow-built --chown=10001:10001 /var/lib/mlflow /var/lib/mlflow
ENV PATH=/opt/mlflow/bin:$PATH HOME=/tmp MLFLOW_DISABLE_TELEMETRY=true DO_NOT_TRACK=true
WORKDIR /var/lib/mlflow
USER 10001:10001
EXPOSE 5000
HEALTHCHECK --start-period=60s --interval=30s --timeout=5s \
  CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:5000/health', timeout=4)"]
ENTRYPOINT ["mlflow"]
CMD ["server", "--host", "0.0.0.0", "--backend-store-uri", "sqlite:////var/lib/mlflow/mlflow.db", "--artifacts-destination", "/var/lib/mlflow/artifacts"]

FROM python:3.13-slim AS served
COPY --from=built --chown=10001:10001 /var/lib/fedelta /var/lib/fedelta
ENV PATH=/opt/fedelta/bin:$PATH HOME=/tmp \
    FEDELTA_DATABASE_URL=sqlite:////var/lib/fedelta/fedelta.db FEDELTA_SNAPSHOTS=/var/lib/fedelta/snapshots
WORKDIR /var/lib/fedelta
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --start-period=20s --interval=10s --timeout=5s \
  CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
ENTRYPOINT ["fedelta"]
CMD ["serve", "--host", "0.0.0.0"]

FROM served AS scoring
COPY --from=openmp /opt/openmp /opt/openmp
COPY --from=scoring-built /opt/fedelta /opt/fedelta
ENV LD_LIBRARY_PATH=/opt/openmp

FROM served AS service
COPY --from=built /opt/fedelta /opt/fedelta
