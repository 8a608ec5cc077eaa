"""Routes for treatments: the contacts that were made."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, Field

from fedelta.serve.acting import treatments
from fedelta.serve.acting.customers import CustomerId, Text
from fedelta.serve.acting.paging import MOST_ROWS
from fedelta.serve.acting.treatments import Contact, Treatment, TreatmentFilters
from fedelta.serve.caller.auth import needs
from fedelta.serve.caller.problems import responses
from fedelta.serve.caller.scopes import Caller
from fedelta.serve.routes.moments import Moment
from fedelta.serve.routes.writing import MOST_NUMBER, IdempotencyKey, actor_of, current_file, each_once, written_once
from fedelta.serve.store import Store

router = APIRouter(tags=["treatments"])
Name = Annotated[Text, Field(min_length=1, max_length=100)]
CaseNumber = Annotated[int, Field(ge=1, le=MOST_NUMBER)]


class ContactMade(BaseModel):
    """A contact that was made."""

    model_config = {"extra": "forbid"}

    customer_id: CustomerId
    action: Name | None = Field(None, description="keep, win back, or a word of your own")
    channel: Annotated[Text, Field(min_length=1, max_length=60)] | None = None
    campaign: Name | None = None
    treated_at: Moment | None = Field(None, description="with its zone; not to come. Default: now")
    cost: float | None = Field(None, ge=0, le=1e12, allow_inf_nan=False, description="in the source's currency")
    case_id: CaseNumber | None = None
    happened: bool = Field(
        default=False,
        description="true records a contact that was made although the customer must not be contacted: what contacting "
        "achieves can only be measured by what really happened",
    )


class TreatmentQuery(BaseModel):
    """The parameters of the list."""

    model_config = {"extra": "forbid"}

    customer_id: CustomerId | None = None
    campaign: Name | None = None
    since: Moment | None = None
    limit: int = Field(100, ge=1, le=MOST_ROWS)
    cursor: str | None = Field(None, max_length=2_000, description="Taken from `next`. Keep the filters.")


class TreatmentPage(BaseModel):
    """Some treatments, the latest first; ``next`` is the cursor of those after them, null at the end."""

    treatments: list[Treatment]
    next: str | None


@router.post(
    "/v1/treatments",
    response_class=Response,
    responses={200: {"model": Treatment}, **responses(401, 403, 404, 409, 410, 422, 503)},
)
async def record_treatment(
    contact: ContactMade,
    request: Request,
    idempotency_key: IdempotencyKey,
    key: Annotated[Caller, Depends(needs("write:outcome"))],
) -> Response:
    """Record a contact, once for each ``Idempotency-Key``.

    Customers of the control group and those who opted out are refused (409) unless it says that it ``happened``.
    """
    file, actor = await current_file(request, key), actor_of(request, key)
    made = Contact(**dict(contact))
    return await written_once(
        request,
        actor,
        "record_treatment",
        idempotency_key,
        contact,
        lambda connection: treatments.record_treatment(connection, actor, made, file).model_dump_json(),
    )


@router.get("/v1/treatments", responses=responses(400, 401, 403, 422, 503))
async def list_treatments(
    query: Annotated[TreatmentQuery, Query()],
    request: Request,
    key: Annotated[Caller, Depends(needs("read:list", "write:outcome"))],
) -> TreatmentPage:
    """List the contacts that were made, the latest first."""
    each_once(request)
    store: Store = request.app.state.store
    filters = TreatmentFilters(query.customer_id, query.campaign, query.since)
    found, following = await store.read(
        lambda connection: treatments.list_treatments(
            connection, key.tenant, filters, limit=query.limit, after=query.cursor
        )
    )
    return TreatmentPage(treatments=found, next=following)
