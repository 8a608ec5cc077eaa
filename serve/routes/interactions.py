"""The route for what just happened to customers: stored, acknowledged, and their scores made anew."""

import json
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

import orjson
import sqlalchemy as sa
from fastapi import APIRouter, Depends, Header, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from fedelta.serve.caller.auth import needs
from fedelta.serve.caller.problems import Fault, responses
from fedelta.serve.caller.scopes import Caller
from fedelta.serve.live.pool import Busy, NotEquipped
from fedelta.serve.live.rows import Posted, validated
from fedelta.serve.live.worker import CannotScore
from fedelta.serve.operational.erased import Erased
from fedelta.serve.operational.erasures import erased_among
from fedelta.serve.operational.idempotency import once
from fedelta.serve.operational.received import Came, Live, receive
from fedelta.serve.rescoring import Rescoring
from fedelta.serve.routes.direct import direct
from fedelta.serve.routes.writing import IdempotencyKey, actor_of, written
from fedelta.serve.snapshots.document import Score
from fedelta.serve.snapshots.parts import SETTINGS
from fedelta.serve.store import NothingPublished, Store, Unavailable

MOST_ROWS = 1_000
JSON = "application/json"
_AHEAD = timedelta(minutes=1)  # by which the clocks of two machines may differ
_KEY = re.compile(r"[A-Za-z0-9_.:-]{1,128}")


class Happened(BaseModel):
    """What happened, to any customers."""

    model_config = {"extra": "forbid"}
    interactions: list[Posted] = Field(max_length=MOST_ROWS)


class _Came(BaseModel):
    """`Happened` before its rows are read one by one."""

    model_config = {"extra": "forbid"}
    interactions: list[Any] = Field(max_length=MOST_ROWS)


class InteractionResult(BaseModel):
    """What became of one interaction."""

    interaction_id: str | None
    status: Literal["accepted", "duplicate", "invalid"] = Field(
        description="accepted: it is stored; duplicate: one of this id was there; invalid: it is not stored"
    )
    errors: list[Fault] = Field(description="of an invalid one")


class Rescored(BaseModel):
    """The score of a customer after what happened."""

    customer_id: str
    status: Literal["scored", "pending", "not_scored"] = Field(
        description="pending: it will be made, and read as all are; not_scored: this service cannot make it"
    )
    score: Score | None = Field(None, description="present when scored")  # type: ignore[valid-type]


class Received(BaseModel):
    """One result per interaction, in the order sent."""

    accepted: int
    results: list[InteractionResult]
    scores: list[Rescored] | None = Field(
        None, description="present when asked for: of the customers of what is stored"
    )


_CAME, _POSTED, _ALL = TypeAdapter(_Came), TypeAdapter(Posted), TypeAdapter(Happened)
_FLAG = TypeAdapter(bool)
_ERASED = {"where": "customer_id", "what": "the customer was erased"}


@dataclass(frozen=True)
class _Judged:
    """A row that came: what can be stored, or why nothing can."""

    interaction_id: str | None
    row: Posted | None
    errors: Sequence[dict[str, str]] = ()


async def _receive(request: Request, key: Caller) -> Response:
    store: Store = request.app.state.store
    content, waits = await request.body(), _waits(request)
    idempotency_key = _key_of(request)
    kinds, channels = await _declared(store, key.tenant)
    judged = await store.off_loop(_judge, content, kinds, channels, store.erased(key.tenant))
    rows = [one.row for one in judged if one.row is not None]

    def act(connection: sa.Connection) -> str:
        # Of an erasure in another worker the store may hear a second later.
        gone = erased_among(connection, store.database, key.tenant, {row.customer_id for row in rows})
        new = receive(connection, key.tenant, [_came(row) for row in rows if row.customer_id not in gone])
        actor_of(request, key).note(connection, "interactions.received", "", accepted=len(new), came=len(judged))
        return orjson.dumps(_receipts([_unless_erased(one, gone) for one in judged], new)).decode()

    def change(connection: sa.Connection) -> tuple[str, bool]:
        if idempotency_key is None:
            return act(connection), False
        return once(
            connection, key.tenant, key.name, "receive_interactions", idempotency_key, content, lambda: act(connection)
        )

    answer, repeated = await written(request, change)
    names = list(dict.fromkeys(row.customer_id for row in rows))
    headers = {"idempotency-replayed": "true"} if repeated else {}
    body = answer.encode()
    if waits:
        body = b'%b,"scores":[%b]}' % (body[:-1], await _scores(request, key, names))
        headers["preference-applied"] = "wait"
    elif not repeated:
        request.app.state.rescoring.soon(key.tenant, names)
    return Response(body, headers=headers, media_type=JSON)


async def receive_interactions(
    happened: Happened,
    request: Request,
    key: Annotated[Caller, Depends(needs("write:interactions"))],
    score: Annotated[
        bool, Query(description="Wait for the new scores, and return them. So does `Prefer: wait`.")
    ] = False,
    idempotency_key: Annotated[IdempotencyKey | None, Header()] = None,
) -> Response:
    """Store up to 1,000 interactions, and make the scores of their customers anew.

    What is acknowledged is on disk. Each interaction has a result of its own; one whose id was there before is a
    duplicate. Scores are made from whole histories: those of the current scoring run and what was received since. They
    are read in place of the run's, alone, in batches and on pages of the list, marked `live`.
    """
    del happened, score, idempotency_key
    return await _receive(request, key)


def add_routes(router: APIRouter) -> None:
    """Add the route to the service's own: rows are read one by one, which FastAPI would refuse together."""
    router.add_api_route(
        "/v1/interactions",
        receive_interactions,
        methods=["POST"],
        tags=["interactions"],
        response_class=Response,
        responses={200: {"model": Received}, **responses(400, 401, 403, 409, 413, 422, 503)},
        route_class_override=direct(_receive, "write:interactions"),
    )


async def _scores(request: Request, key: Caller, names: Sequence[str]) -> bytes:
    """The new scores of customers, whether they were made now or will be."""
    rescoring: Rescoring = request.app.state.rescoring
    made: list[Live] = []
    otherwise = b"pending"
    try:
        made = await rescoring.scored(key.tenant, names)
    except (CannotScore, NotEquipped, NothingPublished):
        otherwise = b"not_scored"
    except (Busy, Unavailable):
        pass
    by_id = {one.customer_id: one.document for one in made}
    pieces = []
    for name in names:
        head, document = orjson.dumps(name), by_id.get(name)
        if document is None:
            pieces.append(b'{"customer_id":%b,"status":"%b"}' % (head, otherwise))
        else:
            pieces.append(b'{"customer_id":%b,"status":"scored","score":%b}' % (head, document))
    return b",".join(pieces)


def _came(row: Posted) -> Came:
    counts_from = max(row.occurred_at, row.known_at or row.occurred_at)
    return Came(row.interaction_id, row.customer_id, counts_from, row.model_dump_json(exclude_none=True))


def _receipts(judged: Sequence[_Judged], new: set[str]) -> dict[str, Any]:
    results, left = [], set(new)
    for one in judged:
        status = "invalid"
        if one.row is not None:
            status = "accepted" if one.row.interaction_id in left else "duplicate"
            left.discard(one.row.interaction_id)
        results.append({"interaction_id": one.interaction_id, "status": status, "errors": list(one.errors)})
    return {"accepted": len(new), "results": results}


def _judge(
    content: bytes, kinds: frozenset[str] | None, channels: frozenset[str] | None, erased: Erased
) -> list[_Judged]:
    """What can be stored of a body, row by row."""
    try:
        rows: list[Any] = list(_ALL.validate_json(content).interactions)
    except ValidationError:
        rows = validated(_CAME, content).interactions
    return [_judged(row, kinds, channels, erased, datetime.now(UTC) + _AHEAD) for row in rows]


def _judged(
    row: Any, kinds: frozenset[str] | None, channels: frozenset[str] | None, erased: Erased, until: datetime
) -> _Judged:
    if not isinstance(row, Posted):
        name = row.get("interaction_id") if isinstance(row, dict) else None
        name = name if isinstance(name, str) else None
        try:
            row = _POSTED.validate_json(orjson.dumps(row))
        except ValidationError as error:
            found = error.errors(include_input=False, include_context=False, include_url=False)
            return _Judged(name, None, [{"where": ".".join(map(str, one["loc"])), "what": one["msg"]} for one in found])
        except TypeError:  # numbers beyond 64 bits
            return _Judged(name, None, [{"where": "", "what": "a number has too many digits"}])
    faults = [
        {"where": name, "what": "it lies in the future"}
        for name in ("occurred_at", "known_at")
        if (at := getattr(row, name)) is not None and at > until
    ]
    if row.customer_id in erased:
        faults.append(_ERASED)
    for name, known in (("kind", kinds), ("channel", channels)):
        if known is not None and getattr(row, name) is not None and getattr(row, name) not in known:
            faults.append({"where": name, "what": f"the source has no such {name}: {', '.join(sorted(known))}"})
    return _Judged(row.interaction_id, None if faults else row, faults)


def _unless_erased(one: _Judged, gone: Collection[str]) -> _Judged:
    erased = one.row is not None and one.row.customer_id in gone
    return _Judged(one.interaction_id, None, [_ERASED]) if erased else one


async def _declared(store: Store, tenant: str) -> tuple[frozenset[str] | None, frozenset[str] | None]:
    """The kinds and channels that the source of the current run has; None where they are not known."""
    try:
        parts = (await store.current(tenant)).parts
    except (NothingPublished, Unavailable):
        return None, None
    return await store.off_loop(_words_of, parts.context) if parts else (None, None)


@lru_cache(maxsize=64)
def _words_of(context: str) -> tuple[frozenset[str] | None, frozenset[str] | None]:
    settings = json.loads((Path(context) / SETTINGS).read_bytes())
    return frozenset(settings["kinds"]), frozenset(settings["channels"])


def _waits(request: Request) -> bool:
    """Whether the scores are waited for (RFC 7240, section 4.3)."""
    preferences = request.headers.get("prefer", "").lower().split(",")
    if any(one.split(";")[0].split("=")[0].strip() == "wait" for one in preferences):
        return True
    if (asked := request.query_params.get("score")) is None:
        return False
    try:
        return _FLAG.validate_python(asked)
    except ValidationError as error:
        raise RequestValidationError([{**error.errors()[0], "loc": ("query", "score")}]) from None


def _key_of(request: Request) -> str | None:
    key = request.headers.get("idempotency-key")
    if key is not None and not _KEY.fullmatch(key):
        message = "1 to 128 letters, digits and _ . : - were expected"
        raise RequestValidationError([{"type": "value_error", "loc": ("header", "idempotency-key"), "msg": message}])
    return key
