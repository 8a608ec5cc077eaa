"""Who asks: the API key of a request, and what it may do."""

import hmac
import time
from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Request, Security
from fastapi.security import APIKeyHeader, HTTPBearer

from fedelta.serve.caller.keys import Scope
from fedelta.serve.caller.problems import Problem
from fedelta.serve.operational.stored_keys import StoredKey, digest
from fedelta.serve.store import Store

REMEMBERED_SECONDS = 2.0
_REMEMBERED_KEYS = 10_000
_PREFIX_LENGTH = len("fdl_") + 10

_bearer = HTTPBearer(auto_error=False, description="Authorization: Bearer KEY")
_header = APIKeyHeader(name="X-API-Key", auto_error=False)


class Keyring:
    """Keys that were found good lately: one look-up serves two seconds, so a revocation works within them."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.monotonic) -> None:
        self._store, self._clock = store, clock
        self._known: dict[bytes, tuple[float, StoredKey]] = {}

    def holder(self, key: str) -> StoredKey | None:
        """Who holds this key, None when nobody does (any more)."""
        now, given = self._clock(), digest(key)
        if (known := self._known.get(given)) is not None and now < known[0]:
            return known[1]
        found = self._store.key(key[:_PREFIX_LENGTH])
        if found is None or not hmac.compare_digest(found.digest, given):
            self._known.pop(given, None)
            return None
        if len(self._known) >= _REMEMBERED_KEYS:
            self._known.clear()
        self._known[given] = (now + REMEMBERED_SECONDS, found)
        return found


def authorise(request: Request, *scopes: Scope) -> StoredKey:
    """The holder of the request's key, who has one of ``scopes``.

    Raises
    ------
    Problem
        401 without a good key, 403 when it lacks every one of the scopes.
    """
    key = _given_key(request)
    if key is None:
        raise _unauthorized("Send a key as `Authorization: Bearer KEY` or `X-API-Key: KEY`.", "")
    keyring: Keyring = request.app.state.keyring
    holder = keyring.holder(key)
    if holder is None:
        raise _unauthorized("The key is unknown or was revoked: make one with `fedelta keys create`.", "invalid_token")
    if holder.scopes.isdisjoint(scopes):
        needed = " or ".join(scopes)
        challenge = f'Bearer realm="fedelta", error="insufficient_scope", scope="{" ".join(scopes)}"'
        detail = f"This needs the scope {needed}, which the key {holder.name!r} lacks: make a key that has it."
        raise Problem(403, "forbidden", detail, {"WWW-Authenticate": challenge})
    return holder


def needs(*scopes: Scope) -> Callable[..., Awaitable[StoredKey]]:
    """A route's dependency: the holder of a key with one of ``scopes``."""

    async def holder(
        request: Request, _bearer: Annotated[object, Security(_bearer)], _header: Annotated[object, Security(_header)]
    ) -> StoredKey:
        return authorise(request, *scopes)

    return holder


def _given_key(request: Request) -> str | None:
    headers = request.headers
    if (authorization := headers.get("authorization")) is not None:
        scheme, _, key = authorization.partition(" ")
        if scheme.lower() == "bearer" and key.strip():
            return key.strip()
    return headers.get("x-api-key")


def _unauthorized(detail: str, error: str) -> Problem:
    challenge = 'Bearer realm="fedelta"' + (f', error="{error}"' if error else "")
    return Problem(401, "unauthorized", detail, {"WWW-Authenticate": challenge})
