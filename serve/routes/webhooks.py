"""Routes for webhooks: endpoints, what was delivered to them, replays."""

from collections.abc import Callable
from datetime import UTC
from typing import Annotated, Self, TypeVar

import sqlalchemy as sa
from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import BaseModel, Field, model_validator

from fedelta.serve.acting.customers import Text
from fedelta.serve.acting.paging import MOST_ROWS
from fedelta.serve.caller.auth import needs
from fedelta.serve.caller.problems import Problem, responses
from fedelta.serve.caller.scopes import Caller
from fedelta.serve.routes.moments import Moment
from fedelta.serve.routes.writing import actor_of, written
from fedelta.serve.store import Store
from fedelta.serve.webhooks import endpoints, targets
from fedelta.serve.webhooks.endpoints import (
    Delivery,
    DeliveryState,
    Wanted,
    Webhook,
    WebhookRefused,
    WebhookWithSecret,
)
from fedelta.serve.webhooks.events import TYPES, EventType

router = APIRouter(tags=["webhooks"])
T = TypeVar("T")
Admin = Annotated[Caller, Depends(needs("admin"))]
WebhookId = Annotated[str, Path(pattern=r"^whk_[0-9a-f]{16}$")]
_STATUSES = {"unknown-webhook": 404, "unknown-event": 404, "too-many-webhooks": 409}


class Endpoint(BaseModel):
    """An endpoint to be made."""

    model_config = {"extra": "forbid"}

    url: str = Field(
        min_length=1, max_length=targets.MOST_CHARACTERS, description="https://HOST/PATH; private networks are refused"
    )
    types: list[EventType] = Field(
        list(TYPES), min_length=1, max_length=len(TYPES), description="Of the events that are sent. Default: all."
    )
    description: Annotated[Text, Field(max_length=200)] | None = None


class Webhooks(BaseModel):
    """The endpoints, oldest first."""

    webhooks: list[Webhook]


class DeliveryQuery(BaseModel):
    """The parameters of the list."""

    model_config = {"extra": "forbid"}

    state: DeliveryState | None = None
    limit: int = Field(100, ge=1, le=MOST_ROWS)
    cursor: str | None = Field(None, max_length=200, description="Taken from `next`. Keep the state.")


class DeliveryPage(BaseModel):
    """Some deliveries, those queued last first; ``next`` is the cursor of those after them, null at the end."""

    deliveries: list[Delivery]
    next: str | None


class Replay(BaseModel):
    """From where on to send again: an event, a time, or both."""

    model_config = {"extra": "forbid"}

    since_event: Annotated[Text, Field(min_length=1, max_length=64)] | None = Field(
        None, description="This event and all after it."
    )
    since: Moment | None = Field(None, description="With its zone: what happened then or later.")

    @model_validator(mode="after")
    def _one(self) -> Self:
        if self.since_event is None and self.since is None:
            raise ValueError("name an event (since_event), a time (since), or both")
        return self


class Replayed(BaseModel):
    """How many messages are queued; those that are still to be sent anyway are not counted."""

    queued: int


@router.post("/v1/webhooks", responses=responses(401, 403, 409, 422, 503))
async def create_webhook(wanted: Endpoint, request: Request, key: Admin) -> WebhookWithSecret:
    """Make an endpoint, to which events are sent from now on. Its secret is shown this once."""
    try:
        targets.parsed(wanted.url, request.app.state.webhook_networks)
    except targets.TargetRefused as refused:
        raise Problem(422, "target-refused", str(refused)) from None
    made = Wanted(wanted.url, wanted.types, wanted.description)
    return await _changed(request, lambda connection: endpoints.create(connection, actor_of(request, key), made))


@router.get("/v1/webhooks", responses=responses(401, 403, 503))
async def list_webhooks(request: Request, key: Admin) -> Webhooks:
    """List the endpoints and how they do; without their secrets."""
    return Webhooks(webhooks=await _read(request, lambda connection: endpoints.every(connection, key.tenant)))


@router.get("/v1/webhooks/{webhook_id}", responses=responses(401, 403, 404, 422, 503))
async def read_webhook(webhook_id: WebhookId, request: Request, key: Admin) -> Webhook:
    """Return an endpoint and how it does; without its secret."""
    return await _read(request, lambda connection: endpoints.find(connection, key.tenant, webhook_id))


@router.delete("/v1/webhooks/{webhook_id}", responses=responses(401, 403, 404, 422, 503))
async def delete_webhook(webhook_id: WebhookId, request: Request, key: Admin) -> Webhook:
    """Delete an endpoint and what was still to be sent to it."""
    return await _changed(request, lambda connection: endpoints.delete(connection, actor_of(request, key), webhook_id))


@router.post("/v1/webhooks/{webhook_id}/rotate", responses=responses(401, 403, 404, 422, 503))
async def rotate_webhook(webhook_id: WebhookId, request: Request, key: Admin) -> WebhookWithSecret:
    """Give an endpoint a new secret, shown this once. For 24 hours messages carry a signature by the old one too."""
    return await _changed(request, lambda connection: endpoints.rotate(connection, actor_of(request, key), webhook_id))


@router.post("/v1/webhooks/{webhook_id}/enable", responses=responses(401, 403, 404, 422, 503))
async def enable_webhook(webhook_id: WebhookId, request: Request, key: Admin) -> Webhook:
    """Send to an endpoint again that was disabled, or at once to one that is paused."""
    return await _changed(request, lambda connection: endpoints.enable(connection, actor_of(request, key), webhook_id))


@router.post("/v1/webhooks/{webhook_id}/replay", responses=responses(401, 403, 404, 422, 503))
async def replay_webhook(webhook_id: WebhookId, wanted: Replay, request: Request, key: Admin) -> Replayed:
    """Send events again, with the same ids; those from before the endpoint was made or while it was disabled too."""
    since = None if wanted.since is None else wanted.since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    queued = await _changed(
        request,
        lambda connection: endpoints.replay(
            connection, actor_of(request, key), webhook_id, event_id=wanted.since_event, since=since
        ),
    )
    return Replayed(queued=queued)


@router.get("/v1/webhooks/{webhook_id}/deliveries", responses=responses(400, 401, 403, 404, 422, 503))
async def list_deliveries(
    webhook_id: WebhookId, query: Annotated[DeliveryQuery, Query()], request: Request, key: Admin
) -> DeliveryPage:
    """List what was sent to an endpoint, or is to be, and what came of it."""
    found, following = await _read(
        request,
        lambda connection: endpoints.deliveries_of(
            connection, key.tenant, webhook_id, state=query.state, limit=query.limit, cursor=query.cursor
        ),
    )
    return DeliveryPage(deliveries=found, next=following)


async def _read(request: Request, ask: Callable[[sa.Connection], T]) -> T:
    store: Store = request.app.state.store
    try:
        return await store.read(ask)
    except WebhookRefused as refused:
        raise _problem(refused) from None


async def _changed(request: Request, change: Callable[[sa.Connection], T]) -> T:
    try:
        return await written(request, change)
    except WebhookRefused as refused:
        raise _problem(refused) from None


def _problem(refused: WebhookRefused) -> Problem:
    return Problem(_STATUSES[refused.kind], refused.kind, str(refused))
