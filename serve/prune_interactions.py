"""Received interactions that the pipeline has: taken out of the database once files and every kept run hold them.

What an export had stays known (``received_exports``), so that its file is neither numbered anew nor written without
them. A score that was made anew upon them counts as many fewer, so that the next interaction is still one more.
"""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack, closing
from datetime import datetime
from pathlib import Path

import polars as pl
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from fedelta.serve.operational.pointer import kept
from fedelta.serve.operational.tables import live_scores, precisely, received_exports, received_interactions
from fedelta.serve.snapshots.histories import Histories
from fedelta.serve.snapshots.parts import Parts

AT_ONCE = 1_000
_PAIR = ("customer_id", "interaction_id")


def prune(engine: sa.Engine, folder: Path, tenant: str, exports: Collection[int], before: datetime) -> int:
    """Take out the interactions of these exports that were received before a time and all kept runs hold; how many.

    A run holds an interaction that was received before it was published, counts from before its ``as_of`` and is in its
    histories, under the same customer. Where a kept run has no histories nobody can tell, and nothing is taken out.

    Parameters
    ----------
    folder : of the tenant's snapshots
    exports : numbers of those whose files are whole
    """
    with engine.execution_options(reads=True).begin() as connection:
        runs = kept(connection, tenant)
    parts = [Parts.of(folder, one.scoring) if one.scoring else None for one in runs]
    places = [one.histories for one in parts if one is not None and one.histories is not None]
    ends = [one.as_of for one in runs if one.as_of is not None]
    if not runs or not exports or len(places) < len(runs) or len(ends) < len(runs):
        return 0
    received = min(before, *(datetime.fromisoformat(one.published_at) for one in runs))
    until = min(datetime.fromisoformat(at) for at in ends)
    pruned, last = 0, 0
    with ExitStack() as stack:
        histories = [stack.enter_context(closing(Histories(Path(one)))) for one in dict.fromkeys(places)]
        while True:
            table = received_interactions
            which = sa.select(table.c.id, table.c.customer_id, table.c.interaction_id).where(
                table.c.tenant == tenant,
                table.c.id > last,
                table.c.export.in_(exports),
                table.c.received_at < precisely(received),
                table.c.counts_from < precisely(until),
            )
            with engine.execution_options(reads=True).begin() as connection:
                rows = connection.execute(which.order_by(table.c.id).limit(AT_ONCE)).all()
            if not rows:
                return pruned
            last = rows[-1].id
            held = _held([(row.customer_id, row.interaction_id) for row in rows], histories)
            ids = [row.id for row in rows if (row.customer_id, row.interaction_id) in held]
            with engine.begin() as connection:
                pruned += _take_out(connection, tenant, ids)


def pruned_of(connection: sa.Connection, tenant: str) -> dict[int, int]:
    """How many interactions of each export were taken out."""
    table = received_exports
    rows = connection.execute(sa.select(table.c.number, table.c.pruned).where(table.c.tenant == tenant))
    return {row.number: row.pruned for row in rows}


def set_pruned(connection: sa.Connection, tenant: str, counts: Mapping[int, int], *, more: bool) -> None:
    """Write down how many interactions of exports were taken out, or how many more."""
    insert: Callable[[sa.Table], sqlite.Insert | postgresql.Insert] = (
        sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    )
    table = received_exports
    for number, count in sorted(counts.items()):
        value = table.c.pruned + count if more else count
        row = insert(table).values(tenant=tenant, number=number, pruned=count)
        connection.execute(row.on_conflict_do_update(index_elements=["tenant", "number"], set_={"pruned": value}))


def _held(pairs: Sequence[tuple[str, str]], histories: Sequence[Histories]) -> set[tuple[str, str]]:
    """Those of (customer, interaction) that all histories have."""
    found, names = set(pairs), list(dict.fromkeys(name for name, _ in pairs))
    ids = pl.Series([one for _, one in pairs], dtype=pl.String)
    for each in histories:
        known = each.interactions(names).filter(pl.col("interaction_id").is_in(ids.implode()))
        found &= set(known.select(_PAIR).rows())
    return found


def _take_out(connection: sa.Connection, tenant: str, ids: Sequence[int]) -> int:
    table, live = received_interactions, live_scores
    if not ids:
        return 0
    gone = connection.execute(table.delete().where(table.c.id.in_(ids)).returning(table.c.export, table.c.customer_id))
    rows = gone.all()
    set_pruned(connection, tenant, Counter(row.export for row in rows), more=True)
    for name, count in sorted(Counter(row.customer_id for row in rows).items()):
        mine = sa.and_(live.c.tenant == tenant, live.c.customer_id == name)
        connection.execute(live.update().where(mine).values(interactions=live.c.interactions - count))
    return len(rows)
