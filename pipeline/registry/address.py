"""Where MLflow is, how it behaves, and whether it answers: known without importing it."""

import os
import re
import socket
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from fedelta.features.errors import FedeltaError

DATABASE = Path("mlflow.db")
ARTIFACTS = Path("mlartifacts")
CONNECT_SECONDS = 5

# Read by MLflow: no telemetry, no chatter, and an answer in seconds. What the environment says already stands.
_SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_RECORD_ENV_VARS_IN_MODEL_LOGGING": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
}


class StoreError(FedeltaError):
    """MLflow cannot be reached, or refuses."""


def model_name(source: str) -> str:
    """The registered model of a source, which is also the experiment of its runs."""
    return f"fedelta-{source}"


def is_used() -> bool:
    """Whether anything can have been tracked: a server is named, or the project's own database exists."""
    return bool(os.environ.get("MLFLOW_TRACKING_URI")) or DATABASE.is_file()


def store_place() -> tuple[str, str | None]:
    """Where MLflow is, and where its files lie if that is ours to say."""
    if uri := os.environ.get("MLFLOW_TRACKING_URI"):
        return uri, None
    return f"sqlite:///{DATABASE.absolute()}", ARTIFACTS.absolute().as_uri()


def set_defaults() -> None:
    """Tell MLflow, before it is imported, how to behave where the environment says nothing."""
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)


def connect(uri: str) -> None:
    """Make sure that a server listens, before MLflow is imported and waits for it in silence.

    Raises
    ------
    StoreError
        If nothing listens there.
    """
    parts = urlsplit(uri)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return
    if parts.scheme in getproxies() and not proxy_bypass(parts.hostname):
        return
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
        socket.create_connection((parts.hostname, port), timeout=CONNECT_SECONDS).close()
    except (OSError, ValueError) as error:  # ValueError: a port that is none
        raise StoreError(unreachable(uri, str(error))) from None


def unreachable(uri: str, why: str) -> str:
    """What to tell of a server that does not answer."""
    return (
        f"No MLflow server answers at {without_password(uri)} ({why}). Start it, or correct MLFLOW_TRACKING_URI "
        f"(without it fedelta keeps its own {DATABASE}), then run the command again: it completes what is missing."
    )


def without_password(text: str) -> str:
    """A URI, or a text with one, as it may be shown."""
    return re.sub(r"(://[^:/@\s]*):\S*@", r"\1:***@", text)
