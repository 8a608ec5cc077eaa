"""The route for scores computed now, from the interactions that come with the request."""

from datetime import datetime
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field, TypeAdapter

from fedelta.features.contract import Status
from fedelta.serve.caller.auth import needs
from fedelta.serve.caller.problems import responses
from fedelta.serve.caller.scopes import Caller
from fedelta.serve.live.pool import MOST_CUSTOMERS, Pool
from fedelta.serve.live.rows import Columns, Id, Interaction, Time, columns_of, validated
from fedelta.serve.live.worker import Answer, Batch, CannotScore, Customer
from fedelta.serve.routes.direct import direct
from fedelta.serve.snapshots.document import Score
from fedelta.serve.snapshots.parts import Parts
from fedelta.serve.store import Snapshot, Store

JSON = "application/json"
_LARGE = 50_000  # bytes of a body that a thread reads, so that the event loop does not wait
_LARGEST_SUM = 9 * 10**14  # of the money of a request


class Given(BaseModel):
    """A customer, and everything that they went through."""

    model_config = {"extra": "forbid", "strict": True, "allow_inf_nan": False}
    customer_id: Id
    attributes: dict[Annotated[str, Field(max_length=100)], str | float | bool | None] = Field(
        {}, max_length=100, description="Of the source; one without the time from which it is known counts as known."
    )
    opted_out: bool | None = None
    interactions: list[Interaction] = []


class Asked(BaseModel):
    """Whom to score, each once; and as of when."""

    model_config = {"extra": "forbid", "strict": True}
    customers: list[Given] = Field(max_length=MOST_CUSTOMERS)
    as_of: Time | None = Field(None, description="What happens from then on does not count. Default: the run's.")
    explain: bool | None = Field(
        None, description="Whether everybody gets reasons, or nobody. Default: who would get them in the run."
    )


class Warned(BaseModel):
    """What to know of the inputs before the score is used."""

    missing: list[str] = Field([], description="columns and attributes that the score could read and nobody gave")
    out_of_range: list[str] = Field([], description="features beyond what the model met in training")
    unknown: list[str] = Field([], description="kinds, channels and attributes that the source does not have")


class Computed(BaseModel):
    """The score of one customer, and its warnings."""

    customer_id: str
    status: Status = Field(description="of the score")
    warnings: Warned
    score: Score  # type: ignore[valid-type]


class ComputedScores(BaseModel):
    """One result per customer, in the order asked."""

    snapshot_id: str = Field(description="of the run whose models scored")
    results: list[Computed]


_ASKED = TypeAdapter(Asked)


async def _compute(request: Request, key: Caller) -> Response:
    store: Store = request.app.state.store
    pool: Pool = request.app.state.pool
    content = await request.body()
    customers, batch = await store.off_loop(_read, content) if len(content) > _LARGE else _read(content)
    snapshot = await store.current(key.tenant)
    parts = scorable(snapshot)
    if not customers:
        return Response(_body(snapshot, []), media_type=JSON)
    answers = await pool.score(Batch(parts, snapshot.snapshot_id, customers, *batch))
    return Response(_body(snapshot, answers), media_type=JSON)


async def compute_scores(
    asked: Asked, request: Request, key: Annotated[Caller, Depends(needs("read:score"))]
) -> Response:
    """Compute the scores of up to 100 customers from the interactions given, and from nothing else.

    The models, settings and comparisons are those of the current scoring run: the interactions of a customer as that
    run knew them give its score, to the last bit. Nothing is stored.
    """
    del asked
    return await _compute(request, key)


def add_routes(router: APIRouter) -> None:
    """Add the route to the service's own: an included router would match its path anew."""
    router.add_api_route(
        "/v1/scores:compute",
        compute_scores,
        methods=["POST"],
        tags=["scores"],
        response_class=Response,
        responses={200: {"model": ComputedScores}, **responses(400, 401, 403, 409, 413, 422, 503)},
        route_class_override=direct(_compute, "read:score"),
    )


def scorable(snapshot: Snapshot) -> Parts:
    """What a snapshot is scored by.

    Raises
    ------
    CannotScore
        If it was published without.
    """
    if snapshot.parts is None:
        raise CannotScore(
            "The current run was published without what scores are computed by: publish it with data/scoring and "
            "data/bundle of the same run (`fedelta publish` in the project's folder)."
        )
    return snapshot.parts


def _read(content: bytes) -> tuple[tuple[Customer, ...], tuple[dict[str, list[Any]], datetime | None, bool | None]]:
    asked: Asked = validated(_ASKED, content)
    _refuse_repeated("customer_id", [("customers", place) for place in range(len(asked.customers))],
                     [one.customer_id for one in asked.customers])  # fmt: skip
    rows = [(one.customer_id, row) for one in asked.customers for row in one.interactions]
    places = [
        ("customers", place, "interactions", number)
        for place, one in enumerate(asked.customers)
        for number in range(len(one.interactions))
    ]
    _refuse_repeated("interaction_id", places, [row.interaction_id for _, row in rows])
    columns = columns_of(rows)
    given = frozenset(columns)
    customers = tuple(Customer(one.customer_id, one.attributes, one.opted_out, given) for one in asked.customers)
    _refuse_too_much(columns)
    return customers, (columns, asked.as_of, asked.explain)


def _refuse_too_much(columns: Columns) -> None:
    """Refuse money whose sum is beyond whole numbers of 1/10,000 in 64 bits: it would come out as another."""
    for name in ("amount", "margin"):
        if sum(map(abs, filter(None, columns.get(name, ())))) >= _LARGEST_SUM:
            message = f"all {name}s of a request must add up to less than {_LARGEST_SUM:,}"
            raise RequestValidationError([{"type": "value_error", "loc": ("body", "customers"), "msg": message}])


def _refuse_repeated(what: str, places: list[Any], ids: list[str]) -> None:
    if len(set(ids)) == len(ids):
        return
    met: set[str] = set()
    for place, one in zip(places, ids, strict=True):
        if one in met:
            fault = {"type": "value_error", "loc": ("body", *place, what), "msg": f"this {what} came before"}
            raise RequestValidationError([fault])
        met.add(one)


def _body(snapshot: Snapshot, answers: list[Answer]) -> bytes:
    pieces = [b'{"snapshot_id":%b,"results":[' % orjson.dumps(snapshot.snapshot_id)]
    for place, one in enumerate(answers):
        about = {"customer_id": one.customer_id, "status": one.status}
        warnings = {kind: list(one.warnings.get(kind, ())) for kind in Warned.model_fields}
        head = orjson.dumps({**about, "warnings": warnings})
        pieces += (b"," if place else b"", head[:-1], b',"score":', one.document, b"}")
    return b"".join([*pieces, b"]}"])
