"""An MLflow for each test: the project's own SQLite, or a real `mlflow server` over HTTP that tests share."""

import contextlib
import itertools
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from made_once import made_once
from mlflow_place import Place

from fedelta.pipeline.registry.address import set_defaults

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def mlflow_database() -> Path:
    """An empty MLflow; its tables take seconds to make."""
    return made_once("mlflow", _empty) / "mlflow.db"


def _empty(folder: Path) -> None:
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of MLflow and SQLAlchemy themselves
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        set_defaults()
        from mlflow import MlflowClient

        MlflowClient(f"sqlite:///{folder / 'mlflow.db'}").search_experiments()


@pytest.fixture(scope="session")
def mlflow_server(mlflow_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A real `mlflow server` that keeps files itself, as a team has it."""
    folder = tmp_path_factory.mktemp("server")
    shutil.copy(mlflow_database, folder / "mlflow.db")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    uri, artifacts = f"http://127.0.0.1:{port}", folder / "artifacts"
    database = f"sqlite:///{folder / 'mlflow.db'}"
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(
            [
                *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)),
                *("--workers", "1", "--backend-store-uri", database, "--artifacts-destination", str(artifacts)),
            ],
            env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        for _ in range(900):
            with contextlib.suppress(URLError, OSError), urlopen(f"{uri}/health", timeout=2):
                break
            assert server.poll() is None, (folder / "log").read_text()
            time.sleep(0.2)
        yield Place(uri, folder / "mlflow.db", artifacts, "shared")
    finally:
        os.killpg(server.pid, signal.SIGTERM)  # the server and its worker: a session of their own
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait(20)


@pytest.fixture
def place(
    request: pytest.FixtureRequest, mlflow_database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Place:
    """An MLflow with nothing of the test's source in it: in the project's folder, or `on_a_server_too`."""
    if getattr(request, "param", "sqlite") == "server":
        server: Place = request.getfixturevalue("mlflow_server")
        monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
        return Place(server.uri, server.database, server.artifacts, f"shop{next(_numbers)}")
    shutil.copy(mlflow_database, tmp_path / "mlflow.db")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return Place(f"sqlite:///{tmp_path / 'mlflow.db'}", tmp_path / "mlflow.db", tmp_path / "mlartifacts", "shop")
