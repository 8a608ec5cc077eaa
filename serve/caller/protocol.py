"""HTTP over one connection, within limits: uvicorn's protocol, which itself sets none for headers, time or readers."""

import asyncio
from collections.abc import Callable
from typing import Any, NoReturn

import httptools
import uvicorn
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from fedelta.features.errors import FedeltaError
from fedelta.serve.caller.connections import Connections
from fedelta.serve.caller.peers import network_of
from fedelta.serve.caller.problems import new_request_id, problem_bytes
from fedelta.serve.caller.settings import Limits

_SLICE = 16_384  # what is parsed at once while headers are open, so that no header outgrows its limit unseen
_MOST_DISCARDED = 4_000_000  # bytes that a client may send on after it was refused
_LINGER_SECONDS = 2.0


class LimitedConfig(uvicorn.Config):
    """uvicorn's configuration with our limits; workers get it pickled, before there is any connection."""

    def __init__(
        self, app: Callable[..., Any], *, limits: Limits, exempt: frozenset[str] = frozenset(), **settings: Any
    ) -> None:
        super().__init__(app, http=LimitedProtocol, ws="none", **settings)
        self._limits, self._exempt = limits, exempt
        self._connections: Connections | None = None

    @property
    def connections(self) -> Connections:
        """The connections of this process."""
        if self._connections is None:
            self._connections = Connections(self._limits, self._exempt)
        return self._connections


class _Refused(FedeltaError):
    """Raised inside the parser's callbacks, to stop it."""


class LimitedProtocol(HttpToolsProtocol):
    """One connection. A limit that is broken is answered once, in few words; what else comes is read and dropped."""

    def __init__(
        self,
        config: LimitedConfig,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.held = config.connections
        self.limits = self.held.limits
        self.held.watcher = app_state.get("watcher", self.held.watcher)
        self.peer = self.network = ""
        self._reading_headers = True
        self._reading_body = False
        self._header_bytes = 0
        self._beside_body = 0  # bytes since the last of the body: extensions of chunks, trailers
        self._since = self.loop.time()  # when what is waited for now began: a request, its headers, its body
        self._paused_since = self._closing_since = 0.0
        self._refusal: tuple[int, str, str] | None = None
        self._lingering, self._discarded = False, 0

    # What asyncio calls

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """Take the connection, or say politely that there are too many."""
        super().connection_made(transport)
        self.peer = self.client[0] if self.client else ""
        self.network = network_of(self.peer)
        if not self.held.admit(self):
            self._refuse(503, "too-many-connections", "Too many connections are open: try again, or reuse yours.")

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of what was held for it."""
        self.held.release(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Feed the parser, in slices while headers are open; stop as soon as a limit is broken."""
        if self._lingering:
            self._discarded += len(data)
            if self._discarded > _MOST_DISCARDED:
                self.transport.abort()
            return
        if len(data) <= _SLICE:
            self._feed(data)
            return
        for start in range(0, len(data), _SLICE):
            self._feed(data[start : start + _SLICE])
            if self._ended():
                return

    def _ended(self) -> bool:
        """Whether nothing more of the connection is read as a request."""
        return self._lingering or self.transport.is_closing()

    def _feed(self, data: bytes) -> None:
        if self._reading_headers:
            if not self._header_bytes:
                self._since = self.loop.time()
            self._header_bytes += len(data)
            if self._header_bytes > self.limits.header_bytes and not self._ends_headers(data):
                self._refuse(431, "headers-too-large", _HEADERS.format(self.limits.header_bytes))
                return
        else:
            self._beside_body += len(data)
        try:
            self.parser.feed_data(data)
            if self._beside_body > self.limits.header_bytes and self._reading_body:
                self._refuse(431, "headers-too-large", _BESIDE.format(self.limits.header_bytes))
        except httptools.HttpParserUpgrade:
            self.cycle.keep_alive = False  # we speak no other protocol: answer, and close
        except httptools.HttpParserError:
            self._refuse(*(self._refusal or (400, "bad-request", "This is not an HTTP request.")))

    def _ends_headers(self, data: bytes) -> bool:
        """Whether the headers end within the limit, and the rest of ``data`` is a body."""
        within = len(data) - (self._header_bytes - self.limits.header_bytes)
        return within > 0 and (data.startswith(b"\n") or b"\n\r\n" in data[:within] or b"\n\n" in data[:within])

    # What the parser calls

    def on_headers_complete(self) -> None:
        """Check the request line and what is declared, then begin to answer."""
        headers, limits = self.headers, self.limits
        if len(self.url) > limits.target_bytes:
            self._stop(414, "target-too-long", f"An address may have {limits.target_bytes:,} bytes: send less in it.")
        if len(headers) > limits.headers:
            self._stop(431, "headers-too-large", f"A request may have {limits.headers} headers: send fewer.")
        if self._header_bytes > limits.header_bytes // 2:
            total = len(self.url) + sum(len(name) + len(value) + 4 for name, value in headers)
            if total > limits.header_bytes:
                self._stop(431, "headers-too-large", _HEADERS.format(limits.header_bytes))
        if len(self.pipeline) >= limits.pipelined:
            self._stop(400, "bad-request", f"{limits.pipelined} requests may wait on a connection: read the answers.")
        for name, value in headers:
            if name == b"content-length" and (len(value) > 15 or int(value) > limits.body_bytes):
                self._stop(413, "too-large", f"A body may have {limits.body_bytes:,} bytes: split the request.")
        self._reading_headers = False
        self._reading_body = True
        self._header_bytes = self._beside_body = 0
        self._since = self.loop.time()
        self.held.busy(self)
        super().on_headers_complete()
        self.headers = []  # for trailers, which count for nothing: no proxy looked at them (RFC 9110, section 6.5.1)

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body."""
        self._beside_body = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The whole request is here."""
        self._reading_headers = True
        self._reading_body = False
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """The answer is written: wait for the next request, which the sweep over all connections limits."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            cycle, app = self.pipeline.pop()
            self._start_asgi_task(cycle, app)
            return
        self._since = self.loop.time()
        self.held.idle(self)

    def pause_writing(self) -> None:
        """The reader is slower than we are."""
        self._paused_since = self.loop.time()
        super().pause_writing()

    def resume_writing(self) -> None:
        """The reader has taken something."""
        self._paused_since = 0.0
        super().resume_writing()

    # What the sweep calls

    def overdue(self, now: float) -> str | None:
        """Close the connection if what it owes is late; the reason, for the metrics."""
        limits, reason = self.limits, None
        if self.transport.is_closing():  # closed for reading; what is written may still wait to be taken
            self._closing_since = self._closing_since or now
            if now - self._closing_since > limits.write_seconds:
                reason = self._cut("write_deadline")
        elif self._paused_since and now - self._paused_since > limits.write_seconds:
            reason = self._cut("write_deadline")
        elif self._lingering:
            reason = self._cut("lingered") if now - self._since > _LINGER_SECONDS else None
        elif self._reading_body:
            if now - self._since > limits.body_seconds:
                reason = self._too_slow("body_deadline", f"A body must be here within {limits.body_seconds:g} seconds.")
        elif not self._answering:  # what we owe is not the client's fault
            reason = self._without_request(now - self._since)
        return reason

    def _without_request(self, waited: float) -> str | None:
        limits = self.limits
        if self._header_bytes:
            if waited <= limits.header_seconds:
                return None
            return self._too_slow("header_deadline", f"Headers must be here within {limits.header_seconds:g} seconds.")
        if waited <= limits.idle_seconds:
            return None
        if self.transport.get_write_buffer_size():
            return self._cut("write_deadline")
        self.transport.close()
        return "idle"

    @property
    def _answering(self) -> RequestResponseCycle | None:
        """The request that is being answered."""
        cycle: RequestResponseCycle | None = self.cycle
        return None if cycle is None or cycle.response_complete else cycle

    def _too_slow(self, reason: str, detail: str) -> str:
        self._refuse(408, "too-slow", detail)
        return reason

    def _cut(self, reason: str) -> str:
        self.transport.abort()
        return reason

    def _stop(self, status: int, kind: str, detail: str) -> NoReturn:
        """Stop the parser from inside one of its callbacks."""
        self._refusal = (status, kind, detail)
        raise _Refused

    def _refuse(self, status: int, kind: str, detail: str) -> None:
        """Answer on the wire and read on for a moment, for a client that still sends would else miss the answer."""
        self.held.count(kind)
        self._lingering, self._since = True, self.loop.time()
        if (cycle := self._answering) is not None:
            if cycle.response_started:
                self.transport.close()
                return
            cycle.disconnected = True  # its application learns that nobody waits for an answer
            cycle.message_event.set()
        request_id = new_request_id()
        body = problem_bytes(request_id, status, kind, detail)
        head = (
            b"content-type: application/problem+json\r\ncontent-length: %d\r\nx-request-id: %b\r\n"
            b"connection: close\r\nx-content-type-options: nosniff\r\ncache-control: no-store\r\n"
        ) % (len(body), request_id.encode())
        retry = b"retry-after: 2\r\n" if status == 503 else b""
        self.transport.write(STATUS_LINE[status] + head + retry + b"\r\n" + body)
        if kind == "too-many-connections" or not self.transport.can_write_eof():
            self.transport.close()
        else:
            self.transport.write_eof()
            self.flow.resume_reading()


_BESIDE = "Between the pieces of a body and behind it there may be {:,} bytes: send less."
_HEADERS = "Request line and headers may have {:,} bytes together: send less."
