"""``fedelta export-treatments``: what the service collected, as the stage ``measure`` reads treatments."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl
import sqlalchemy as sa

from fedelta.features.contract import TREATMENTS
from fedelta.serve.operational.database import Database
from fedelta.serve.operational.tables import DEFAULT_TENANT, entries, outcomes, treatments

_CONTACT_TOOK_PLACE = {"reached", "offered", "accepted", "saved"}
_NEVER = "9"  # is later than any time that is stored
_Stored = sa.Row[tuple[object, ...]]
_Row = dict[str, object]


def collected(connection: sa.Connection, tenant: str) -> pl.DataFrame:
    """Entries and contacts of a tenant in the columns of ``features.contract.TREATMENTS``, in order of time.

    An entry of who was to be contacted has the contacts made since, up to the next entry: their cost, whether one took
    place, the last outcome. A contact that no such entry precedes is an entry itself, also with a customer of the
    control group: it is the truth. So is an outcome of a contact that nobody recorded.
    """
    entered = _by_customer(connection, entries, tenant, entries.c.entered_at)
    made = _by_customer(connection, treatments, tenant, treatments.c.treated_at)
    came = _by_customer(connection, outcomes, tenant, outcomes.c.occurred_at)
    rows = [
        row
        for customer_id in sorted(entered.keys() | made.keys() | came.keys())
        for row in _rows(entered[customer_id], made[customer_id], came[customer_id])
    ]
    times = [name for name, dtype in TREATMENTS.items() if isinstance(dtype, pl.Datetime)]
    frame = pl.DataFrame(rows, schema={**TREATMENTS, **dict.fromkeys(times, pl.String())})
    frame = frame.with_columns(pl.col(times).str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_unit="us", time_zone="UTC"))
    return frame.sort("treated_at", "customer_id", "arm", "action", "campaign", maintain_order=True)


def main(folder: Path, database_url: str | None = None, *, tenant: str = DEFAULT_TENANT) -> None:
    """Write what was collected to a file of ``folder``, in place of the one written before, and say how much it is.

    Raises
    ------
    DatabaseError
        If the database cannot be read.
    """
    database = Database.at(database_url)
    database.migrate()
    with database.engine() as engine, engine.execution_options(reads=True).begin() as connection:
        frame = collected(connection, tenant)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"service-{tenant}.parquet"
    unfinished = path.with_suffix(".unfinished")
    frame.write_parquet(unfinished)
    unfinished.replace(path)
    held_out = frame.filter(arm="held_out").height
    print(f"{path}: {frame.height - held_out:,} treated, {held_out:,} held out.")


def _by_customer(
    connection: sa.Connection, table: sa.Table, tenant: str, order: sa.ColumnElement[object]
) -> defaultdict[str, list[_Stored]]:
    found: defaultdict[str, list[_Stored]] = defaultdict(list)
    for row in connection.execute(sa.select(table).where(table.c.tenant == tenant).order_by(order, table.c.id)):
        found[row.customer_id].append(row)
    return found


def _rows(entered: Sequence[_Stored], made: Sequence[_Stored], came: Sequence[_Stored]) -> Iterator[_Row]:
    """The rows of one customer."""
    used: set[int] = set()  # treatments that belong to an entry
    known: set[int] = set()  # outcomes that belong to a row
    ends = [*(later.entered_at for later in entered[1:]), _NEVER]
    for entry, until in zip(entered, ends, strict=False):
        its: list[_Stored] = []
        of_them: list[_Stored] = []
        if entry.arm == "treated":
            its = [one for one in made if entry.entered_at <= one.treated_at < until]
            used |= {one.id for one in its}
            of_them = [
                outcome
                for outcome in came
                if outcome.treatment_id in used
                or (outcome.treatment_id is None and entry.entered_at <= outcome.occurred_at < until)
            ]
            of_them = [outcome for outcome in of_them if outcome.id not in known]
            known |= {outcome.id for outcome in of_them}
        yield _described(entry, entry.entered_at, entry.arm) | _result(its, of_them)
    for one in made:
        if one.id not in used:
            of_it = [outcome for outcome in came if outcome.treatment_id == one.id]
            known |= {outcome.id for outcome in of_it}
            yield _described(one, one.treated_at, "treated") | _result([one], of_it)
    for outcome in came:
        if outcome.id not in known and outcome.outcome != "lost":
            nothing = dict.fromkeys(_DESCRIBED) | {"customer_id": outcome.customer_id}
            yield {**nothing, "treated_at": outcome.occurred_at, "arm": "treated"} | _result([], [outcome])


_DESCRIBED = ("customer_id", "campaign", "action", "churn_probability", "expected_value")


def _described(row: _Stored, at: str, arm: str) -> _Row:
    return {"treated_at": at, "arm": arm, **{name: getattr(row, name) for name in _DESCRIBED}}


def _result(contacts: Sequence[_Stored], came: Sequence[_Stored]) -> _Row:
    """What some contacts cost, and what came of them."""
    costs = [one.cost for one in contacts]
    names = {outcome.outcome for outcome in came}
    reached = True if names & _CONTACT_TOOK_PLACE else False if names == {"no_answer"} else None
    return {
        "reached": reached,
        "cost": sum(costs) if costs and None not in costs else None,
        "outcome": came[-1].outcome if came else None,
        "outcome_at": came[-1].occurred_at if came else None,
    }
