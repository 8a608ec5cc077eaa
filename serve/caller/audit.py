"""Who read and changed what. Customers' ids are kept here, that is its purpose, and in no log."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from fedelta.serve.caller.batches import Batches


class Entry(NamedTuple):
    """One request of a known caller, or one that was refused to it."""

    at: float  # seconds since 1970
    tenant: str
    caller: str
    action: str  # the operation's name, as in OpenAPI
    status: int
    request_id: str
    customer_id: str | None
    noted: Mapping[str, object] | None  # what the route noted: further customers, filters


class Audit:
    """Entries of reads, written by a thread within a second. What changes something writes its entry with the change,
    in one transaction, and says so by ``audited`` in the request's state.
    """

    def __init__(self, write: Callable[[Sequence[Entry]], None]) -> None:
        self._entries: Batches[Entry] = Batches("audit", write, most=200_000)
        self.add = self._entries.add

    @property
    def dropped(self) -> int:
        """Entries that were not written."""
        return self._entries.dropped

    def close(self) -> None:
        """Write what is left."""
        self._entries.close()
