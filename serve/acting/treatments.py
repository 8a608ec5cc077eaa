"""Treatments: the contacts that were made."""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from pydantic import BaseModel, Field

from fedelta.serve.acting.actor import Actor
from fedelta.serve.acting.cases import read_case
from fedelta.serve.acting.customers import facts_of, must_be_contactable, must_not_be, shown
from fedelta.serve.acting.paging import Order
from fedelta.serve.acting.refusals import NotAllowed
from fedelta.serve.operational.tables import now, treatments
from fedelta.serve.snapshots.read import SnapshotFile

_AHEAD = timedelta(hours=1)  # that another clock may be


class Treatment(BaseModel):
    """A contact with a customer."""

    id: int
    customer_id: str
    treated_at: datetime
    action: str | None
    channel: str | None
    campaign: str | None
    cost: float | None
    case_id: int | None
    happened: bool = Field(description="recorded though the customer must not be contacted")
    churn_probability: float | None = Field(description="as it was known when this was recorded")
    expected_value: float | None
    recorded_at: datetime
    recorded_by: str


@dataclass(frozen=True)
class Contact:
    """A contact that was made; ``treated_at`` None: now.

    ``happened`` records one that was made with a customer who must not be contacted: what is measured needs the truth.
    """

    customer_id: str
    action: str | None = None
    channel: str | None = None
    campaign: str | None = None
    treated_at: datetime | None = None
    cost: float | None = None
    case_id: int | None = None
    happened: bool = False


@dataclass(frozen=True)
class TreatmentFilters:
    """Which treatments; None lets all pass."""

    customer_id: str | None = None
    campaign: str | None = None
    since: datetime | None = None


def record_treatment(connection: sa.Connection, actor: Actor, contact: Contact, file: SnapshotFile) -> Treatment:
    """Record a contact.

    Raises
    ------
    WasErased
    UnknownCustomer, InControlGroup, OptedOut
        If the customer must not be contacted, without `happened`.
    UnknownCase, NotAllowed
        If the case is none of this customer, or the time is to come.
    """
    must_not_be(actor.erased(connection, [contact.customer_id]), contact.customer_id)
    known = facts_of(file, [contact.customer_id])
    facts = known.get(contact.customer_id)
    if not contact.happened:
        facts = must_be_contactable(contact.customer_id, known)
    check_case(connection, actor.tenant, contact.case_id, contact.customer_id)
    row = {
        "tenant": actor.tenant,
        **asdict(contact),
        "treated_at": stored_time(contact.treated_at),
        "churn_probability": facts and facts.churn_probability,
        "expected_value": facts and facts.expected_value,
        "recorded_at": now(),
        "recorded_by": actor.name[:100],
    }
    number = connection.execute(treatments.insert().values(row)).inserted_primary_key
    assert number is not None
    actor.note(connection, "treatment.recorded", contact.customer_id, treatment_id=number[0])
    found = connection.execute(sa.select(*_COLUMNS).where(treatments.c.id == number[0])).mappings().one()
    return Treatment.model_validate(dict(found))


def list_treatments(
    connection: sa.Connection, tenant: str, filters: TreatmentFilters, *, limit: int = 100, after: str | None = None
) -> tuple[list[Treatment], str | None]:
    """A page of treatments, the latest first, and the cursor of the next one; see ``paging``."""
    which = sa.select(*_COLUMNS).where(treatments.c.tenant == tenant)
    if filters.customer_id is not None:
        which = which.where(treatments.c.customer_id == filters.customer_id)
    if filters.campaign is not None:
        which = which.where(treatments.c.campaign == filters.campaign)
    if filters.since is not None:
        which = which.where(treatments.c.treated_at >= utc(filters.since))
    rows, following = _LATEST.page(connection, which, limit, after, repr((tenant, filters)))
    return [Treatment.model_validate(dict(row)) for row in rows], following


def treatments_of_case(connection: sa.Connection, tenant: str, case_id: int) -> list[Treatment]:
    """The treatments of a case, the latest first."""
    of_case = sa.select(*_COLUMNS).where(treatments.c.tenant == tenant, treatments.c.case_id == case_id)
    rows = connection.execute(of_case.order_by(treatments.c.treated_at.desc(), treatments.c.id.desc())).mappings()
    return [Treatment.model_validate(dict(row)) for row in rows]


def check_case(connection: sa.Connection, tenant: str, case_id: int | None, customer_id: str) -> None:
    """Raise ``UnknownCase`` or ``NotAllowed`` where the case is none of this customer."""
    if case_id is not None and read_case(connection, tenant, case_id).customer_id != customer_id:
        raise NotAllowed(f"Case {case_id} is of another customer than {shown(customer_id)}.")


def stored_time(at: datetime | None) -> str:
    """A time that has come, as it is stored; None: the present. Raises ``NotAllowed`` for one to come."""
    if at is None:
        return now()
    if at > datetime.now(UTC) + _AHEAD:
        raise NotAllowed(f"What was done has a time that has come; got {at.isoformat()}.")
    return utc(at)


def utc(at: datetime) -> str:
    """A time with its zone, as it is stored."""
    return f"{at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='seconds')}Z"


_COLUMNS = tuple(treatments.c[name] for name in Treatment.model_fields)
_LATEST = Order(treatments.c.treated_at, treatments.c.id, descending=True)
