"""What a run means for cases: it opens those that are due, refreshes those that are open, and never doubles one.

It also notes who came onto the list, and who of the control group would have: what is measured later compares the two.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import orjson
import polars as pl
import sqlalchemy as sa

from fedelta.features.contract import SCORES
from fedelta.models.incrementality.recording import entries_of
from fedelta.serve.acting.actor import Actor
from fedelta.serve.acting.cases import (
    AWAKE,
    Case,
    Filters,
    at_first_step,
    case_rows,
    closing,
    event_of,
    insert_case,
)
from fedelta.serve.acting.customers import Facts, documents, facts_in, facts_of, storable
from fedelta.serve.acting.playbooks import Step, steps_of
from fedelta.serve.acting.treatments import utc
from fedelta.serve.operational.database import Database
from fedelta.serve.operational.statements import AT_ONCE, in_parts
from fedelta.serve.operational.tables import DEFAULT_TENANT, case_notes, cases, entries, from_now, now, treatments
from fedelta.serve.snapshots.current import current_run
from fedelta.serve.snapshots.read import SnapshotFile
from fedelta.serve.store import NothingPublished

ACTOR = "fedelta cases update"
QUIET_DAYS = 30
_HORIZON_DAYS = 90  # where the run names none
_BY_RUNS = ("lapsed", "withdrawn")
_ENTERED = (
    "customer_id", "action", "best_action", "offer", "expected_profit", "contact_cost", "held_out",
    "suppression_reason", "churn_probability", "clv_expected",
)  # fmt: skip


@dataclass
class Updated:
    """What an update did."""

    opened: int = 0
    refreshed: int = 0
    woken: int = 0
    lapsed: int = 0
    withdrawn: int = 0
    treated: int = 0
    held_out: int = 0

    def __str__(self) -> str:
        return (
            f"Cases: {self.opened:,} opened, {self.refreshed:,} refreshed, {self.woken:,} awake again, {self.lapsed:,} "
            f"lapsed, {self.withdrawn:,} withdrawn. Entered: {self.treated:,} to be contacted, {self.held_out:,} of "
            "the control group."
        )


def update_cases(
    engine: sa.Engine,
    actor: Actor,
    file: SnapshotFile,
    *,
    campaign: str | None = None,
    playbook: str | None = None,
    quiet_days: float = QUIET_DAYS,
) -> Updated:
    """Bring the cases of a tenant to the current run. Doing it again does nothing more.

    A case is opened for each customer with a planned action, unless one that a run opened is not done, or somebody
    closed one in the last ``quiet_days``. It is for the main reason of the score. An open case has the priority of this
    run; a snoozed one is open again when what it waits for has happened. A case that nobody has touched lapses when the
    customer is no longer on the list, and one of a customer who must not be contacted any more is withdrawn.

    Work is in parts, a transaction each, so that others can write meanwhile.

    Parameters
    ----------
    campaign : what the entries are noted under
    playbook : that the cases which are opened follow

    Raises
    ------
    NotAllowed
        If there is no such playbook.
    """
    done, at = Updated(), now()
    with engine.begin() as connection:
        steps = steps_of(connection, actor.tenant, playbook)
    planned = [one for one in _planned(file)["customer_id"].to_list() if storable(one)]
    _refresh(engine, actor, file, frozenset(planned), done)
    for some in in_parts(planned):
        with engine.begin() as connection:
            _open(connection, actor, file, some, playbook, steps, quiet_days, done)
    for part in _entered(file).iter_slices(AT_ONCE):
        with engine.begin() as connection:
            _enter(connection, actor, file, part, campaign, at, done)
    with engine.begin() as connection:
        counted = {name: getattr(done, name) for name in Updated.__dataclass_fields__}
        actor.note(connection, "cases.updated", file.snapshot_id, **counted)
    return done


def wake_cases(connection: sa.Connection, actor: Actor, scores: Mapping[str, bytes]) -> int:
    """Open the cases that are snoozed until something that scores made anew show; how many.

    Parameters
    ----------
    scores : the documents by customer
    """
    woken = 0
    for some in in_parts(sorted(scores)):
        waits = sa.and_(cases.c.customer_id.in_(some), cases.c.snoozed_until_event.is_not(None))
        for case, facts_then in case_rows(connection, actor.tenant, Filters(status=("snoozed",)), waits):
            facts = facts_in(scores[case.customer_id])
            if event_of(case, facts_then, facts):
                _set(connection, actor, case, None, {"status": "open", **AWAKE}, facts)
                woken += 1
    return woken


def main(
    database_url: str | None = None,
    *,
    tenant: str = DEFAULT_TENANT,
    campaign: str | None = None,
    playbook: str | None = None,
    quiet_days: float = QUIET_DAYS,
) -> None:
    """Bring the cases of a tenant to its current run, and say what was done.

    Raises
    ------
    DatabaseError, SnapshotUnreadable, NotAllowed
    NothingPublished
        If no run is current.
    """
    database = Database.at(database_url)
    database.migrate()
    with database.engine() as engine:
        file = current_file(engine, database, tenant)
        actor = Actor(tenant, ACTOR, database)
        done = update_cases(engine, actor, file, campaign=campaign, playbook=playbook, quiet_days=quiet_days)
    print(done)


def current_file(engine: sa.Engine, database: Database, tenant: str) -> SnapshotFile:
    """The current run of a tenant. Raises ``NothingPublished`` and ``SnapshotUnreadable``."""
    if (found := current_run(engine, database, tenant)) is None:
        raise NothingPublished(f"Nothing is published for the tenant {tenant!r}: run `fedelta publish` first.")
    return found[1]


def _planned(file: SnapshotFile) -> pl.DataFrame:
    """Who is to be contacted, most value at risk first."""
    frame = _columns(file, "customer_id", "action", "held_out", "suppressed", "expected_profit")
    return frame.filter(pl.col("action").is_not_null(), ~pl.col("held_out"), ~pl.col("suppressed"))


def _columns(file: SnapshotFile, *names: str) -> pl.DataFrame:
    return pl.DataFrame({name: file.column(name) for name in names})


def _refresh(engine: sa.Engine, actor: Actor, file: SnapshotFile, planned: frozenset[str], done: Updated) -> None:
    with engine.execution_options(reads=True).begin() as connection:
        rows = case_rows(connection, actor.tenant, Filters(status=("open", "snoozed")))
    for some in in_parts(rows):
        known = facts_of(file, {case.customer_id for case, _ in some})
        with engine.begin() as connection:
            touched = _touched(connection, [case.id for case, _ in some])
            for case, facts_then in some:
                if (facts := known.get(case.customer_id)) is not None:
                    values = _news(case, facts_then, facts, case.customer_id in planned or case.id in touched, done)
                    _set(connection, actor, case, file.snapshot_id, values, facts)


def _news(case: Case, facts_then: str | None, facts: Facts, wanted: bool, done: Updated) -> dict[str, object]:
    """What a run changes of a case, its priority apart."""
    if not facts.contactable:
        done.withdrawn += 1
        return closing("withdrawn")
    if case.status == "snoozed" and event_of(case, facts_then, facts):
        done.woken += 1
        return {"status": "open", **AWAKE}
    untouched = case.opened_in is not None and case.owner is None and case.outcome is None and case.status == "open"
    if untouched and not wanted:
        done.lapsed += 1
        return closing("lapsed")
    done.refreshed += 1
    return {}


def _set(
    connection: sa.Connection,
    actor: Actor,
    case: Case,
    snapshot_id: str | None,
    values: dict[str, object],
    facts: Facts,
) -> None:
    """A priority alone is no change that others could overwrite, so the revision stays.

    Without a ``snapshot_id`` the facts are those since the last run.
    """
    values = {**values, "priority": facts.value_at_risk, "updated_in": snapshot_id or case.updated_in}
    if "status" in values:
        values |= {"updated_at": now(), "revision": case.revision + 1}
        actor.note(connection, "case.changed", case.customer_id, case_id=case.id, fields=["status"])
    unchanged = sa.and_(cases.c.id == case.id, cases.c.revision == case.revision)
    connection.execute(cases.update().where(unchanged).values(values))


def _touched(connection: sa.Connection, case_ids: Sequence[int]) -> set[int]:
    """Those with a note or a treatment."""
    return {
        number
        for table in (case_notes, treatments)
        for (number,) in connection.execute(sa.select(table.c.case_id).where(table.c.case_id.in_(case_ids)))
    }


def _open(
    connection: sa.Connection,
    actor: Actor,
    file: SnapshotFile,
    customer_ids: Sequence[str],
    playbook: str | None,
    steps: Sequence[Step],
    quiet_days: float,
    done: Updated,
) -> None:
    since = from_now(days=-quiet_days)
    closed_lately = sa.and_(cases.c.closed_at >= since, sa.func.coalesce(cases.c.outcome, "").not_in(_BY_RUNS))
    busy = sa.select(cases.c.customer_id).where(
        cases.c.tenant == actor.tenant,
        cases.c.customer_id.in_(customer_ids),
        cases.c.opened_in.is_not(None),
        sa.or_(cases.c.status != "done", closed_lately),
    )
    served = set(connection.execute(busy).scalars()) | actor.erased(connection, customer_ids)
    known = facts_of(file, [one for one in customer_ids if one not in served])
    for facts in known.values():
        reason = facts.main_reason or (facts.action or "").replace(" ", "_")
        values: dict[str, object] = {"due_on": facts.contact_on}
        if playbook is not None:
            values |= at_first_step(playbook, steps)
        if insert_case(connection, actor, reason, facts, file.snapshot_id, values, by_run=True) is not None:
            done.opened += 1


def _entered(file: SnapshotFile) -> pl.DataFrame:
    """The entries of the run, of both arms by one rule: the columns of ``features.contract.TREATMENTS``."""
    planned = _planned(file)
    if planned.is_empty():
        return pl.DataFrame()
    everybody = _columns(file, "customer_id", "action", "held_out", "suppressed", "expected_profit")
    profit = pl.col("expected_profit")
    free = everybody.filter(~pl.col("suppressed"), profit >= planned["expected_profit"].min())
    # Of equal profits the list may end between two: then the first who is not on it says where.
    tied = free.filter(
        pl.col("action").is_null(), ~pl.col("held_out"), profit.is_in(planned["expected_profit"].implode())
    )
    ids = [*planned["customer_id"], *free.filter("held_out")["customer_id"], *tied["customer_id"]]
    rows = [orjson.loads(document) for _, document in documents(file, ids)]
    schema = {name: SCORES[name] for name in _ENTERED}
    scores = pl.DataFrame([{name: row[name] for name in _ENTERED} for row in rows], schema=schema)
    return entries_of(scores, datetime.now(UTC))


def _enter(
    connection: sa.Connection,
    actor: Actor,
    file: SnapshotFile,
    entered: pl.DataFrame,
    campaign: str | None,
    at: str,
    done: Updated,
) -> None:
    """Note the entries of customers who have none whose horizon is not over."""
    horizon = timedelta(days=_horizon(file, entered["customer_id"][0]))
    since = utc(datetime.fromisoformat(at) - horizon)
    customer_ids = entered["customer_id"].to_list()
    lately = sa.select(entries.c.customer_id).where(
        entries.c.tenant == actor.tenant,
        entries.c.customer_id.in_(customer_ids),
        entries.c.entered_at > since,
    )
    noted = set(connection.execute(lately).scalars()) | actor.erased(connection, customer_ids)
    rows = [
        {
            "tenant": actor.tenant,
            "entered_at": at,
            "snapshot_id": file.snapshot_id,
            "campaign": campaign,
            **{name: row[name] for name in ("customer_id", "action", "arm", "churn_probability", "expected_value")},
        }
        for row in entered.iter_rows(named=True)
        if row["customer_id"] not in noted
    ]
    if rows:
        connection.execute(entries.insert(), rows)
    done.treated += sum(row["arm"] == "treated" for row in rows)
    done.held_out += sum(row["arm"] == "held_out" for row in rows)


def _horizon(file: SnapshotFile, customer_id: str) -> int:
    for _, document in documents(file, [customer_id]):
        return orjson.loads(document)["horizon_days"] or _HORIZON_DAYS
    return _HORIZON_DAYS
