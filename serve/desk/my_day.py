"""``/desk``: what is to be done today."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from fedelta.serve.caller.auth import needs
from fedelta.serve.caller.scopes import Caller
from fedelta.serve.desk.changes import LEAST, risen
from fedelta.serve.desk.page import open_page
from fedelta.serve.desk.scored import scores
from fedelta.serve.snapshots.listing import AtRisk, Filters
from fedelta.serve.snapshots.pages import page as page_of
from fedelta.serve.snapshots.read import SnapshotFile

FEW = 8

router = APIRouter()


@router.get("/desk", include_in_schema=False)
async def show_my_day(request: Request, caller: Annotated[Caller, Depends(needs("read:list"))]) -> Response:
    """Show what got worse and who is new at risk since the last run."""
    page = await open_page(request, caller)
    file, as_of = page.snapshot.file, page.snapshot.pointer.as_of
    rows, worse = await page.store.off_loop(risen, file, LEAST, FEW)
    new_rows, new = await page.store.off_loop(_newly_at_risk, file, as_of)
    return await page.show(
        "my_day.html.jinja",
        worse=scores(file, rows),
        worse_total=worse,
        least=LEAST,
        new=scores(file, new_rows),
        new_total=new,
        since=as_of,
    )


def _newly_at_risk(file: SnapshotFile, as_of: str | None) -> tuple[list[int], int]:
    """The rows of those whose tier became high or critical by the current run, most at stake first; their number."""
    if as_of is None:
        return [], 0
    since = datetime.fromisoformat(as_of)
    filters = Filters(any_of={"risk_tier": ("high", "critical")}, tier_changed_since=since, presence="probably_here")
    found, total = page_of(file, AtRisk(filters), 0, FEW)
    return [row for _, row in found], total
