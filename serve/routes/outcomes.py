"""The route for outcomes: what came of contacts, up to a thousand at once."""

from typing import Annotated, Literal

import sqlalchemy as sa
from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, Field

from fedelta.serve.acting.actor import Actor
from fedelta.serve.acting.cases import Outcome, Words
from fedelta.serve.acting.customers import CustomerId
from fedelta.serve.acting.outcomes import Came, RecordedOutcome, record_outcomes
from fedelta.serve.acting.refusals import ActingRefused, WasErased
from fedelta.serve.caller.auth import needs
from fedelta.serve.caller.problems import responses
from fedelta.serve.caller.scopes import Caller
from fedelta.serve.routes.moments import Moment
from fedelta.serve.routes.writing import MOST_NUMBER, IdempotencyKey, actor_of, current_file, written_once
from fedelta.serve.snapshots.read import SnapshotFile

router = APIRouter(tags=["outcomes"])
MOST_OUTCOMES = 1_000
Number = Annotated[int, Field(ge=1, le=MOST_NUMBER)]


class OutcomeOfContact(BaseModel):
    """What came of a contact."""

    model_config = {"extra": "forbid"}

    customer_id: CustomerId
    outcome: Outcome = Field(description="saved and lost close the case")
    reason: Words | None = None
    occurred_at: Moment | None = Field(None, description="with its zone; not to come. Default: now")
    case_id: Number | None = None
    treatment_id: Number | None = Field(
        None, description="Default: the latest contact of the case, or of the customer."
    )
    happened: bool = Field(default=False, description="as of a treatment: of a contact that must not have been made")


class Outcomes(BaseModel):
    """Outcomes to record."""

    model_config = {"extra": "forbid"}

    outcomes: list[OutcomeOfContact] = Field(min_length=1, max_length=MOST_OUTCOMES)


class OutcomeResult(BaseModel):
    """What became of one of the outcomes sent."""

    customer_id: str | None = Field(
        description="null for one who was erased: the answer is stored, and must not name them"
    )
    status: Literal["recorded", "refused"]
    outcome: RecordedOutcome | None = Field(default=None, description="present when recorded")
    problem: str | None = Field(default=None, description="when refused: unknown-customer, control-group, opted-out, …")
    detail: str | None = Field(default=None, description="when refused: why, for people")


class OutcomeResults(BaseModel):
    """One result for each outcome sent, in their order."""

    results: list[OutcomeResult]


@router.post(
    "/v1/outcomes",
    response_class=Response,
    responses={200: {"model": OutcomeResults}, **responses(401, 403, 422, 503)},
)
async def write_outcomes(
    outcomes: Outcomes,
    request: Request,
    idempotency_key: IdempotencyKey,
    key: Annotated[Caller, Depends(needs("write:outcome"))],
) -> Response:
    """Record what came of contacts, once for each ``Idempotency-Key``; some may be refused and others not."""
    file, actor = await current_file(request, key), actor_of(request, key)
    return await written_once(
        request,
        actor,
        "write_outcomes",
        idempotency_key,
        outcomes,
        lambda connection: _results(connection, actor, outcomes.outcomes, file).model_dump_json(exclude_unset=True),
    )


def _results(
    connection: sa.Connection, actor: Actor, sent: list[OutcomeOfContact], file: SnapshotFile
) -> OutcomeResults:
    several = [Came(**dict(one)) for one in sent]
    recorded = record_outcomes(connection, actor, several, file)
    return OutcomeResults(results=[_result(*one) for one in zip(several, recorded, strict=True)])


def _result(came: Came, result: RecordedOutcome | ActingRefused) -> OutcomeResult:
    if isinstance(result, RecordedOutcome):
        return OutcomeResult(customer_id=came.customer_id, status="recorded", outcome=result)
    of = None if isinstance(result, WasErased) else came.customer_id
    return OutcomeResult(customer_id=of, status="refused", problem=result.kind, detail=str(result))
