"""An MLflow that cannot be used says so in seconds and in one line, with what to do."""

import resource
import shutil
import socket
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from fedelta.pipeline.registry.address import StoreError, connect, set_defaults, without_password
from fedelta.pipeline.registry.tracking import tracking

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # MLflow warns of its own type hints when it is imported
    set_defaults()
    import mlflow

    import fedelta.pipeline.registry.mlflow_store  # noqa: F401

pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")  # of MLflow's own queries


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    return tmp_path


@contextmanager
def answering(status: int, body: str, kind: str = "text/html") -> Iterator[str]:
    """The address of a web server that says the same to every request."""

    class Same(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.end_headers()
            self.wfile.write(body.encode())

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Same) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def refused(monkeypatch: pytest.MonkeyPatch, uri: str) -> str:
    """The message about an MLflow that cannot be used: one line, within ten seconds."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    began = time.monotonic()
    with pytest.raises(StoreError) as failed, tracking("demo"):
        pass
    assert time.monotonic() - began < 10
    assert "\n" not in str(failed.value)
    return str(failed.value)


def test_a_server_that_is_down_is_reported_at_once_without_its_password(monkeypatch: pytest.MonkeyPatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    text = refused(monkeypatch, f"http://ann:secret@127.0.0.1:{port}")
    assert text.startswith(f"No MLflow server answers at http://ann:***@127.0.0.1:{port} (")
    assert "Start it, or correct MLFLOW_TRACKING_URI" in text


def test_a_server_of_no_such_name_is_reported_at_once(monkeypatch: pytest.MonkeyPatch):
    assert "No MLflow server answers at http://mlflow.invalid:5000 (" in refused(
        monkeypatch, "http://mlflow.invalid:5000"
    )


def test_a_server_that_dies_meanwhile_is_reported_as_one_that_does_not_answer(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setattr("fedelta.pipeline.registry.tracking.connect", lambda _: None)
    assert "No MLflow server answers at http://127.0.0.1:1 (API request" in refused(monkeypatch, "http://127.0.0.1:1")


def test_what_answers_through_a_proxy_is_not_asked_directly(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "")
    connect("http://mlflow.invalid:5000")
    monkeypatch.setenv("no_proxy", "mlflow.invalid")
    with pytest.raises(StoreError, match="No MLflow server answers"):
        connect("http://mlflow.invalid:5000")


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (401, "You are not authenticated.", "wants to know who asks (401). Set MLFLOW_TRACKING_USERNAME"),
        (
            403,
            '{"error_code": "PERMISSION_DENIED", "message": "no"}',
            "does not allow this (403): PERMISSION_DENIED: no",
        ),
        (403, "<html>Forbidden</html>", "does not allow this (403)"),
        (200, "<html>\nWelcome</html>", "There is a web server at http://127.0.0.1:"),
        (404, "<html>\nnot here</html>", "but no MLflow. MLFLOW_TRACKING_URI is the address of MLflow's start page"),
    ],
)
def test_what_a_server_answers_is_one_line_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch, status: int, body: str, words: str
):
    with answering(status, body) as uri:
        text = refused(monkeypatch, uri)
    assert words in text
    assert "html" not in text or status == 403


@pytest.mark.long
def test_a_path_behind_the_address_is_no_mlflow(mlflow_server, monkeypatch: pytest.MonkeyPatch):
    assert "without what follows it in the browser" in refused(monkeypatch, f"{mlflow_server.uri}/experiments")


def test_a_file_that_is_no_database_is_one_line(monkeypatch: pytest.MonkeyPatch, folder: Path):
    (folder / "mlflow.db").write_text("this is no database, " * 100)
    text = refused(monkeypatch, "")
    assert "file is not a database" in text
    assert "Check MLFLOW_TRACKING_URI" in text


def test_a_database_that_may_only_be_read_is_one_line(
    monkeypatch: pytest.MonkeyPatch, folder: Path, mlflow_database: Path
):
    shutil.copy(mlflow_database, folder / "mlflow.db")
    text = refused(monkeypatch, f"sqlite:///file:{folder}/mlflow.db?mode=ro&uri=true")
    assert "cannot write: " in text
    assert "readonly database" in text
    assert "Grant write access" in text


def test_a_folder_that_cannot_be_made_is_one_line(monkeypatch: pytest.MonkeyPatch, folder: Path):
    (folder / "file").write_text("not a folder")
    assert "MLflow at sqlite:///" in refused(monkeypatch, f"sqlite:///{folder}/file/mlflow.db")


def test_a_full_disk_is_one_line_and_the_next_run_completes(
    monkeypatch: pytest.MonkeyPatch, folder: Path, mlflow_database: Path
):
    shutil.copy(mlflow_database, folder / "mlflow.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))  # nothing grows beyond it, as on a full disk
    try:
        text = refused(monkeypatch, "")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "has no room" in text
    assert "Make room" in text
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    with tracking("demo") as store:
        assert store.decisions.read() == []


def test_settings_of_the_environment_stand(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "7")
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES")
    set_defaults()
    assert mlflow.environment_variables.MLFLOW_HTTP_REQUEST_TIMEOUT.get() == 7
    assert mlflow.environment_variables.MLFLOW_HTTP_REQUEST_MAX_RETRIES.get() == 2


def test_a_password_in_an_address_is_not_shown():
    assert without_password("postgresql://ann:se/cr@t@host/db") == "postgresql://ann:***@host/db"
    assert without_password("sqlite:///mlflow.db") == "sqlite:///mlflow.db"
    assert without_password("API request to https://ann:secret@host/x failed") == (
        "API request to https://ann:***@host/x failed"
    )
