"""Where MLflow is, and how it is opened: late, since importing it takes six CPU-seconds, and quietly."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.mlflow_store import Store

MODEL = "fedelta-churn"  # the registered model
DATABASE = Path("mlflow.db")
ARTIFACTS = Path("mlartifacts")

# Read when MLflow is imported: no telemetry, no chatter. What the environment says already stands.
_QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_RECORD_ENV_VARS_IN_MODEL_LOGGING": "false",
}


def is_used() -> bool:
    """Whether anything can have been tracked: a server is named, or the project's own database exists."""
    return bool(os.environ.get("MLFLOW_TRACKING_URI")) or DATABASE.is_file()


@contextmanager
def tracking() -> Iterator["Store"]:
    """The project's MLflow, every decision of the log carried out.

    Raises
    ------
    StoreError
        See `pipeline.mlflow_store.opened`.
    """
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    from pipeline.mlflow_store import opened  # noqa: PLC0415 - after its settings

    with opened(*_place()) as store:
        store.decisions.complete()
        yield store


def _place() -> tuple[str, str | None]:
    """Where MLflow is, and where its files lie if that is ours to say."""
    if uri := os.environ.get("MLFLOW_TRACKING_URI"):
        return uri, None
    return f"sqlite:///{DATABASE.absolute()}", ARTIFACTS.absolute().as_uri()
