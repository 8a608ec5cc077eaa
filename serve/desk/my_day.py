"""``/desk``: what is to be done today."""

from datetime import datetime, timedelta
from typing import Annotated

import sqlalchemy as sa
from fastapi import APIRouter, Depends, Request, Response

from fedelta.serve.acting.cases import Case, Filters, count_cases, list_cases, today
from fedelta.serve.caller.auth import needs
from fedelta.serve.caller.scopes import Caller
from fedelta.serve.desk.changes import LEAST, risen
from fedelta.serve.desk.page import open_page
from fedelta.serve.desk.scored import reasons, scores
from fedelta.serve.operational.tables import cases, from_now, treatments
from fedelta.serve.snapshots import listing
from fedelta.serve.snapshots.pages import bits, kept_or_new
from fedelta.serve.snapshots.read import SnapshotFile

FEW = 8
LATELY_DAYS = 30

router = APIRouter()


@router.get("/desk", include_in_schema=False)
async def show_my_day(request: Request, caller: Annotated[Caller, Depends(needs("read:list"))]) -> Response:
    """Show the reader's cases that are due, what got worse and who is new at risk since the last run."""
    page = await open_page(request, caller)
    file, as_of = page.snapshot.file, page.snapshot.pointer.as_of
    rows, worse = await page.store.off_loop(risen, file, LEAST, FEW)
    new_rows, new = await page.store.off_loop(_newly_at_risk, file, as_of)
    (due, overdue, due_total, unassigned), busy = await page.store.read(
        lambda connection: (_due(connection, caller.tenant, page.person.email), _in_hand(connection, caller.tenant))
    )
    top = [] if worse or new else await page.store.off_loop(_most_at_stake, file, busy)
    return await page.show(
        "my_day.html.jinja",
        due=due,
        overdue=overdue,
        due_total=due_total,
        unassigned=unassigned,
        first_run=len(await page.store.runs(caller.tenant)) == 1,
        today=today(),
        worse=scores(page.snapshot, rows),
        worse_total=worse,
        least=LEAST,
        reasons=reasons,
        new=scores(page.snapshot, new_rows),
        new_total=new,
        since=as_of,
        top=scores(page.snapshot, top),
    )


def _due(connection: sa.Connection, tenant: str, me: str) -> tuple[list[Case], int, int, int]:
    """The first of the reader's open cases that are due; how many are overdue, how many due, how many nobody's."""
    tomorrow = Filters(("open",), owner=me, due_before=today() + timedelta(days=1))
    found, _ = list_cases(connection, tenant, tomorrow, sort="due", limit=FEW * 2)
    overdue = count_cases(connection, tenant, Filters(("open",), owner=me, due_before=today()))
    unassigned = count_cases(connection, tenant, Filters(("open",), unassigned=True))
    return found, overdue, count_cases(connection, tenant, tomorrow), unassigned


def _in_hand(connection: sa.Connection, tenant: str) -> list[str]:
    """The customers who have a case that is not done, or were contacted lately."""
    cased = sa.select(cases.c.customer_id).where(cases.c.tenant == tenant, cases.c.status != "done")
    lately = sa.select(treatments.c.customer_id).where(
        treatments.c.tenant == tenant, treatments.c.treated_at >= from_now(days=-LATELY_DAYS)
    )
    return list(connection.execute(cased.union(lately)).scalars())


def _most_at_stake(file: SnapshotFile, busy: list[str]) -> list[int]:
    """The first rows of the list but for who is in hand, to begin with where nothing changed."""
    narrowed = bits(file, busy, value=False) if busy else None
    found, _ = kept_or_new(file, listing.AtRisk(listing.Filters(presence="probably_here")), 0, FEW, narrowed)
    return [row for _, row in found]


def _newly_at_risk(file: SnapshotFile, as_of: str | None) -> tuple[list[int], int]:
    """The rows of those whose tier became high or critical by the current run, most at stake first; their number."""
    if as_of is None:
        return [], 0
    since = datetime.fromisoformat(as_of)
    filters = listing.Filters(
        any_of={"risk_tier": ("high", "critical")}, tier_changed_since=since, presence="probably_here"
    )
    found, total = kept_or_new(file, listing.AtRisk(filters), 0, FEW)
    return [row for _, row in found], total
