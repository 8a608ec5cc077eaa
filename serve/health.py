"""Routes about the service itself: is it alive, is it ready, which model speaks."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, Field

from fedelta.serve.caller.auth import needs
from fedelta.serve.caller.problems import responses
from fedelta.serve.store import ScoreStore, StoredKey

router = APIRouter()


class Alive(BaseModel):
    """The process answers."""

    status: str = "alive"


class Ready(BaseModel):
    """Scores can be read: those of this run."""

    status: str = "ready"
    snapshot_id: str
    as_of: str | None
    published_at: str


class Tier(BaseModel):
    """The customers of one risk tier in the current run."""

    customers: int
    min_probability: float
    max_probability: float


class CurrentModel(BaseModel):
    """The current scoring run and the model behind it. The last four are null where the run came without them."""

    published_at: str
    snapshot_id: str
    as_of: str | None
    horizon_days: int | None
    customers: int
    by_status: dict[str, int]
    model_version: str | None
    risk_tiers: dict[str, Tier]
    source: str | None = Field(default=None, description="the source that the customers are of")
    thresholds: Any = Field(description="what divides the tiers, as the churn model has it")
    metrics: dict[str, Any] | None = Field(description="reports/evaluation.json")
    churn: dict[str, Any] | None = Field(description="the churn model's contract")
    clv: dict[str, Any] | None = Field(description="the CLV model's contract")


@router.get("/healthz", tags=["health"])
@router.head("/healthz", include_in_schema=False)
async def alive() -> Alive:
    """Say that the process answers; the database is not asked."""
    return Alive()


@router.get("/readyz", responses=responses(503), tags=["health"])
async def ready(request: Request) -> Ready:
    """Say which scoring run is served; 503 until there is one."""
    store: ScoreStore = request.app.state.store
    snapshot = store.current()
    return Ready(snapshot_id=snapshot.snapshot_id, as_of=snapshot.as_of, published_at=snapshot.published_at)


@router.get(
    "/v1/models/current",
    response_class=Response,
    responses={200: {"model": CurrentModel}, **responses(401, 403, 503)},
    tags=["models"],
)
async def current_model(
    request: Request, _key: Annotated[StoredKey, Depends(needs("read:score", "read:list"))]
) -> Response:
    """Describe the model behind the current scores: version, horizon, tiers, metrics."""
    store: ScoreStore = request.app.state.store
    snapshot = store.current()
    body = b'{"published_at":"%b",%b' % (snapshot.published_at.encode(), snapshot.about[1:])
    return Response(body, media_type="application/json")
