"""Outcomes: what came of contacts."""

from dataclasses import dataclass
from datetime import datetime
from typing import get_args

import sqlalchemy as sa
from pydantic import BaseModel

from fedelta.serve.acting.actor import Actor
from fedelta.serve.acting.cases import Outcome, closing
from fedelta.serve.acting.customers import facts_of, must_be_contactable, must_not_be, shown
from fedelta.serve.acting.refusals import ActingRefused, NotAllowed
from fedelta.serve.acting.treatments import Contact, Treatment, check_case, record_treatment, stored_time
from fedelta.serve.operational.tables import cases, now, outcomes, treatments
from fedelta.serve.snapshots.read import SnapshotFile

OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
ENDS: frozenset[Outcome] = frozenset({"saved", "lost"})  # that close their case


class RecordedOutcome(BaseModel):
    """What came of a contact."""

    id: int
    customer_id: str
    outcome: Outcome
    reason: str | None
    occurred_at: datetime
    case_id: int | None
    treatment_id: int | None
    recorded_at: datetime
    recorded_by: str


@dataclass(frozen=True)
class Came:
    """What came of a contact; ``occurred_at`` None: now.

    Without a ``treatment_id`` it is of the latest contact of the case, or of the customer.
    ``happened``: see ``Contact``.
    """

    customer_id: str
    outcome: Outcome
    reason: str | None = None
    occurred_at: datetime | None = None
    case_id: int | None = None
    treatment_id: int | None = None
    happened: bool = False


def record_outcomes(
    connection: sa.Connection, actor: Actor, several: list[Came], file: SnapshotFile
) -> list[RecordedOutcome | ActingRefused]:
    """Record each, or say why not: one result for each, in their order. ``saved`` and ``lost`` close their case.

    A customer who must not be contacted has outcomes only of a contact that ``happened`` all the same.
    """
    results: list[RecordedOutcome | ActingRefused] = []
    known = facts_of(file, {came.customer_id for came in several if not came.happened})
    erased = actor.erased(connection, {came.customer_id for came in several})
    for came in several:
        try:
            must_not_be(erased, came.customer_id)
            if not came.happened:
                must_be_contactable(came.customer_id, known)
            results.append(_record(connection, actor, came))
        except ActingRefused as refused:  # raised before anything of it is written
            results.append(refused)
    return results


def record_contact(
    connection: sa.Connection, actor: Actor, contact: Contact, outcome: Outcome, reason: str | None, file: SnapshotFile
) -> tuple[Treatment, RecordedOutcome]:
    """Record a contact and what came of it at once. Raises as ``record_treatment`` does."""
    treatment = record_treatment(connection, actor, contact, file)
    came = Came(contact.customer_id, outcome, reason, contact.treated_at, contact.case_id, treatment.id)
    return treatment, _record(connection, actor, came)


def outcomes_of_case(connection: sa.Connection, tenant: str, case_id: int) -> list[RecordedOutcome]:
    """The outcomes of a case, the latest first."""
    return _read(connection, outcomes.c.tenant == tenant, outcomes.c.case_id == case_id)


def outcomes_of_customer(connection: sa.Connection, tenant: str, customer_id: str) -> list[RecordedOutcome]:
    """The outcomes of a customer, the latest first."""
    return _read(connection, outcomes.c.tenant == tenant, outcomes.c.customer_id == customer_id)


def count_outcomes(connection: sa.Connection, tenant: str, since: str) -> dict[str, int]:
    """How many of each kind came of contacts from an instant on, ISO 8601, in the order of ``OUTCOMES``."""
    which = sa.and_(outcomes.c.tenant == tenant, outcomes.c.occurred_at >= since)
    counted = sa.select(outcomes.c.outcome, sa.func.count()).where(which).group_by(outcomes.c.outcome)
    found = {row[0]: row[1] for row in connection.execute(counted)}
    return {name: found[name] for name in OUTCOMES if name in found}


def _record(connection: sa.Connection, actor: Actor, came: Came) -> RecordedOutcome:
    check_case(connection, actor.tenant, came.case_id, came.customer_id)
    occurred_at = stored_time(came.occurred_at)
    row = {
        "tenant": actor.tenant,
        "customer_id": came.customer_id,
        "outcome": came.outcome,
        "reason": came.reason,
        "occurred_at": occurred_at,
        "case_id": came.case_id,
        "treatment_id": _treatment(connection, actor.tenant, came),
        "recorded_at": now(),
        "recorded_by": actor.name[:100],
    }
    number = connection.execute(outcomes.insert().values(row)).inserted_primary_key
    assert number is not None
    if came.case_id is not None:
        _onto_case(connection, came, came.case_id)
    actor.note(connection, "outcome.recorded", came.customer_id, outcome_id=number[0], case_id=came.case_id)
    return _read(connection, outcomes.c.id == number[0])[0]


def _treatment(connection: sa.Connection, tenant: str, came: Came) -> int | None:
    """The contact that it came of."""
    of_customer = sa.select(treatments.c.id).where(
        treatments.c.tenant == tenant, treatments.c.customer_id == came.customer_id
    )
    if came.treatment_id is not None:
        if connection.execute(of_customer.where(treatments.c.id == came.treatment_id)).first() is None:
            raise NotAllowed(f"There is no treatment {came.treatment_id} of {shown(came.customer_id)}.")
        return came.treatment_id
    if came.case_id is not None:
        of_customer = of_customer.where(treatments.c.case_id == came.case_id)
    latest = of_customer.order_by(treatments.c.treated_at.desc(), treatments.c.id.desc()).limit(1)
    number: int | None = connection.execute(latest).scalar_one_or_none()
    return number


def _onto_case(connection: sa.Connection, came: Came, case_id: int) -> None:
    """Let the case have the outcome, and end with it if it is an end."""
    values: dict[str, object] = {"outcome": came.outcome, "outcome_reason": came.reason}
    if came.outcome in ENDS:
        values = closing(came.outcome, came.reason)
    connection.execute(
        cases.update()
        .where(cases.c.id == case_id)
        .values(values | {"updated_at": now(), "revision": cases.c.revision + 1})
    )


def _read(connection: sa.Connection, *which: sa.ColumnElement[bool]) -> list[RecordedOutcome]:
    columns = (outcomes.c[name] for name in RecordedOutcome.model_fields)
    latest = sa.select(*columns).where(*which).order_by(outcomes.c.occurred_at.desc(), outcomes.c.id.desc())
    return [RecordedOutcome.model_validate(dict(row)) for row in connection.execute(latest).mappings()]
