"""Routes for the scores of customers one knows: one at a time, or a thousand."""

import json
from collections.abc import Sequence
from typing import Annotated, Literal

import orjson
from fastapi import APIRouter, Depends, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import AfterValidator, BaseModel, Field, TypeAdapter, ValidationError

from fedelta.serve.caller.auth import needs
from fedelta.serve.caller.problems import Problem, responses
from fedelta.serve.caller.scopes import Caller
from fedelta.serve.routes.direct import direct
from fedelta.serve.snapshots.document import Score
from fedelta.serve.store import Snapshot, Store

MOST_IDS = 1_000
JSON = "application/json"

_FEW = 10  # ids that are found on the event loop sooner than a thread is asked


async def _score(request: Request, key: Caller) -> Response:
    store: Store = request.app.state.store
    customer_id: str = request.path_params["customer_id"]
    snapshot = await store.current(key.tenant)
    body = snapshot.find(customer_id)
    if body is None:
        shown = customer_id if len(customer_id) <= 80 else f"{customer_id[:80]}…"
        detail = f"There is no score of {shown!r}: new customers appear after the next scoring run."
        raise Problem(404, "unknown-customer", detail)
    etag = f'"{snapshot.snapshot_id}.{snapshot.revision_of(customer_id)}"'
    headers = {"etag": etag, "cache-control": "private, no-cache"}
    if _has(request.headers.get("if-none-match"), etag):
        return Response(status_code=304, headers=headers)
    return Response(body, headers=headers, media_type=JSON)


async def read_score(
    customer_id: str, request: Request, key: Annotated[Caller, Depends(needs("read:score"))]
) -> Response:
    """Return the latest score of one customer.

    A customer who is known but could not be scored has `status` other than `scored`, and `status_reason`. The ETag is
    the scoring run's id and the customer's revision: send it back as `If-None-Match` to get 304 until the score is new.
    """
    del customer_id
    return await _score(request, key)


def _storable(customer_id: str) -> str:
    if any("\ud800" <= character <= "\udfff" for character in customer_id):
        raise ValueError("half of a surrogate pair is no character")
    return customer_id


class Wanted(BaseModel):
    """Whose scores to return; an id may occur more than once."""

    model_config = {"extra": "forbid"}
    customer_ids: list[Annotated[str, AfterValidator(_storable)]] = Field(max_length=MOST_IDS)


class _Quick(BaseModel):
    """`Wanted` as it is read from bytes: what is no character is no JSON there."""

    model_config = {"extra": "forbid"}
    customer_ids: list[str] = Field(max_length=MOST_IDS)


_QUICK, _WANTED = TypeAdapter(_Quick), TypeAdapter(Wanted)


class Found(BaseModel):
    """The answer for one of the ids asked for."""

    customer_id: str
    status: Literal["found", "not_found"]
    score: Score | None = Field(default=None, description="present when found")  # type: ignore[valid-type]


class Batch(BaseModel):
    """One answer per id asked for, in their order, all from one scoring run."""

    snapshot_id: str
    results: list[Found]


async def _scores(request: Request, key: Caller) -> Response:
    store: Store = request.app.state.store
    customer_ids = _ids(await request.body())
    snapshot = await store.current(key.tenant)
    if len(customer_ids) <= _FEW:
        return Response(_batch(snapshot, customer_ids), media_type=JSON)
    return Response(await store.off_loop(_batch, snapshot, customer_ids), media_type=JSON)


async def read_scores(
    wanted: Wanted, request: Request, key: Annotated[Caller, Depends(needs("read:score"))]
) -> Response:
    """Return the latest scores of up to 1,000 customers; unknown ids are marked, not refused."""
    del wanted
    return await _scores(request, key)


def add_routes(router: APIRouter) -> None:
    """Add the routes to the service's own: an included router would match their paths anew."""
    router.add_api_route(
        "/v1/customers/{customer_id:path}/score",
        read_score,
        methods=["GET"],
        tags=["scores"],
        response_class=Response,
        responses={200: {"model": Score}, 304: {"description": "No newer score"}, **responses(401, 403, 404, 503)},
        route_class_override=direct(_score, "read:score"),
    )
    router.add_api_route(
        "/v1/scores:batch",
        read_scores,
        methods=["POST"],
        tags=["scores"],
        response_class=Response,
        responses={200: {"model": Batch}, **responses(400, 401, 403, 413, 422, 503)},
        route_class_override=direct(_scores, "read:score"),
    )


def _ids(body: bytes) -> Sequence[str]:
    """The ids that a body asks for; the slow way through Python's own reader tells what is wrong with it."""
    try:
        return _QUICK.validate_json(body).customer_ids
    except ValidationError:
        pass
    try:
        document = json.loads(body) if body else None
    except (ValueError, RecursionError) as error:
        raise RequestValidationError(
            [{"type": "json_invalid", "loc": ("body",), "msg": "JSON decode error"}]
        ) from error
    try:
        return _WANTED.validate_python(document).customer_ids
    except ValidationError as error:
        raise RequestValidationError([{**one, "loc": ("body", *one["loc"])} for one in error.errors()]) from error


def _batch(snapshot: Snapshot, customer_ids: Sequence[str]) -> bytes:
    bodies, dumps = snapshot.documents(customer_ids), orjson.dumps
    pieces: list[bytes | memoryview] = [b'{"snapshot_id":"%b","results":[' % snapshot.snapshot_id.encode()]
    for customer_id in customer_ids:
        if (body := bodies.get(customer_id)) is None:
            pieces.append(b',{"customer_id":%b,"status":"not_found"}' % dumps(customer_id))
        else:
            pieces += (b',{"customer_id":%b,"status":"found","score":' % dumps(customer_id), body, b"}")
    if customer_ids:
        pieces[1] = pieces[1][1:]
    pieces.append(b"]}")
    return b"".join(pieces)


def _has(if_none_match: str | None, etag: str) -> bool:
    """Whether the header names this tag; compared weakly, as RFC 9110 section 13.1.2 has it."""
    if if_none_match is None:
        return False
    return any(tag.strip().removeprefix("W/") in (etag, "*") for tag in if_none_match.split(","))
