"""``/desk/team``: who has how much to do, what is late, what came of it; and the hours that clocks run in."""

import math
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Annotated, Any

import sqlalchemy as sa
from fastapi import APIRouter, Depends, Request, Response

from fedelta.serve.acting.cases import today
from fedelta.serve.caller.auth import needs
from fedelta.serve.caller.problems import Problem
from fedelta.serve.caller.scopes import Caller
from fedelta.serve.desk.business_hours import Hours, HoursRefused, read_hours, store_hours
from fedelta.serve.desk.cases import owners
from fedelta.serve.desk.counted import currency_of
from fedelta.serve.desk.forms import field, posted
from fedelta.serve.desk.page import open_page
from fedelta.serve.desk.words import N_
from fedelta.serve.operational.tables import cases, from_now, treatments

DAYS = (N_("Monday"), N_("Tuesday"), N_("Wednesday"), N_("Thursday"), N_("Friday"), N_("Saturday"), N_("Sunday"))
SAVED_DAYS = 90  # that save rates look back
MOST_LATE = 30

router = APIRouter()


@dataclass
class Load:
    """What one person, or nobody (None), has to do, and what came of what was done."""

    owner: str | None
    open: int = 0
    overdue: int = 0
    late: int = 0  # without a first contact in time
    at_stake: float = 0.0
    saved: int = 0
    lost: int = 0

    @property
    def rate(self) -> tuple[float, float, float] | None:
        """The share saved of those saved or lost, with its 95% interval (Wilson 1927); None where nobody was."""
        n, z = self.saved + self.lost, 1.959964
        if not n:
            return None
        p = self.saved / n
        middle, half = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        return p, (middle - half) / (1 + z * z / n), (middle + half) / (1 + z * z / n)


@dataclass(frozen=True)
class Waiting:
    """A case without a first contact: until when it must have one, and the business hours to then, or since."""

    case: Any
    due: datetime
    hours: float


@router.get("/desk/team", include_in_schema=False)
async def show_team(request: Request, caller: Annotated[Caller, Depends(needs("manage"))]) -> Response:
    """Show load, lateness and saves of each owner, and who waits for a first contact."""
    page = await open_page(request, caller)
    tenant, at = page.person.tenant, datetime.now(UTC)

    def read(connection: sa.Connection) -> tuple[dict[str, str], list[Load], list[Waiting], Hours]:
        hours = read_hours(connection, tenant)
        waiting = _waiting(connection, tenant, hours, at)
        return owners(connection, tenant), _loads(connection, tenant, waiting), waiting, hours

    people, loads, waiting, hours = await page.store.read(read)
    file = page.snapshot.file
    return await page.show(
        "team.html.jinja",
        people=people,
        loads=loads,
        late=[one for one in waiting if one.hours < 0][:MOST_LATE],
        soon=[one for one in waiting if one.hours >= 0][:MOST_LATE],
        hours=hours,
        days=DAYS,
        saved_days=SAVED_DAYS,
        currency=await page.store.off_loop(currency_of, file),
    )


@router.post("/desk/team/hours", include_in_schema=False)
async def save_hours(request: Request, caller: Annotated[Caller, Depends(needs("manage"))]) -> Response:
    """Store the hours that clocks run in."""
    page, form = await open_page(request, caller), await posted(request)
    days = "".join(sorted({str(day) for day in form.getlist("days")}))
    try:
        hours = Hours(
            float(field(form, "first_contact", 20) or 0),
            field(form, "opens", 5),
            field(form, "closes", 5),
            days,
            field(form, "zone", 60),
        )
    except (HoursRefused, ValueError):
        text = page.words.gettext("Hours open before they close, on a day of the week or more, in a known time zone.")
        raise Problem(422, "invalid", text) from None
    await page.change(
        "team.hours", page.person.tenant, lambda connection: store_hours(connection, page.person.tenant, hours)
    )
    return page.to("/desk/team", page.words.gettext("The hours are saved."))


def _waiting(connection: sa.Connection, tenant: str, hours: Hours, at: datetime) -> list[Waiting]:
    """Open cases that nobody was contacted for yet, those that are latest first."""
    contacted = sa.exists().where(treatments.c.case_id == cases.c.id)
    which = sa.select(cases).where(cases.c.tenant == tenant, cases.c.status == "open", ~contacted)

    @cache
    def clock(opened_at: str) -> tuple[datetime | None, float]:  # a run opens many at once
        due = hours.due(datetime.fromisoformat(opened_at))
        return due, 0.0 if due is None else hours.between(at, due) / timedelta(hours=1)

    rows = connection.execute(which.order_by(cases.c.opened_at, cases.c.id).limit(10_000))
    found = [(case, *clock(case.opened_at)) for case in rows]
    waiting = [Waiting(case, due, left) for case, due, left in found if due is not None]
    return sorted(waiting, key=lambda one: one.hours)


def _loads(connection: sa.Connection, tenant: str, waiting: list[Waiting]) -> list[Load]:
    """The load of everybody who has or had cases, the largest first, nobody's last."""
    loads: dict[str | None, Load] = {}

    def of(owner: str | None) -> Load:
        return loads.setdefault(owner, Load(owner))

    overdue = sa.func.sum(sa.case((cases.c.due_on < today().isoformat(), 1), else_=0))
    awake = sa.select(cases.c.owner, sa.func.count(), overdue, sa.func.sum(cases.c.priority)).where(
        cases.c.tenant == tenant, cases.c.status == "open"
    )
    for owner, count, late, stake in connection.execute(awake.group_by(cases.c.owner)):
        load = of(owner)
        load.open, load.overdue, load.at_stake = count, int(late or 0), float(stake or 0)
    ended = sa.select(cases.c.owner, cases.c.outcome, sa.func.count()).where(
        cases.c.tenant == tenant,
        cases.c.outcome.in_(("saved", "lost")),
        cases.c.closed_at >= from_now(days=-SAVED_DAYS),
    )
    for owner, outcome, count in connection.execute(ended.group_by(cases.c.owner, cases.c.outcome)):
        setattr(of(owner), outcome, count)
    missed: dict[str | None, int] = defaultdict(int)
    for one in waiting:
        missed[one.case.owner] += one.hours < 0
    for owner, count in missed.items():
        of(owner).late = count
    return sorted(loads.values(), key=lambda load: (load.owner is None, -load.open, load.owner or ""))
