"""The list narrowed by what people do with its customers: who owns their open cases, and who was contacted lately."""

import time
from collections import OrderedDict
from collections.abc import Iterator
from functools import partial
from threading import Lock
from weakref import WeakKeyDictionary

import polars as pl
import sqlalchemy as sa

from fedelta.serve.operational.tables import cases, from_now, treatments
from fedelta.serve.snapshots.listing import Filters
from fedelta.serve.snapshots.pages import bits
from fedelta.serve.snapshots.read import SnapshotFile
from fedelta.serve.store import Store

SECONDS = 1.0  # for which an answer of the database is used again: pages and dashboards ask for the same
_KEPT = 32  # of a snapshot

_keeping = Lock()
_kept: WeakKeyDictionary[SnapshotFile, OrderedDict[object, tuple[float, pl.Series]]] = WeakKeyDictionary()


async def narrowed(store: Store, tenant: str, file: SnapshotFile, filters: Filters) -> pl.Series | None:
    """A bit for each customer of the columns: whether they pass the filters on what people do. None: there are none.

    A change is seen within ``SECONDS``. Raises ``Unavailable`` as ``Store.read``.
    """
    key = (tuple(sorted(set(filters.owners))), filters.contacted_within, filters.not_contacted_within)
    if key == ((), None, None):
        return None
    with _keeping:
        held = _kept.setdefault(file, OrderedDict())
        at, known = held.get(key, (0.0, None))
    if known is not None and time.monotonic() - at < SECONDS:
        return known
    at = time.monotonic()
    found = await store.read(partial(_customers, tenant=tenant, filters=filters))
    passing = await store.off_loop(_bits, file, found)
    with _keeping:
        held[key] = (at, passing)
        held.move_to_end(key)
        while len(held) > _KEPT:
            held.popitem(last=False)
    return passing


def _customers(connection: sa.Connection, tenant: str, filters: Filters) -> list[tuple[list[str], bool]]:
    """For each filter the customers whom it names, and whether they pass or all others."""
    return [(list(connection.execute(which.distinct()).scalars()), passes) for which, passes in _asked(tenant, filters)]


def _asked(tenant: str, filters: Filters) -> Iterator[tuple[sa.Select[str], bool]]:
    if filters.owners:
        whose = sa.select(cases.c.customer_id).where(cases.c.tenant == tenant, cases.c.status != "done")
        yield whose.where(cases.c.owner.in_(sorted(set(filters.owners)))), True
    for days, passes in ((filters.contacted_within, True), (filters.not_contacted_within, False)):
        if days is not None:
            lately = sa.select(treatments.c.customer_id).where(treatments.c.tenant == tenant)
            yield lately.where(treatments.c.treated_at >= from_now(days=-days)), passes


def _bits(file: SnapshotFile, found: list[tuple[list[str], bool]]) -> pl.Series:
    masks = [bits(file, customers, value=passes) for customers, passes in found]
    passing = masks[0]
    for mask in masks[1:]:
        passing &= mask
    return passing
