"""What a route declares: the scopes of which its caller needs one."""

from typing import Annotated

from fastapi import Request, Security
from fastapi.security import APIKeyHeader, HTTPBearer

from fedelta.serve.caller.problems import Problem
from fedelta.serve.caller.scopes import Caller, PersonScope

_bearer = HTTPBearer(auto_error=False, description="`Authorization: Bearer KEY`, a key or a token")
_header = APIKeyHeader(name="X-API-Key", auto_error=False)


class Needs:
    """A route's dependency: the caller, who has one of these scopes. The caller layer has checked it before any body.

    It is checked here again, so that a route is closed even where an application is put together without that layer.
    """

    def __init__(self, *scopes: PersonScope) -> None:
        self.scopes = frozenset(scopes)

    async def __call__(
        self,
        request: Request,
        _bearer: Annotated[object, Security(_bearer)],
        _header: Annotated[object, Security(_header)],
    ) -> Caller:
        """See ``authorise``."""
        return authorise(request, *self.scopes)


def needs(*scopes: PersonScope) -> Needs:
    """A route's dependency: the caller, who has one of ``scopes``."""
    return Needs(*scopes)


def authorise(request: Request, *scopes: str) -> Caller:
    """The caller of a request, who has one of ``scopes``.

    Raises
    ------
    Problem
        403 when it has none of them, or is not known.
    """
    caller: Caller | None = request.scope["state"].get("caller")
    if caller is None or caller.scopes.isdisjoint(scopes):
        raise Problem(403, "forbidden", f"This needs the scope {' or '.join(sorted(scopes))}.")
    return caller
