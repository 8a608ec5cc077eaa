"""The route for the list of customers at risk: a page of JSON, or the whole as a file."""

from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache, partial
from typing import Annotated, Literal, get_origin
from urllib.parse import urlencode

import orjson
import polars as pl
from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field, ValidationError
from starlette.datastructures import QueryParams

from fedelta.features.contract import Action, RiskTier
from fedelta.serve.acting.customers import Text
from fedelta.serve.acting.narrowing import narrowed
from fedelta.serve.caller.auth import needs
from fedelta.serve.caller.problems import Problem, responses
from fedelta.serve.caller.scopes import Caller
from fedelta.serve.routes.accept import preferred
from fedelta.serve.routes.direct import direct
from fedelta.serve.routes.moments import Moment
from fedelta.serve.routes.staleness import Age, age_of
from fedelta.serve.snapshots import exports
from fedelta.serve.snapshots.document import Score
from fedelta.serve.snapshots.listing import (
    Aside,
    AtRisk,
    Filters,
    Journey,
    JourneyStage,
    LoyaltyClass,
    Position,
    Presence,
    Sort,
    cursor,
    read_cursor,
)
from fedelta.serve.snapshots.pages import page, quick_page, whole
from fedelta.serve.snapshots.read import SnapshotFile
from fedelta.serve.snapshots.spreadsheet import MOST_ROWS as MOST_OF_A_SHEET
from fedelta.serve.store import Snapshot, Store

DEFAULT_LIMIT = 100
MOST_ROWS = 1_000
_MOST_DAYS = 3_650
JSON = "application/json"
Format = Literal["json", "csv", "ndjson", "parquet", "xlsx"]
MEDIA_TYPES: dict[Format, str] = {
    "json": JSON,
    "csv": "text/csv",
    "ndjson": "application/x-ndjson",
    "parquet": "application/vnd.apache.parquet",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
_Texts = Annotated[list[str], Field(max_length=100)]
_Export = Callable[[SnapshotFile, pl.Series, pl.Series], Iterator[bytes]]
_EXPORTS: dict[Format, _Export] = {
    "csv": exports.csv, "ndjson": exports.ndjson, "parquet": exports.parquet, "xlsx": exports.xlsx,
}  # fmt: skip


class AtRiskQuery(BaseModel):
    """The parameters of the list. One that is not known is refused: a misspelt filter would let everybody through."""

    model_config = {"extra": "forbid"}

    sort: Sort = Field("value_at_risk", description="Descending; customers without the value come last.")
    min_probability: float | None = Field(None, ge=0, le=1, allow_inf_nan=False)
    tier: list[RiskTier] = Field([], description="May be repeated: any of these tiers. So may other filters by name.")
    loyalty_class: list[LoyaltyClass] = []
    persona: _Texts = Field([], description="Names of personas, as in the scores.")
    channel: _Texts = Field([], description="Channel of most of a customer's interactions, as in the scores.")
    journey: list[Journey] = []
    journey_stage: list[JourneyStage] = []
    reason: _Texts = Field([], description="Codes of reasons: customers whose score has one of them.")
    theme: _Texts = Field([], description="Themes of reasons, pillars among them: customers with one of them.")
    action: list[Action] = Field([], description="Planned action.")
    team: _Texts = Field([], description="Team that is to contact the customer.")
    presence: Presence | None = Field(None, description="By `p_here`: 0.5 or more is probably here.")
    tier_changed_since: Moment | None = Field(None, description="`tier_changed_at` at or after this time.")
    has_open_issue: bool | None = Field(None, description="Whether an issue is still unresolved.")
    min_clv: float | None = Field(None, allow_inf_nan=False, description="Minimum of `clv_expected`.")
    min_value_at_risk: float | None = Field(None, allow_inf_nan=False)
    min_delta: float | None = Field(
        None,
        ge=-1,
        le=1,
        allow_inf_nan=False,
        description="Minimum of `delta`: how far the risk rose since the last run.",
    )
    holdout: Aside = Field("exclude", description="Customers of the control group (holdout).")
    suppressed: Aside = Field("exclude", description="Customers who opted out or were contacted lately.")
    limit: int | None = Field(
        None, ge=1, le=MOST_ROWS, description="Rows per page. Default: 100 for JSON, the whole list for files."
    )
    cursor: str | None = Field(None, max_length=200, description="Taken from `next`. Keep filters and sort unchanged.")
    format: Format | None = Field(None, description="Overrides the Accept header.")
    bom: bool = Field(default=False, description="Whether CSV begins with a byte order mark, which Excel needs.")

    def wanted(self) -> AtRisk:
        """The list asked for, whatever its pages."""
        filters = Filters(
            self.min_probability,
            self.min_clv,
            self.min_value_at_risk,
            self.holdout,
            self.suppressed,
            {
                "risk_tier": self.tier,
                "loyalty_class": self.loyalty_class,
                "persona": self.persona,
                "channel": self.channel,
                "journey": self.journey,
                "journey_stage": self.journey_stage,
                "action": self.action,
                "team": self.team,
            },
            self.has_open_issue,
            self.reason,
            self.theme,
            self.tier_changed_since,
            self.presence,
            self.min_delta,
        )
        return AtRisk(filters, self.sort)


class ActingQuery(AtRiskQuery):
    """The parameters of the list over HTTP: what people do with its customers counts besides."""

    owner: Annotated[list[Text], Field(max_length=100)] = Field(
        [], description="Owners of cases: customers with an open case of one of them."
    )
    contacted_within: int | None = Field(
        None, ge=1, le=_MOST_DAYS, description="Days: customers with a treatment recorded within them."
    )
    not_contacted_within: int | None = Field(
        None, ge=1, le=_MOST_DAYS, description="Days: customers without a treatment recorded within them."
    )

    def wanted(self) -> AtRisk:
        """See ``AtRiskQuery``."""
        found = super().wanted()
        acting = replace(
            found.filters,
            owners=self.owner,
            contacted_within=self.contacted_within,
            not_contacted_within=self.not_contacted_within,
        )
        return replace(found, filters=acting)


class Ranked(Score):  # type: ignore[valid-type,misc]
    """A score and its place in this order among all scored customers of the run."""

    rank: int


class AtRiskPage(Age):
    """One page of the list; ``next`` is the address of the page after it, null on the last."""

    snapshot_id: str
    as_of: datetime | None
    total: int = Field(description="customers of the whole list")
    total_is_exact: bool = Field(description="false: the total is an estimate")
    customers: list[Ranked]
    next: str | None


@dataclass(frozen=True)
class _Asked:
    """A query that was understood. ``rest`` are its parameters without the cursor."""

    query: ActingQuery
    wanted: AtRisk
    rest: tuple[tuple[str, str], ...]


async def _list(request: Request, key: Caller) -> Response:
    store: Store = request.app.state.store
    parameters = request.query_params.multi_items()
    asked = _asked(tuple(item for item in parameters if item[0] != "cursor"))
    cursors = [value for name, value in parameters if name == "cursor"]
    form = asked.query.format or preferred(request.headers.get("accept", ""), MEDIA_TYPES)
    after, snapshot = 0, None
    if cursors:
        start = read_cursor(_checked(cursors[-1]), asked.wanted)
        after, snapshot = start.rank, await store.kept(key.tenant, start.snapshot_id)
    else:
        snapshot = await store.current(key.tenant)
    if form == "json":
        return await _page(request, store, snapshot, asked, after)
    return await _file(request, store, snapshot, asked, after, form)


async def list_at_risk(
    query: Annotated[ActingQuery, Query()],
    request: Request,
    key: Annotated[Caller, Depends(needs("read:list"))],
) -> Response:
    """List scored customers, those with most at stake (or likeliest to leave) first.

    All pages that a cursor leads to are of the scoring run of the first page, even when a newer one is published
    meanwhile. Customers without a score are never listed; those in the control group (holdout) and those who must not
    be contacted only on demand.
    """
    del query
    return await _list(request, key)


def add_routes(router: APIRouter) -> None:
    """Add the route to the service's own: an included router would match its path anew."""
    files: dict[str, object] = {media: {} for form, media in MEDIA_TYPES.items() if form != "json"}
    router.add_api_route(
        "/v1/at-risk",
        list_at_risk,
        methods=["GET"],
        tags=["at risk"],
        response_class=Response,
        responses={200: {"model": AtRiskPage, "content": files}, **responses(400, 401, 403, 410, 422, 503)},
        route_class_override=direct(_list, "read:list"),
    )


async def _page(request: Request, store: Store, snapshot: Snapshot, asked: _Asked, after: int) -> Response:
    limit = asked.query.limit or DEFAULT_LIMIT
    only = await narrowed(store, snapshot.pointer.tenant, snapshot.file, asked.wanted.filters)
    found = quick_page(snapshot.file, asked.wanted, after, limit + 1) if only is None else None
    if found is None:
        found = await store.off_loop(page, snapshot.file, asked.wanted, after, limit + 1, only)
    rows, total = found
    following = _next(request, asked, snapshot, rows, limit)
    shown = rows[:limit]
    customers = exports.ranked(
        snapshot.file, (rank for rank, _ in shown), (row for _, row in shown), b",", snapshot.live.by_row
    )
    about = {
        "snapshot_id": snapshot.snapshot_id,
        "as_of": snapshot.pointer.as_of,
        **age_of(snapshot, request),
        "total": total,
        "total_is_exact": True,
        "next": following,
    }
    body = b'%b,"customers":[%b]}' % (orjson.dumps(about)[:-1], customers)
    return Response(body, headers=_headers(following), media_type=JSON)


async def _file(
    request: Request, store: Store, snapshot: Snapshot, asked: _Asked, after: int, form: Format
) -> Response:
    limit = asked.query.limit
    only = await narrowed(store, snapshot.pointer.tenant, snapshot.file, asked.wanted.filters)
    ranks, rows = await store.off_loop(whole, snapshot.file, asked.wanted, after, limit and limit + 1, only)
    following = None
    if limit is not None:
        following = _next(request, asked, snapshot, list(zip(ranks, rows, strict=True)), limit)
        ranks, rows = ranks.head(limit), rows.head(limit)
    if form == "xlsx" and len(rows) > MOST_OF_A_SHEET:
        detail = f"A sheet holds {MOST_OF_A_SHEET:,} customers; these are {len(rows):,}: narrow the list, or take csv."
        raise Problem(422, "invalid", detail)
    write = partial(exports.csv, bom=True) if form == "csv" and asked.query.bom else _EXPORTS[form]
    headers = _headers(following)
    headers["content-disposition"] = f'attachment; filename="at-risk-{snapshot.snapshot_id}.{form}"'
    pieces = _sent(store, write(snapshot.file, ranks, rows))
    return StreamingResponse(pieces, headers=headers, media_type=MEDIA_TYPES[form])


async def _sent(store: Store, pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Pieces made by threads. When the client breaks off, nothing is left: a snapshot has no transactions."""
    while (piece := await store.off_loop(next, pieces, None)) is not None:
        yield piece


def _next(request: Request, asked: _Asked, snapshot: Snapshot, rows: list[tuple[int, int]], limit: int) -> str | None:
    """This request's own address, without its host, at the cursor after ``limit`` rows; None if they are all."""
    if len(rows) <= limit:
        return None
    at = cursor(asked.wanted, Position(snapshot.snapshot_id, rows[limit - 1][0]))
    return f"{request.url.path}?{urlencode([*asked.rest, ('cursor', at)])}"


def _headers(following: str | None) -> dict[str, str]:
    headers = {"cache-control": "private, no-cache", "vary": "accept"}
    if following:
        headers["link"] = f'<{following}>; rel="next"'
    return headers


@lru_cache(maxsize=1_000)
def _asked(rest: tuple[tuple[str, str], ...]) -> _Asked:
    """What these parameters ask for; kept, since pages and dashboards ask for the same again."""
    query = _understood(QueryParams(list(rest)))
    return _Asked(query, query.wanted(), rest)


def _understood(parameters: QueryParams) -> ActingQuery:
    several = {name for name, field in ActingQuery.model_fields.items() if _is_list(field.annotation)}
    given = {name: parameters.getlist(name) if name in several else parameters[name] for name in parameters}
    try:
        return ActingQuery.model_validate(given)
    except ValidationError as error:
        raise RequestValidationError([{**one, "loc": ("query", *one["loc"])} for one in error.errors()]) from error


def _checked(text: str) -> str:
    return _understood(QueryParams([("cursor", text)])).cursor or ""


def _is_list(annotation: object) -> bool:
    return get_origin(annotation) is list
