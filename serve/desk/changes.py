"""``/desk/changes``: whose risk moved since the last run, and which reason moved it."""

from dataclasses import dataclass
from typing import Annotated

import orjson
from fastapi import APIRouter, Depends, Request, Response

from fedelta.serve.caller.auth import needs
from fedelta.serve.caller.problems import Problem
from fedelta.serve.caller.scopes import Caller
from fedelta.serve.desk.page import Page, open_page
from fedelta.serve.desk.scored import Reason, Score, reasons, scores
from fedelta.serve.snapshots.listing import AtRisk, Filters
from fedelta.serve.snapshots.pages import kept_or_new
from fedelta.serve.snapshots.read import SnapshotFile

ROWS = 50
LEAST = 0.05
CHOICES = (0.02, 0.05, 0.1, 0.2)

router = APIRouter()


@dataclass(frozen=True)
class Changed:
    """A customer whose risk moved, and the reason that moved it most; None where the run before is not kept."""

    score: Score
    cause: Reason | None
    is_new: bool  # whether the cause was no reason before


@router.get("/desk/changes", include_in_schema=False)
async def show_changes(
    request: Request, caller: Annotated[Caller, Depends(needs("read:list"))], least: str = ""
) -> Response:
    """Show whose risk rose by at least ``least`` since the last run."""
    page = await open_page(request, caller)
    try:
        moved = float(least or LEAST)
    except ValueError:
        moved = 0.0
    if not 0 < moved <= 1:
        raise Problem(422, "invalid", page.words.gettext("A change of risk is a share above 0, up to 1."))
    runs = await page.store.runs(caller.tenant)
    before = runs[1] if len(runs) > 1 else None
    file = page.snapshot.file
    rows, total = await page.store.off_loop(risen, file, moved, ROWS)
    changed = await page.store.off_loop(_explained, page, before.file if before else None, rows)
    return await page.show(
        "changes.html.jinja", changed=changed, total=total, least=moved, choices=CHOICES, before=before, most=ROWS
    )


def risen(file: SnapshotFile, least: float, limit: int) -> tuple[list[int], int]:
    """The rows of those whose risk rose by at least ``least``, most first, and how many they are."""
    wanted = AtRisk(Filters(holdout="include", suppressed="include", min_delta=least), "delta")
    found, total = kept_or_new(file, wanted, 0, limit)
    return [row for _, row in found], total


def _explained(page: Page, before: SnapshotFile | None, rows: list[int]) -> list[Changed]:
    now = scores(page.snapshot, rows)
    earlier = {} if before is None else before.views([score["customer_id"] for score in now])
    found = []
    for score in now:
        document = earlier.get(score["customer_id"])
        was = None if document is None else reasons(orjson.loads(document), page.words)
        found.append(Changed(score, *_cause(reasons(score, page.words), was)))
    return found


def _cause(now: list[Reason], before: list[Reason] | None) -> tuple[Reason | None, bool]:
    """The reason whose contribution grew most, and whether there was none of it before."""
    if before is None:
        return None, False
    was = {reason.code: reason.contribution for reason in before}
    grown = [(reason.contribution - was.get(reason.code, 0.0), reason) for reason in now]
    most = max(grown, key=lambda each: each[0], default=(0.0, None))
    return (most[1], most[1].code not in was) if most[0] > 0 and most[1] is not None else (None, False)
