"""Routes for cases: open, list, change one or many, note."""

from datetime import date
from typing import Annotated

import sqlalchemy as sa
from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import BaseModel, Field

from fedelta.serve.acting import cases
from fedelta.serve.acting.cases import BulkReceipt, Case, CaseStatus, Change, Draft, Filters, Owner, Reason, Sort, Words
from fedelta.serve.acting.customers import CustomerId
from fedelta.serve.acting.notes import Note, add_note, notes_of
from fedelta.serve.acting.outcomes import RecordedOutcome, outcomes_of_case
from fedelta.serve.acting.paging import MOST_ROWS
from fedelta.serve.acting.treatments import Treatment, treatments_of_case
from fedelta.serve.caller.auth import needs
from fedelta.serve.caller.problems import responses
from fedelta.serve.caller.scopes import Caller
from fedelta.serve.routes.writing import (
    MOST_NUMBER,
    IfMatch,
    actor_of,
    current_file,
    each_once,
    etag,
    revision_of,
    written,
)
from fedelta.serve.store import Store

router = APIRouter(tags=["cases"])
Reader = Annotated[Caller, Depends(needs("read:list", "write:cases"))]
Writer = Annotated[Caller, Depends(needs("write:cases"))]
CaseId = Annotated[int, Path(ge=1, le=MOST_NUMBER)]


class CaseFilter(BaseModel):
    """Which cases. A filter that is not known is refused: a misspelt one would let all through."""

    model_config = {"extra": "forbid"}

    status: list[CaseStatus] = Field([], max_length=3, description="May be repeated: any of these.")
    owner: Owner | None = None
    unassigned: bool = Field(default=False, description="Those without an owner alone.")
    due_before: date | None = Field(None, description="Due on an earlier day; without a due date: not listed.")
    customer_id: CustomerId | None = None
    reason: Reason | None = None
    min_priority: float | None = Field(None, allow_inf_nan=False)

    def wanted(self) -> Filters:
        """As the functions take it."""
        return Filters(**{name: getattr(self, name) for name in CaseFilter.model_fields})


class CaseQuery(CaseFilter):
    """The parameters of the list."""

    sort: Sort = Field("priority", description="priority: most value at risk first; due: soonest; updated: latest.")
    limit: int = Field(100, ge=1, le=MOST_ROWS)
    cursor: str | None = Field(None, max_length=2_000, description="Taken from `next`. Keep filters and sort.")


class CasePage(BaseModel):
    """Some cases; ``next`` is the cursor of those after them, null at the end."""

    cases: list[Case]
    next: str | None


class CaseDetail(Case):
    """A case with what was written, done and achieved."""

    notes: list[Note] = Field(description="the pinned one, then the newest first")
    treatments: list[Treatment]
    outcomes: list[RecordedOutcome]


class Opening(BaseModel):
    """A case to open."""

    model_config = {"extra": "forbid"}

    customer_id: CustomerId
    reason: Reason = Field(description="what it is about: the code of a reason, or a word of your own")
    owner: Owner | None = None
    due_on: date | None = None
    next_action: Words | None = None
    playbook: Annotated[str, Field(min_length=1, max_length=60)] | None = None


class NoteText(BaseModel):
    """A note to write."""

    model_config = {"extra": "forbid"}

    text: Words
    pinned: bool = Field(default=False, description="It takes the place of the one that is pinned.")


class Bulk(BaseModel):
    """A change of all cases that a filter lets through and that are not done."""

    model_config = {"extra": "forbid"}

    filter: CaseFilter
    change: Change
    dry_run: bool = Field(default=True, description="Whether to count only: the preview.")
    expected: int | None = Field(None, ge=0, le=MOST_NUMBER, description="`matched` of the preview: 412 if it differs.")


class BulkAnswer(BaseModel):
    """What the change did, or would do."""

    receipt_id: str | None = Field(description="in the audit; null of a preview")
    matched: int
    changed: int
    refused: int = Field(description="whose customers must not be contacted, or are not in the current run")
    case_ids: list[int]


@router.get("/v1/cases", responses=responses(400, 401, 403, 422, 503))
async def list_cases(query: Annotated[CaseQuery, Query()], request: Request, key: Reader) -> CasePage:
    """List cases. Pages follow each other by keyset: none is missed or doubled because others were added."""
    each_once(request, "status")
    store: Store = request.app.state.store
    found, following = await store.read(
        lambda connection: cases.list_cases(
            connection, key.tenant, query.wanted(), sort=query.sort, limit=query.limit, after=query.cursor
        )
    )
    return CasePage(cases=found, next=following)


@router.post("/v1/cases", responses=responses(401, 403, 404, 409, 422, 503))
async def open_case(opening: Opening, request: Request, response: Response, key: Writer) -> Case:
    """Open a case for a customer who may be contacted: one at a time for each customer and reason.

    Customers of the control group and those who opted out are refused (409).
    """
    file, actor = await current_file(request, key), actor_of(request, key)
    draft = Draft(**opening.model_dump(exclude={"customer_id", "reason"}, exclude_unset=True))  # type: ignore[typeddict-item]
    case = await written(
        request,
        lambda connection: cases.open_case(connection, actor, opening.customer_id, opening.reason, draft, file),
    )
    response.headers["etag"] = etag(case.revision)
    return case


@router.get("/v1/cases/{case_id}", responses=responses(401, 403, 404, 503))
async def read_case(case_id: CaseId, request: Request, response: Response, key: Reader) -> CaseDetail:
    """Return a case with its notes, treatments and outcomes. Its ETag is for ``If-Match``."""
    store: Store = request.app.state.store
    detail = await store.read(
        lambda connection: CaseDetail(
            **cases.read_case(connection, key.tenant, case_id).model_dump(),
            notes=notes_of(connection, key.tenant, case_id),
            treatments=treatments_of_case(connection, key.tenant, case_id),
            outcomes=outcomes_of_case(connection, key.tenant, case_id),
        )
    )
    response.headers["etag"] = etag(detail.revision)
    return detail


@router.patch("/v1/cases/{case_id}", responses=responses(401, 403, 404, 409, 412, 422, 428, 503))
async def change_case(
    case_id: CaseId, change: Change, request: Request, response: Response, key: Writer, if_match: IfMatch = None
) -> Case:
    """Change a case that is still as it was read (``If-Match``, else 428; 412 where it is not).

    Of a customer who has come into the control group or opted out it can only be closed.
    """
    revision = revision_of(if_match)
    file, actor = await current_file(request, key), actor_of(request, key)
    case = await written(
        request, lambda connection: cases.change_case(connection, actor, case_id, change, file, revision=revision)
    )
    response.headers["etag"] = etag(case.revision)
    return case


@router.post("/v1/cases/{case_id}/notes", responses=responses(401, 403, 404, 422, 503))
async def note_case(case_id: CaseId, note: NoteText, request: Request, key: Writer) -> Note:
    """Write a note on a case."""
    actor = actor_of(request, key)
    return await written(
        request, lambda connection: add_note(connection, actor, case_id, note.text, pinned=note.pinned)
    )


@router.post("/v1/cases:bulk", responses=responses(401, 403, 412, 422, 503))
async def change_cases(bulk: Bulk, request: Request, key: Writer) -> BulkAnswer:
    """Change all cases that a filter lets through, or count them first (``dry_run``, the default)."""
    file, actor = await current_file(request, key), actor_of(request, key)
    store: Store = request.app.state.store

    def change(connection: sa.Connection) -> BulkReceipt:
        wanted = bulk.filter.wanted()
        return cases.change_cases(
            connection, actor, wanted, bulk.change, file, dry_run=bulk.dry_run, expected=bulk.expected
        )

    receipt = await (store.read(change) if bulk.dry_run else written(request, change))
    return BulkAnswer.model_validate(receipt, from_attributes=True)
