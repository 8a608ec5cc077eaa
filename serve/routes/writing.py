"""What routes that write have in common: who acts, requests carried out once, revisions."""

import re
from collections.abc import Callable
from typing import Annotated, TypeVar

import sqlalchemy as sa
from fastapi import Header, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel

from fedelta.serve.acting.actor import Actor
from fedelta.serve.acting.refusals import ChangedMeanwhile
from fedelta.serve.caller.problems import Problem
from fedelta.serve.caller.scopes import Caller
from fedelta.serve.operational.idempotency import once
from fedelta.serve.operational.tenants import ensure
from fedelta.serve.snapshots.read import SnapshotFile
from fedelta.serve.store import Store

T = TypeVar("T")
MOST_NUMBER = 2**53 - 1  # what every reader of JSON takes for a whole number

IdempotencyKey = Annotated[
    str,
    Header(
        min_length=1,
        max_length=128,
        pattern=r"^[A-Za-z0-9_.:-]+$",
        description="Made by the sender, a new one for each request: sent again, the request is answered as before.",
    ),
]
IfMatch = Annotated[
    str | None, Header(max_length=100, description="The ETag of the case as it was read, or * for any.")
]


def each_once(request: Request, *but: str) -> None:
    """Refuse a parameter that comes twice, of which one would be left out of account; ``but`` these may.

    Raises
    ------
    RequestValidationError
        422.
    """
    given = [name for name, _ in request.query_params.multi_items()]
    if twice := sorted({name for name in given if name not in but and given.count(name) > 1}):
        raise RequestValidationError(
            [{"type": "twice", "loc": ("query", name), "msg": "is given more than once"} for name in twice]
        )


def actor_of(request: Request, key: Caller) -> Actor:
    """Who acts by this request."""
    store: Store = request.app.state.store
    return Actor(key.tenant, key.name, store.database, request.state.request_id)


async def written(request: Request, change: Callable[[sa.Connection], T]) -> T:
    """What ``change`` returns, on disk; it writes its own lines of the audit.

    The caller's tenant is made where there is none: a token may be the first to name it.
    """
    store: Store = request.app.state.store
    caller: Caller = request.state.caller

    def within(connection: sa.Connection) -> T:
        ensure(connection, caller.tenant)
        return change(connection)

    result = await store.write(within)
    request.state.audited = True
    return result


async def written_once(
    request: Request, actor: Actor, operation: str, key: str, body: BaseModel, act: Callable[[sa.Connection], str]
) -> Response:
    """The JSON that ``act`` answers, or answered when this request came before. Raises ``KeyReused``."""
    wanted = body.model_dump_json().encode()
    answer, repeated = await written(
        request,
        lambda connection: once(connection, actor.tenant, actor.name, operation, key, wanted, lambda: act(connection)),
    )
    headers = {"idempotency-replayed": "true"} if repeated else {}
    return Response(answer, headers=headers, media_type="application/json")


async def current_file(request: Request, key: Caller) -> SnapshotFile:
    """The current run of the caller's tenant. Raises as ``Store.current`` does."""
    store: Store = request.app.state.store
    return (await store.current(key.tenant)).file


def etag(revision: int) -> str:
    """The ETag of a revision."""
    return f'"{revision}"'


def revision_of(if_match: str | None) -> int | None:
    """The revision that If-Match names; None of ``*``.

    Raises
    ------
    Problem
        428 without the header.
    ChangedMeanwhile
        If it is no ETag of ours.
    """
    if if_match is None:
        detail = "Send the ETag of the case as you read it as If-Match, so that no change of others is lost."
        raise Problem(428, "revision-needed", detail)
    if if_match.strip() == "*":
        return None
    if (found := re.fullmatch(r'\s*"(\d{1,9})"\s*', if_match, re.ASCII)) is None:
        raise ChangedMeanwhile("If-Match is not an ETag of this case: read it again.")
    return int(found[1])
