"""The route for the list of customers at risk, a page of JSON or CSV at a time, or the whole as CSV."""

from typing import Annotated, Literal
from urllib.parse import urlencode

import orjson
from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

from fedelta.features.contract import RiskTier
from fedelta.serve.caller.auth import needs
from fedelta.serve.caller.problems import responses
from fedelta.serve.document import Score, csv_chunks
from fedelta.serve.listing import (
    Aside,
    AtRisk,
    Journey,
    JourneyStage,
    LoyaltyClass,
    Position,
    Sort,
    cursor,
    read_cursor,
)
from fedelta.serve.store import ScoreStore, StoredKey

DEFAULT_LIMIT = 100
MOST_ROWS = 1_000
CSV = "text/csv"

router = APIRouter(prefix="/v1", tags=["at risk"])


class AtRiskQuery(BaseModel):
    """The parameters of the list. One that is not known is refused: a misspelt filter would let everybody through."""

    model_config = {"extra": "forbid"}

    sort: Sort = "value_at_risk"
    min_probability: float | None = Field(None, ge=0, le=1, allow_inf_nan=False)
    tier: list[RiskTier] = Field(
        [], description="May be repeated: any of these tiers. The next four may be repeated too."
    )
    loyalty_class: list[LoyaltyClass] = []
    persona: list[str] = Field([], description="Names of personas, as in the scores.", max_length=100)
    journey: list[Journey] = []
    journey_stage: list[JourneyStage] = []
    has_open_issue: bool | None = Field(None, description="Whether an issue is still unresolved.")
    min_clv: float | None = Field(None, allow_inf_nan=False, description="Minimum of `clv_expected`.")
    min_value_at_risk: float | None = Field(None, allow_inf_nan=False)
    holdout: Aside = Field("exclude", description="Customers of the control group (holdout).")
    suppressed: Aside = Field("exclude", description="Customers who opted out or were contacted lately.")
    limit: int | None = Field(
        None, ge=1, le=MOST_ROWS, description="Rows per page. Default: 100 for JSON, the whole list for CSV."
    )
    cursor: str | None = Field(None, max_length=200, description="Taken from `next`. Keep filters and sort unchanged.")
    format: Literal["json", "csv"] | None = Field(None, description="Overrides the Accept header.")

    def wanted(self) -> AtRisk:
        """The list asked for, whatever its pages."""
        return AtRisk(
            self.sort,
            self.min_probability,
            self.min_clv,
            self.min_value_at_risk,
            self.holdout,
            self.suppressed,
            {
                "risk_tier": self.tier,
                "loyalty_class": self.loyalty_class,
                "persona": self.persona,
                "journey": self.journey,
                "journey_stage": self.journey_stage,
            },
            self.has_open_issue,
        )


class Ranked(Score):  # type: ignore[valid-type,misc]
    """A score and its place in this order among all scored customers of the run."""

    rank: int


class AtRiskPage(BaseModel):
    """One page of the list; ``next`` is the address of the page after it, null on the last."""

    snapshot_id: str
    customers: list[Ranked]
    next: str | None


@router.get(
    "/at-risk",
    response_class=Response,
    responses={200: {"model": AtRiskPage, "content": {CSV: {}}}, **responses(400, 401, 403, 410, 422, 503)},
)
def list_at_risk(
    query: Annotated[AtRiskQuery, Query()],
    request: Request,
    _key: Annotated[StoredKey, Depends(needs("read:list"))],
) -> Response:
    """List scored customers, those with most at stake (or likeliest to leave) first.

    All pages that a cursor leads to are of the scoring run of the first page, even when a newer one is published
    meanwhile. Customers without a score are never listed; those in the control group (holdout) and those who must not
    be contacted only on demand.
    """
    wanted = query.wanted()
    start = read_cursor(query.cursor, wanted) if query.cursor else None
    as_csv = query.format == "csv" if query.format else _prefers_csv(request.headers.get("accept", ""))
    limit = query.limit or (None if as_csv else DEFAULT_LIMIT)
    store: ScoreStore = request.app.state.store
    listing = store.at_risk(
        wanted,
        after=start.rank if start else 0,
        limit=limit + 1 if limit else None,
        snapshot_id=start.snapshot_id if start else None,
    )
    headers = {"cache-control": "private, no-cache", "vary": "accept"}
    if as_csv:
        headers["content-disposition"] = f'attachment; filename="at-risk-{listing.snapshot_id}.csv"'
    if limit is None:
        return StreamingResponse(csv_chunks(listing.rows), headers=headers, media_type=CSV)
    rows = list(listing.rows)
    following = None
    if len(rows) > limit:
        rows = rows[:limit]
        following = _address(request, cursor(wanted, Position(listing.snapshot_id, rows[-1][0])))
        headers["link"] = f'<{following}>; rel="next"'
    if as_csv:
        return Response(b"".join(csv_chunks(rows)), headers=headers, media_type=CSV)
    customers = [orjson.Fragment(b'{"rank":%d,%b' % (rank, body[1:])) for rank, body in rows]
    page = {"snapshot_id": listing.snapshot_id, "customers": customers, "next": following}
    return Response(orjson.dumps(page), headers=headers, media_type="application/json")


def _address(request: Request, at: str) -> str:
    """This request's own address, without its host, at another cursor."""
    parameters = [(name, value) for name, value in request.query_params.multi_items() if name != "cursor"]
    return f"{request.url.path}?{urlencode([*parameters, ('cursor', at)])}"


def _prefers_csv(accept: str) -> bool:
    """Whether an Accept header ranks text/csv above JSON (RFC 9110, section 12.5.1)."""
    quality = {"text/csv": 0.0, "application/json": 0.0}
    for part in accept.split(","):
        media, *settings = (piece.strip().lower() for piece in part.split(";"))
        weight = next((setting[2:] for setting in settings if setting.startswith("q=")), "1")
        if media in quality:
            quality[media] = float(weight) if weight.replace(".", "", 1).isdecimal() else 0.0
    return quality["text/csv"] > quality["application/json"]
