"""Routes about the service itself: is it alive, is it ready, which model speaks."""

from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, Field

from fedelta.serve.caller.auth import needs
from fedelta.serve.caller.problems import responses
from fedelta.serve.caller.scopes import Caller
from fedelta.serve.operational.tables import DEFAULT_TENANT
from fedelta.serve.routes.staleness import Age, age_of
from fedelta.serve.store import Store

router = APIRouter()


class Alive(BaseModel):
    """The process answers."""

    status: str = "alive"


class Ready(Age):
    """Scores can be read: those of this run, of the tenant ``default``."""

    status: str = "ready"
    snapshot_id: str
    as_of: str | None
    published_at: str
    database: Literal["available", "unreachable"] = Field(
        description="unreachable: scores are read as before, but nothing can be written and no newer run is seen"
    )


class Tier(BaseModel):
    """The customers of one risk tier in the current run."""

    customers: int
    min_probability: float
    max_probability: float


class CurrentModel(Age):
    """The current scoring run and the model behind it. What the run came without is null."""

    published_at: str
    snapshot_id: str
    as_of: str | None
    horizon_days: int | None
    customers: int
    by_status: dict[str, int]
    model_version: str | None
    risk_tiers: dict[str, Tier]
    source: str | None = Field(default=None, description="the source that the customers are of")
    thresholds: Any = Field(description="the least churn probability of each tier above the lowest")
    metrics: dict[str, Any] | None = Field(description="reports/evaluation.json")
    churn: dict[str, Any] | None = Field(description="the churn model's contract")
    clv: dict[str, Any] | None = Field(description="the CLV model's contract")
    reports: dict[str, str] = Field(default={}, description="the reports that the desk shows: a digest by name")
    alarms: list[str] | None = Field(
        default=None, description="what the stage `monitor` finds out of the ordinary; null: the run came without it"
    )


@router.get("/healthz", tags=["health"])
@router.head("/healthz", include_in_schema=False)
async def alive() -> Alive:
    """Say that the process answers; the database is not asked."""
    return Alive()


@router.get("/readyz", responses=responses(503), tags=["health"])
async def ready(request: Request) -> Ready:
    """Say which scoring run is served; 503 until there is one."""
    store: Store = request.app.state.store
    snapshot = await store.current(DEFAULT_TENANT)
    return Ready(
        snapshot_id=snapshot.snapshot_id,
        as_of=snapshot.pointer.as_of,
        published_at=snapshot.pointer.published_at,
        database="unreachable" if store.fault else "available",
        **age_of(snapshot, request),
    )


@router.get(
    "/v1/models/current",
    response_class=Response,
    responses={200: {"model": CurrentModel}, **responses(401, 403, 503)},
    tags=["models"],
)
async def current_model(
    request: Request, key: Annotated[Caller, Depends(needs("read:score", "read:list"))]
) -> Response:
    """Describe the model behind the current scores: version, horizon, tiers, metrics."""
    store: Store = request.app.state.store
    snapshot = await store.current(key.tenant)
    first = orjson.dumps({"published_at": snapshot.pointer.published_at, **age_of(snapshot, request)})
    body = b"%b,%b" % (first[:-1], snapshot.about[1:])
    return Response(body, media_type="application/json")
