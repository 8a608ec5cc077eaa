"""An MLflow for each test: the project's own SQLite, or a real `mlflow server` over HTTP that tests share."""

import contextlib
import itertools
import os
import shutil
import socket
import subprocess
import sys
import time
import warnings
from functools import partial
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from made_once import end_with_the_run, made_once
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
def mlflow_server(mlflow_database: Path) -> Place:
    """A real `mlflow server` that keeps files itself, as a team has it; it ends with the run of the tests."""
    folder = made_once("mlflow-server", partial(_serve, mlflow_database))
    uri = (folder / "uri").read_text()
    for _ in range(900):
        with contextlib.suppress(URLError, OSError), urlopen(f"{uri}/health", timeout=2):
            return Place(uri, folder / "mlflow.db", folder / "artifacts", "shared")
        time.sleep(0.2)
    raise RuntimeError(f"mlflow server does not answer: {(folder / 'log').read_text()}")


def _serve(database: Path, making: Path) -> None:
    folder = making.with_name("mlflow-server")  # what it is called when it is made
    shutil.copy(database, making / "mlflow.db")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (making / "uri").write_text(f"http://127.0.0.1:{port}")
    places = (f"sqlite:///{folder / 'mlflow.db'}", folder / "artifacts")
    with (making / "log").open("w") as log:
        server = subprocess.Popen(
            [
                *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)),
                *("--workers", "1", "--backend-store-uri", places[0], "--artifacts-destination", str(places[1])),
            ],
            env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    end_with_the_run(server)


@pytest.fixture
def place(
    request: pytest.FixtureRequest, mlflow_database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Place:
    """An MLflow with nothing of the test's source in it: in the project's folder, or `on_a_server_too`."""
    if getattr(request, "param", "sqlite") == "server":
        server: Place = request.getfixturevalue("mlflow_server")
        monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
        return Place(server.uri, server.database, server.artifacts, f"shop{os.getpid()}_{next(_numbers)}")
    shutil.copy(mlflow_database, tmp_path / "mlflow.db")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return Place(f"sqlite:///{tmp_path / 'mlflow.db'}", tmp_path / "mlflow.db", tmp_path / "mlartifacts", "shop")
