"""Routes of another kind than FastAPI's own: those whose address holds any id, and those of the hottest reads."""

import re
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

from fedelta.serve.caller.auth import authorise
from fedelta.serve.caller.scopes import Caller, Scope


class AnyId(APIRoute):
    """A route whose address may hold any id, one with line breaks too."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **settings: Any) -> None:
        super().__init__(path, endpoint, **settings)
        self.path_regex = re.compile(self.path_regex.pattern, re.DOTALL)


def direct(answer: Callable[[Request, Caller], Awaitable[Response]], *scopes: Scope) -> type[APIRoute]:
    """A class of route that lets ``answer`` have the request of a holder of one of ``scopes``.

    It is described like any other and answered without FastAPI's solving of dependencies, which halves the CPU of a
    read. The price is that what answers must read the request itself.
    """

    class Direct(AnyId):
        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            async def handle(request: Request) -> Response:
                return await answer(request, authorise(request, *scopes))

            return handle

    return Direct
