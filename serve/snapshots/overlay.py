"""The scores that were made anew since a snapshot, in memory: they are read in place of the snapshot's."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from fedelta.serve.operational.erased import Erased
from fedelta.serve.operational.received import Live
from fedelta.serve.operational.tables import precisely

_MARGIN = 15.0  # seconds: a transaction that takes longer is not written


class Overlay:
    """Of one snapshot; for any thread."""

    def __init__(self) -> None:
        self._by_id: dict[str, Live] = {}
        self._by_row: dict[int, bytes] = {}
        self.seen = ""  # the time of the latest change that was looked at

    @property
    def again_from(self) -> str:
        """From when changes are looked at again: what was written before ``seen`` may be seen after it."""
        if not self.seen:
            return ""
        return precisely(datetime.fromisoformat(self.seen) - timedelta(seconds=_MARGIN))

    def get(self, customer_id: str) -> Live | None:
        """The live score of a customer."""
        return self._by_id.get(customer_id)

    def among(self, customer_ids: Iterable[str]) -> dict[str, memoryview]:
        """The live documents of these customers, of those who have one."""
        held = self._by_id
        return {name: memoryview(held[name].document) for name in customer_ids if name in held} if held else {}

    @property
    def by_row(self) -> Mapping[int, bytes]:
        """Documents by the row of the snapshot that they take the place of."""
        return self._by_row

    def newer(self, changes: Iterable[tuple[str, int]]) -> list[str]:
        """The customers among (customer, revision) of whom it has an older revision, or none."""
        held = self._by_id
        return [name for name, revision in changes if name not in held or held[name].revision < revision]

    def put(self, scores: Iterable[Live], rows: Mapping[str, int]) -> None:
        """Take scores over, unless it has newer ones; ``rows`` are those of the customers who are in the snapshot."""
        for one in scores:
            held = self._by_id.get(one.customer_id)
            if held is not None and held.revision > one.revision:
                continue
            self._by_id[one.customer_id] = one
            if (row := rows.get(one.customer_id)) is not None:
                self._by_row[row] = one.document

    def drop(self, erased: Erased) -> None:
        """Let go of who was erased."""
        for customer_id in [one for one in self._by_id if one in erased]:
            self._by_id.pop(customer_id, None)
        for row in erased.rows:
            self._by_row.pop(row, None)
