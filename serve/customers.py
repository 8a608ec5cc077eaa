"""Routes for the scores of customers one knows: one at a time, or a thousand."""

import re
from collections.abc import Callable, Coroutine
from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.routing import APIRoute
from pydantic import AfterValidator, BaseModel, Field

from fedelta.serve.caller.auth import authorise, needs
from fedelta.serve.caller.problems import Problem, responses
from fedelta.serve.document import Score
from fedelta.serve.store import ScoreStore, StoredKey

MOST_IDS = 1_000
JSON = "application/json"

router = APIRouter(prefix="/v1", tags=["scores"])


class ScoreRoute(APIRoute):
    """The route of the hottest read: described like any other, answered without FastAPI's solving of dependencies.

    That halves the CPU of a read. The price is that this class must hand the endpoint its arguments, the key included.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **settings: Any) -> None:
        super().__init__(path, endpoint, **settings)
        self.path_regex = re.compile(self.path_regex.pattern, re.DOTALL)  # an id may hold a line break

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """What answers a request."""

        async def answer(request: Request) -> Response:
            key = authorise(request, "read:score")
            response: Response = await self.endpoint(request.path_params["customer_id"], request, key)
            return response

        return answer


async def read_score(
    customer_id: str, request: Request, _key: Annotated[StoredKey, Depends(needs("read:score"))]
) -> Response:
    """Return the latest score of one customer.

    A customer who is known but could not be scored has `status` other than `scored`, and `status_reason`. The ETag is
    the scoring run's id: send it back as `If-None-Match` to get 304 until there are new scores.
    """
    store: ScoreStore = request.app.state.store
    snapshot_id, body = store.find(customer_id)
    if body is None:
        shown = customer_id if len(customer_id) <= 80 else f"{customer_id[:80]}…"
        detail = f"There is no score of {shown!r}: new customers appear after the next scoring run."
        raise Problem(404, "unknown-customer", detail)
    headers = {"etag": f'"{snapshot_id}"', "cache-control": "private, no-cache"}
    if _has(request.headers.get("if-none-match"), headers["etag"]):
        return Response(status_code=304, headers=headers)
    return Response(body, headers=headers, media_type=JSON)


def add_score_route(app: FastAPI) -> None:
    """Add the route of ``read_score`` to the application itself: an included router would match its path anew."""
    app.router.add_api_route(
        "/v1/customers/{customer_id:path}/score",
        read_score,
        methods=["GET"],
        tags=["scores"],
        response_class=Response,
        responses={200: {"model": Score}, 304: {"description": "No newer score"}, **responses(401, 403, 404, 503)},
        route_class_override=ScoreRoute,
    )


def _storable(customer_id: str) -> str:
    if any("\ud800" <= character <= "\udfff" for character in customer_id):
        raise ValueError("half of a surrogate pair is no character")
    return customer_id


class Wanted(BaseModel):
    """Whose scores to return; an id may occur more than once."""

    model_config = {"extra": "forbid"}
    customer_ids: list[Annotated[str, AfterValidator(_storable)]] = Field(max_length=MOST_IDS)


class Found(BaseModel):
    """The answer for one of the ids asked for."""

    customer_id: str
    status: Literal["found", "not_found"]
    score: Score | None = Field(default=None, description="present when found")  # type: ignore[valid-type]


class Batch(BaseModel):
    """One answer per id asked for, in their order, all from one scoring run."""

    snapshot_id: str
    results: list[Found]


@router.post(
    "/scores:batch",
    response_class=Response,
    responses={200: {"model": Batch}, **responses(400, 401, 403, 413, 422, 503)},
)
async def read_scores(
    wanted: Wanted, request: Request, _key: Annotated[StoredKey, Depends(needs("read:score"))]
) -> Response:
    """Return the latest scores of up to 1,000 customers; unknown ids are marked, not refused."""
    store: ScoreStore = request.app.state.store
    return Response(await run_in_threadpool(_batch, store, wanted.customer_ids), media_type=JSON)


def _batch(store: ScoreStore, customer_ids: list[str]) -> bytes:
    snapshot_id, bodies = store.find_many(customer_ids)
    results: list[dict[str, object]] = [
        {"customer_id": customer_id, "status": "found", "score": orjson.Fragment(body)}
        if (body := bodies.get(customer_id))
        else {"customer_id": customer_id, "status": "not_found"}
        for customer_id in customer_ids
    ]
    return orjson.dumps({"snapshot_id": snapshot_id, "results": results})


def _has(if_none_match: str | None, etag: str) -> bool:
    """Whether the header names this tag; compared weakly, as RFC 9110 section 13.1.2 has it."""
    if if_none_match is None:
        return False
    return any(tag.strip().removeprefix("W/") in (etag, "*") for tag in if_none_match.split(","))
