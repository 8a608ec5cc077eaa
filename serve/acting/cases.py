"""Cases: one open matter per customer and reason, who owns it, when it is due, what comes next."""

import secrets
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from typing import Annotated, Literal

import orjson
import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict, Field, with_config
from typing_extensions import TypedDict  # pydantic needs this one before Python 3.12

from fedelta.features.contract import RISK_TIERS
from fedelta.serve.acting.actor import Actor
from fedelta.serve.acting.customers import Facts, Text, facts_of, must_be_contactable, must_not_be, shown
from fedelta.serve.acting.paging import Order
from fedelta.serve.acting.playbooks import Step, steps_of
from fedelta.serve.acting.refusals import AlreadyOpen, ChangedMeanwhile, NotAllowed, UnknownCase
from fedelta.serve.operational.statements import in_parts
from fedelta.serve.operational.tables import cases, now
from fedelta.serve.snapshots.read import SnapshotFile

CaseStatus = Literal["open", "snoozed", "done"]
Event = Literal["bad_experience", "tier_up", "purchase"]
Outcome = Literal["reached", "no_answer", "offered", "accepted", "saved", "lost"]
CaseOutcome = Literal[Outcome, "lapsed", "withdrawn"]
Sort = Literal["priority", "due", "updated"]
MOST_IN_BULK = 10_000


class Case(BaseModel):
    """One matter of one customer."""

    id: int
    customer_id: str
    reason: str = Field(description="what it is about: the code of a reason, or a word of your own")
    status: CaseStatus = Field(description="a snoozed one is open again from `snoozed_until` on")
    owner: str | None
    due_on: date | None
    priority: float = Field(description="the customer's value at risk in the run that was looked at last")
    next_action: str | None
    snoozed_until: date | None
    snoozed_until_event: Event | None
    playbook: str | None
    step: int | None = Field(description="of the playbook; 0 is the first")
    started_on: date | None = Field(description="the playbook")
    opened_at: datetime
    opened_by: str
    opened_in: str | None = Field(description="the scoring run that opened it; null: somebody did")
    updated_at: datetime
    updated_in: str | None = Field(description="the scoring run that last set the priority")
    closed_at: datetime | None
    outcome: CaseOutcome | None = Field(
        description="of the last contact; lapsed: it was nobody's and the customer is no longer on the list; "
        "withdrawn: the customer must not be contacted any more"
    )
    outcome_reason: str | None
    revision: int = Field(description="counts the changes; the ETag")


Owner = Annotated[Text, Field(min_length=1, max_length=100)]
Reason = Annotated[Text, Field(min_length=1, max_length=100)]
Words = Annotated[Text, Field(min_length=1, max_length=2_000)]
PlaybookName = Annotated[Text, Field(min_length=1, max_length=60)]


@with_config(ConfigDict(extra="forbid"))
class Draft(TypedDict, total=False):
    """What a case is opened with."""

    owner: Owner | None
    due_on: date | None
    next_action: Words | None
    playbook: PlaybookName | None


@with_config(ConfigDict(extra="forbid"))
class Change(Draft, total=False):
    """What changes of a case; what is not named stays."""

    status: CaseStatus
    snoozed_until: date | None
    snoozed_until_event: Event | None
    step: Annotated[int, Field(ge=0, le=1_000)]
    outcome: Outcome
    outcome_reason: Words | None


@dataclass(frozen=True)
class Filters:
    """Which cases; None and () let all pass."""

    status: Sequence[CaseStatus] = ()
    owner: str | None = None
    unassigned: bool = False
    due_before: date | None = None  # that day itself not; without a due date: not
    customer_id: str | None = None
    reason: str | None = None
    min_priority: float | None = None


@dataclass(frozen=True)
class BulkReceipt:
    """What a change in bulk did, or would do."""

    receipt_id: str | None  # in the audit; None of a dry run
    matched: int
    changed: int
    refused: int  # whose customers must not be contacted, or whom the run does not know
    case_ids: list[int]  # that were changed, or would be


def open_case(
    connection: sa.Connection, actor: Actor, customer_id: str, reason: str, draft: Draft, file: SnapshotFile
) -> Case:
    """Open a case.

    Raises
    ------
    UnknownCustomer, InControlGroup, OptedOut, WasErased
        If the customer must not be contacted.
    AlreadyOpen
        If there is one for this customer and reason that is not done.
    NotAllowed
        If there is no such playbook.
    """
    facts = must_be_contactable(customer_id, facts_of(file, [customer_id]))
    must_not_be(actor.erased(connection, [customer_id]), customer_id)
    values = _from_draft(draft, steps_of(connection, actor.tenant, draft.get("playbook")))
    case_id = insert_case(connection, actor, reason, facts, file.snapshot_id, values)
    if case_id is None:
        found = sa.select(cases.c.id).where(
            cases.c.tenant == actor.tenant, cases.c.customer_id == customer_id, cases.c.reason == reason, _not_done()
        )
        number = connection.execute(found).scalar_one_or_none()
        raise AlreadyOpen(
            f"There is a case of {shown(customer_id)} for {reason!r} that is not done, {number}: change that one."
        )
    return read_case(connection, actor.tenant, case_id)


def insert_case(
    connection: sa.Connection,
    actor: Actor,
    reason: str,
    facts: Facts,
    snapshot_id: str,
    values: dict[str, object],
    *,
    by_run: bool = False,
) -> int | None:
    """The number of a new case of a customer who may be contacted; None where one for the reason is not done."""
    at = now()
    row = {
        "tenant": actor.tenant,
        "customer_id": facts.customer_id,
        "reason": reason,
        "status": "open",
        "priority": facts.value_at_risk,
        "opened_at": at,
        "opened_by": actor.name[:100],
        "opened_in": snapshot_id if by_run else None,
        "updated_at": at,
        "updated_in": snapshot_id,
        "revision": 1,
        **values,
    }
    try:
        with connection.begin_nested():
            case_id = connection.execute(cases.insert().values(row)).inserted_primary_key
    except sa.exc.IntegrityError:
        return None
    assert case_id is not None
    number: int = case_id[0]
    actor.note(connection, "case.opened", facts.customer_id, case_id=number, reason=reason)
    return number


def read_case(connection: sa.Connection, tenant: str, case_id: int) -> Case:
    """One case. Raises ``UnknownCase``."""
    row = connection.execute(_shown().where(cases.c.tenant == tenant, cases.c.id == case_id)).mappings().first()
    if row is None:
        raise UnknownCase(f"There is no case {case_id}.")
    return Case.model_validate(dict(row))


def list_cases(
    connection: sa.Connection,
    tenant: str,
    filters: Filters,
    *,
    sort: Sort = "priority",
    limit: int = 100,
    after: str | None = None,
) -> tuple[list[Case], str | None]:
    """A page of cases and the cursor of the next one; see ``paging``."""
    which = _shown().where(*_conditions(tenant, filters))
    rows, following = _ORDERS[sort].page(connection, which, limit, after, repr((tenant, sort, asdict(filters))))
    return [Case.model_validate(dict(row)) for row in rows], following


def case_rows(
    connection: sa.Connection, tenant: str, filters: Filters, *further: sa.ColumnElement[bool]
) -> list[tuple[Case, str | None]]:
    """All cases that pass the filters, in order of number, each with the facts by which an event is recognised."""
    which = _shown().add_columns(cases.c.snoozed_facts).where(*_conditions(tenant, filters), *further)
    which = which.order_by(cases.c.id)
    return [(Case.model_validate(dict(row)), row["snoozed_facts"]) for row in connection.execute(which).mappings()]


def count_cases(connection: sa.Connection, tenant: str, filters: Filters) -> int:
    """How many cases pass the filters."""
    return connection.execute(
        sa.select(sa.func.count()).select_from(cases).where(*_conditions(tenant, filters))
    ).scalar_one()


def change_case(
    connection: sa.Connection,
    actor: Actor,
    case_id: int,
    change: Change,
    file: SnapshotFile,
    *,
    revision: int | None = None,
) -> Case:
    """Change a case that is still at ``revision``; None: whatever it is at.

    Of a customer who must not be contacted it can only be closed.

    Raises
    ------
    UnknownCase
    ChangedMeanwhile
        If it is at another revision.
    NotAllowed
        If the values do not go together.
    InControlGroup, OptedOut, UnknownCustomer
        If it would stay open for a customer who must not be contacted.
    AlreadyOpen
        If it is opened anew while another one for the same customer and reason is not done.
    """
    case = read_case(connection, actor.tenant, case_id)
    if revision is not None and case.revision != revision:
        raise _changed(case_id)
    facts = facts_of(file, [case.customer_id]).get(case.customer_id)
    steps = steps_of(connection, actor.tenant, change.get("playbook") or (case.playbook if "step" in change else None))
    values = _changed_values(case, change, steps, facts)
    if values.get("status", case.status) != "done":
        must_be_contactable(case.customer_id, {case.customer_id: facts} if facts else {})
    if values:
        _write(connection, actor, case, values)
        actor.note(connection, "case.changed", case.customer_id, case_id=case_id, fields=sorted(values))
    return read_case(connection, actor.tenant, case_id)


def change_cases(
    connection: sa.Connection,
    actor: Actor,
    filters: Filters,
    change: Change,
    file: SnapshotFile,
    *,
    dry_run: bool,
    expected: int | None = None,
) -> BulkReceipt:
    """Change all cases that pass the filters and are not done.

    Those of customers who must not be contacted are left out unless they are closed, and counted.

    Parameters
    ----------
    dry_run : whether to count only
    expected : how many match, as the preview had it

    Raises
    ------
    ChangedMeanwhile
        If another number matches.
    NotAllowed
        If more than ``MOST_IN_BULK`` match, or the values do not go together.
    """
    which = _shown().where(*_conditions(actor.tenant, filters), _not_done()).order_by(cases.c.id)
    rows = connection.execute(which.limit(MOST_IN_BULK + 1)).mappings().all()
    matched = [Case.model_validate(dict(row)) for row in rows]
    if len(matched) > MOST_IN_BULK:
        raise NotAllowed(f"More than {MOST_IN_BULK:,} cases match: narrow the filter.")
    if expected is not None and expected != len(matched):
        raise ChangedMeanwhile(f"{len(matched):,} cases match now, where {expected:,} were expected: look again.")
    known = facts_of(file, {case.customer_id for case in matched})
    steps = steps_of(connection, actor.tenant, change.get("playbook"))
    changed: list[int] = []
    same: dict[bytes, tuple[dict[str, object], list[int]]] = {}
    for case in matched:
        facts = known.get(case.customer_id)
        values = _changed_values(case, change, steps, facts)
        if values.get("status", case.status) == "done" or (facts is not None and facts.contactable):
            changed.append(case.id)
            same.setdefault(orjson.dumps(values, option=orjson.OPT_SORT_KEYS), (values, []))[1].append(case.id)
    receipt_id = None
    if not dry_run:
        receipt_id = f"rcp_{secrets.token_hex(8)}"
        for values, ids in same.values():
            for some in in_parts(ids if values else []):
                connection.execute(
                    cases.update()
                    .where(cases.c.tenant == actor.tenant, cases.c.id.in_(some))
                    .values(values | {"updated_at": now(), "revision": cases.c.revision + 1})
                )
        fields = sorted({name for values, _ in same.values() for name in values})
        actor.note(connection, "cases.changed", "", receipt_id=receipt_id, fields=fields, case_ids=changed)
    return BulkReceipt(receipt_id, len(matched), len(changed), len(matched) - len(changed), changed)


def event_of(case: Case, facts_then: str | None, facts: Facts) -> bool:
    """Whether what a snoozed case waits for has happened since: by the facts then and now."""
    then = orjson.loads(facts_then or "{}")
    if case.snoozed_until_event == "bad_experience":
        latest = facts.last_bad_experience_at
        return latest is not None and latest > (then.get("last_bad_experience_at") or "")
    if case.snoozed_until_event == "tier_up":
        return _place(facts.risk_tier) > _place(then.get("risk_tier"))
    if case.snoozed_until_event == "purchase":
        return (facts.bought or 0.0) > (then.get("bought") or 0.0)
    return False


_FREE: tuple[Literal["owner", "due_on", "next_action"], ...] = ("owner", "due_on", "next_action")
AWAKE: dict[str, object] = {"snoozed_until": None, "snoozed_until_event": None, "snoozed_facts": None}


def _place(tier: str | None) -> int:
    """Of a tier among those of risk; -1 of none."""
    return RISK_TIERS.index(tier) if tier in RISK_TIERS else -1


def today() -> date:
    """The present day, in UTC."""
    return datetime.now(UTC).date()


def _write(connection: sa.Connection, actor: Actor, case: Case, values: dict[str, object]) -> None:
    update = (
        cases.update()
        .where(cases.c.tenant == actor.tenant, cases.c.id == case.id, cases.c.revision == case.revision)
        .values(values | {"updated_at": now(), "revision": case.revision + 1})
    )
    try:
        with connection.begin_nested():
            written = connection.execute(update).rowcount
    except sa.exc.IntegrityError as error:
        raise AlreadyOpen(
            f"Another case of {shown(case.customer_id)} for {case.reason!r} is not done: change that one."
        ) from error
    if not written:
        raise _changed(case.id)


def _changed(case_id: int) -> ChangedMeanwhile:
    return ChangedMeanwhile(f"Case {case_id} was changed since it was read: read it again, then decide again.")


def _from_draft(draft: Draft, steps: Sequence[Step]) -> dict[str, object]:
    values: dict[str, object] = {name: _stored(draft[name]) for name in _FREE if name in draft}
    if playbook := draft.get("playbook"):
        values = at_first_step(playbook, steps) | values
    return values


def at_first_step(playbook: str, steps: Sequence[Step]) -> dict[str, object]:
    """The columns of a case that begins a playbook."""
    return _at_step(playbook, steps, 0, today())


def _changed_values(case: Case, change: Change, steps: Sequence[Step], facts: Facts | None) -> dict[str, object]:
    """The columns that a change sets."""
    values: dict[str, object] = {}
    if "playbook" in change:
        if (playbook := change["playbook"]) is None:
            values |= {"playbook": None, "step": None, "started_on": None}
        else:
            values |= _at_step(playbook, steps, change.get("step", 0), today())
    elif "step" in change:
        if case.playbook is None or case.started_on is None:
            raise NotAllowed("The case follows no playbook, so it has no step.")
        values |= _at_step(case.playbook, steps, change["step"], case.started_on)
    values |= {name: _stored(change[name]) for name in _FREE if name in change}
    return values | _status_values(case, change, facts)


def _status_values(case: Case, change: Change, facts: Facts | None) -> dict[str, object]:
    until, event = change.get("snoozed_until"), change.get("snoozed_until_event")
    status = change.get("status", "snoozed" if until or event else None)
    if (until or event) and status != "snoozed":
        raise NotAllowed("A case that is snoozed until something has the status snoozed.")
    if (change.get("outcome") or change.get("outcome_reason")) and status != "done":
        raise NotAllowed("An outcome closes the case: give it with status done, or record it with POST /v1/outcomes.")
    if status == "snoozed":
        if not (until or event):
            raise NotAllowed("Say until when it is snoozed: snoozed_until, snoozed_until_event or both.")
        if until and until <= today():
            raise NotAllowed(f"A case is snoozed until a day to come; got {until}, and it is {today()} (UTC).")
        then = facts and {name: getattr(facts, name) for name in ("last_bad_experience_at", "risk_tier", "bought")}
        return {
            "status": "snoozed",
            "snoozed_until": _stored(until),
            "snoozed_until_event": event,
            "snoozed_facts": orjson.dumps(then).decode() if then else None,
            **_UNCLOSED,
        }
    if status == "open":
        return {"status": "open", **AWAKE, **(_UNCLOSED if case.status == "done" else {})}
    if status == "done":
        return closing(change.get("outcome") or case.outcome, change.get("outcome_reason"))
    return {}


_UNCLOSED: dict[str, object] = {"closed_at": None, "outcome": None, "outcome_reason": None}


def closing(outcome: CaseOutcome | None, reason: str | None = None) -> dict[str, object]:
    """The columns of a case that is done."""
    return {"status": "done", "closed_at": now(), "outcome": outcome, "outcome_reason": reason, **AWAKE}


def _at_step(playbook: str, steps: Sequence[Step], step: int, started: date) -> dict[str, object]:
    if step >= len(steps):
        raise NotAllowed(f"The playbook {playbook!r} has the steps 0 to {len(steps) - 1}; got {step}.")
    at = steps[step]
    return {
        "playbook": playbook,
        "step": step,
        "started_on": started.isoformat(),
        "due_on": at.due(started).isoformat(),
        "next_action": at.name,
    }


def _stored(value: date | str | None) -> str | None:
    return value.isoformat() if isinstance(value, date) else value


def _not_done() -> sa.ColumnElement[bool]:
    return cases.c.status != "done"


def _awake() -> sa.ColumnElement[bool]:
    """Snoozed until a day that has come."""
    return sa.and_(cases.c.status == "snoozed", sa.func.coalesce(cases.c.snoozed_until, "9") <= today().isoformat())


def _shown() -> sa.Select[tuple[object, ...]]:
    """The columns of ``Case``."""
    columns = [cases.c[name] for name in Case.model_fields if name != "status"]
    return sa.select(*columns, sa.case((_awake(), "open"), else_=cases.c.status).label("status"))


def _conditions(tenant: str, filters: Filters) -> list[sa.ColumnElement[bool]]:
    found = [cases.c.tenant == tenant]
    if filters.status:
        of_status = {
            "open": sa.or_(cases.c.status == "open", _awake()),
            "snoozed": sa.and_(cases.c.status == "snoozed", sa.not_(_awake())),
            "done": cases.c.status == "done",
        }
        found.append(sa.or_(*(of_status[each] for each in dict.fromkeys(filters.status))))
    if filters.owner is not None:
        found.append(cases.c.owner == filters.owner)
    if filters.unassigned:
        found.append(cases.c.owner.is_(None))
    if filters.due_before is not None:
        found.append(cases.c.due_on < filters.due_before.isoformat())
    if filters.customer_id is not None:
        found.append(cases.c.customer_id == filters.customer_id)
    if filters.reason is not None:
        found.append(cases.c.reason == filters.reason)
    if filters.min_priority is not None:
        found.append(cases.c.priority >= filters.min_priority)
    return found


_ORDERS = {
    "priority": Order(cases.c.priority, cases.c.id, descending=True),
    "due": Order(sa.func.coalesce(cases.c.due_on, "9999-12-31"), cases.c.id),
    "updated": Order(cases.c.updated_at, cases.c.id, descending=True),
}
