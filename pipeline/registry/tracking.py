"""How MLflow is opened: late, since importing it takes six CPU-seconds, and quietly."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from fedelta.pipeline.registry.address import connect, set_defaults, store_place

if TYPE_CHECKING:
    from fedelta.pipeline.registry.mlflow_store import Store


@contextmanager
def tracking(source: str) -> Iterator["Store"]:
    """The project's MLflow for a source, every decision of its log carried out.

    Raises
    ------
    StoreError
        See `pipeline.registry.mlflow_store.opened`.
    """
    uri, artifacts = store_place()
    connect(uri)
    set_defaults()
    from fedelta.pipeline.registry.mlflow_store import opened  # noqa: PLC0415 - after its settings

    with opened(uri, artifacts, source) as store:
        store.decisions.complete()
        yield store
