"""What every request passes first: it gets an id, its body has a limit, and a crash becomes a problem document."""

import logging
import re
import secrets

from fastapi import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fedelta.serve.caller.problems import problem_response

BODY_LIMIT = 1_000_000  # bytes

_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")
_log = logging.getLogger("fedelta.serve")


class Guard:
    """ASGI middleware around the whole application."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, with ``X-Request-Id`` in the response: the one that came, else a new one."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers: list[tuple[bytes, bytes]] = scope["headers"]
        sent_id = declared = None
        for name, value in headers:
            if name == b"x-request-id":
                sent_id = value
            elif name == b"content-length":
                declared = value
        request_id = sent_id if sent_id and _ID.fullmatch(sent_id) else secrets.token_hex(16).encode()
        scope.setdefault("state", {})["request_id"] = request_id.decode()
        started = False

        async def answer(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", request_id)]
            await send(message)

        if declared is not None and (not declared.isdigit() or int(declared[:20]) > BODY_LIMIT):
            await _too_large(request_id.decode())(scope, receive, answer)
            return
        try:
            await self._app(scope, _limited(receive), answer)
        except Exception:
            _log.exception("Request %s failed: %s %r", request_id.decode(), scope["method"], scope["path"])
            if started:
                raise
            detail = "The error is in the log of the service, under the id of this request."
            await problem_response(request_id.decode(), 500, "internal", detail)(scope, receive, answer)


def _limited(receive: Receive) -> Receive:
    """``receive`` that fails as soon as more than ``BODY_LIMIT`` bytes have come, whatever was declared."""
    received = 0

    async def limited() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > BODY_LIMIT:
            raise HTTPException(413, _DETAIL, headers=_CLOSE)
        return message

    return limited


_DETAIL = f"A body may have {BODY_LIMIT:,} bytes: split the request."
_CLOSE = {"Connection": "close"}  # so that the rest of the body is not waited for


def _too_large(request_id: str) -> ASGIApp:
    return problem_response(request_id, 413, "too-large", _DETAIL, headers=_CLOSE)
