"""What goes with a run beside its scores: what it says about itself, and the reports of its stages."""

from collections import OrderedDict
from collections.abc import Mapping
from functools import lru_cache, partial
from threading import Lock
from typing import TYPE_CHECKING, Any

import orjson

from fedelta.serve.operational.run_reports import read
from fedelta.serve.snapshots.reports import REPORTS
from fedelta.serve.store import Snapshot

if TYPE_CHECKING:
    from fedelta.serve.desk.page import Page

Json = Mapping[str, Any]

_KEPT = 32  # parsed, of all tenants
_kept: OrderedDict[tuple[str, str], Json | None] = OrderedDict()
_keeping = Lock()


@lru_cache(16)
def about(document: bytes) -> Json:
    """What a run says about itself: ``/v1/models/current``."""
    found: Json = orjson.loads(document)
    return found


async def report(page: "Page", name: str, snapshot: Snapshot | None = None) -> Json | None:
    """A report of the current run, or of another; None where it came without it. Raises ``Unavailable``."""
    run = snapshot or page.snapshot
    digest = about(run.about).get("reports", {}).get(name)
    if digest is None:
        return None
    key = (name, digest)
    with _keeping:
        if key in _kept:
            _kept.move_to_end(key)
            return _kept[key]
    document = await page.store.read(partial(read, tenant=page.person.tenant, snapshot_id=run.snapshot_id, name=name))
    found = None if document is None else await page.store.off_loop(orjson.loads, document)
    with _keeping:
        _kept[key] = found
        while len(_kept) > _KEPT:
            _kept.popitem(last=False)
    return found


def command_of(name: str) -> str:
    """The command that makes a report."""
    return REPORTS[name][1]
