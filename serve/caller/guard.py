"""The caller layer: everything that is settled about a request before its body is read, and noted after its answer."""

import hashlib
import logging
import re
import time
from collections.abc import Callable
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import quote, unquote_to_bytes

from fastapi import HTTPException
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fedelta.features.errors import FedeltaError
from fedelta.serve.caller.access_log import AccessLog, Line
from fedelta.serve.caller.audit import Audit, Entry
from fedelta.serve.caller.callers import Callers, CannotKnow, Refused
from fedelta.serve.caller.draining import Draining
from fedelta.serve.caller.metrics import NOWHERE, Metrics
from fedelta.serve.caller.peers import network_of
from fedelta.serve.caller.problems import MEDIA_TYPE, new_request_id, problem_bytes
from fedelta.serve.caller.rates import Rates
from fedelta.serve.caller.rules import Rule, Rules
from fedelta.serve.caller.scopes import Caller
from fedelta.serve.caller.settings import Settings
from fedelta.serve.caller.telemetry import Spans

_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")
_SAFE = (b"x-content-type-options", b"nosniff")
_UNLESS_SET = (
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)
_HSTS = (b"strict-transport-security", b"max-age=31536000")
_NO_STORE = (b"cache-control", b"no-store")
_CLOSE = (b"connection", b"close")
_log = logging.getLogger("fedelta.serve")

DESK = "/desk"  # below it people are signed in by a cookie; keys and tokens count everywhere else
SIGN_IN = f"{DESK}/sign-in"
COOKIES = {"http": "fedelta", "https": "__Host-fedelta"}  # by scheme: a browser keeps the second for https alone
_SCHEMES = {"ws": "http", "wss": "https"}  # what a proxy may call a connection that we speak HTTP on
_ASCII = bytes(range(33, 127))
_SAFE_METHODS = frozenset({"GET", "HEAD"})
# A problem document as a page: what was asked, and the document; headers and body.
Shown = Callable[[Scope, bytes], tuple[list[tuple[bytes, bytes]], bytes]]


class _Denied(FedeltaError):
    """A request that goes no further: status, kind and detail of the problem, and its headers."""

    def __init__(self, status: int, kind: str, detail: str, *headers: tuple[bytes, bytes]) -> None:
        super().__init__()
        self.status, self.kind, self.detail, self.headers = status, kind, detail, headers


class Guard:
    """ASGI middleware around the whole application."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        routes: Starlette,
        settings: Settings,
        callers: Callers,
        rates: Rates,
        metrics: Metrics,
        draining: Draining,
        access_log: AccessLog | None = None,
        audit: Audit | None = None,
        spans: Spans | None = None,
        shown: Shown | None = None,
    ) -> None:
        self._app, self._routes, self._settings = app, routes, settings
        self._callers, self._rates, self._metrics, self._draining = callers, rates, metrics, draining
        self._access_log, self._audit, self._spans, self._shown = access_log, audit, spans, shown
        self._rules: Rules | None = None
        self._body_limit = settings.limits.body_bytes

    @property
    def rules(self) -> Rules:
        """The rules of the application's routes, as they are when the first request comes."""
        if self._rules is None:
            self._rules = Rules(self._routes.routes)
            for template in self._rules.undeclared:
                _log.warning("The route %s declares no scope and is not open: nobody can reach it.", template)
        return self._rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, with ``X-Request-Id`` in the response: the one that came, else a new one."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        scope["scheme"] = _SCHEMES.get(scope["scheme"], scope["scheme"])
        headers: dict[bytes, bytes] = dict(scope["headers"])
        sent_id = headers.get(b"x-request-id")
        request_id = sent_id.decode() if sent_id and _ID.fullmatch(sent_id) else new_request_id()
        state: dict[str, Any] = scope.setdefault("state", {})
        state["request_id"] = request_id
        answer = _Answer(send, scope, request_id.encode())
        rule: Rule | None = None
        try:
            path = _path(scope)
            if desk := path == DESK or path.startswith(f"{DESK}/"):
                answer.shown = self._shown
            _must_be_readable(scope)
            rule = self._rule(path, scope["method"], answer)
            if desk and scope["method"] not in _SAFE_METHODS:
                _of_our_pages(headers)
            if rule.scopes is not None:
                answer.personal = True
                await self._admit(scope, headers, rule, answer, desk=desk)
            receive = self._limited(scope, headers, receive)
            if self._draining.began:
                answer.extra.append(_CLOSE)
                if rule.template == "/readyz":
                    raise _Denied(503, "shutting-down", "The service is being stopped.", (b"retry-after", b"5"))
            await self._app(scope, receive, answer)
        except _Denied as denied:
            await answer.problem(denied)
        except ClientDisconnect:  # nobody hears it; the log and the metrics have it as what it is
            await answer.problem(_Denied(400, "bad-request", "The client left before its body was here."))
        except Exception as error:
            await self._crashed(rule, scope["method"], request_id, answer, error)
        finally:
            self._note(scope, headers, rule, answer, began)

    def _rule(self, path: str, method: str, answer: "_Answer") -> Rule:
        """The rule of the request's route.

        Raises ``_Denied`` with 404 or 405.
        """
        found = (self._rules or self.rules).of(path)
        if found is None:
            shown = path if len(path) <= 80 else f"{path[:80]}…"
            raise _Denied(404, "not-found", f"Nothing answers at {shown!r}: /openapi.json lists what does.")
        by_method, answer.parts = found
        rule = by_method.get(method)
        if rule is None:
            allowed = ", ".join(sorted(by_method)).encode()
            detail = f"{method} is not taken here; the Allow header names what is."
            raise _Denied(405, "method-not-allowed", detail, (b"allow", allowed))
        return rule

    async def _admit(
        self, scope: Scope, headers: dict[bytes, bytes], rule: Rule, answer: "_Answer", *, desk: bool
    ) -> None:
        """Find the caller, its scope and its rate.

        Raises ``_Denied`` with 401 (303 to sign-in at the desk), 403, 429 or 503.
        """
        credential = session_secret(scope, headers) if desk else _credential(headers)
        if credential is None:
            if desk:
                raise _sign_in(scope)
            self._failed(scope)
            raise _unauthorized("Send a key as `Authorization: Bearer KEY` or `X-API-Key: KEY`.", b"")
        caller = self._callers.known(credential)
        if caller is None:
            if not self._callers.seen(credential):
                self._failed(scope, count=False)
            try:
                caller = await self._callers.identify(credential)
            except Refused as refused:
                self._failed(scope)
                if desk:
                    raise _sign_in(scope) from None
                raise _unauthorized(str(refused), b', error="invalid_token"') from None
            except CannotKnow:
                detail = "Keys cannot be checked just now: try again, or look at the service's log."
                raise _Denied(503, "unavailable", detail, (b"retry-after", b"5")) from None
        if caller.person is not None and not desk:
            raise _unauthorized("A session of the desk opens the desk alone: send a key.", b"")
        scope["state"]["caller"] = caller
        self._count(caller, answer)
        assert rule.scopes is not None
        if caller.scopes.isdisjoint(rule.scopes):
            needed = sorted(rule.scopes)
            challenge = f'Bearer realm="fedelta", error="insufficient_scope", scope="{" ".join(needed)}"'
            detail = f"This needs the scope {' or '.join(needed)}, which {caller.name!r} lacks: use a key that has it."
            raise _Denied(403, "forbidden", detail, (b"www-authenticate", challenge.encode()))

    def _count(self, caller: Caller, answer: "_Answer") -> None:
        """Count the request against the caller's rate, and say in headers what is left of it.

        Headers as in draft-ietf-httpapi-ratelimit-headers-10. Raises ``_Denied`` with 429.
        """
        rate, burst = self._settings.rate_per_second, self._settings.rate_burst
        if (own := caller.rate_per_second) is not None:  # its burst is as many seconds' worth as everybody's
            burst = max(1, round(burst * own / rate)) if rate > 0 else burst
            rate = own
        if rate <= 0:
            return
        verdict = self._rates.take(caller.identity, rate, burst)
        answer.extra.append((b"ratelimit-policy", b'"key";q=%d;w=%d' % (burst, max(1, round(burst / rate)))))
        answer.extra.append((b"ratelimit", b'"key";r=%d;t=%d' % (verdict.remaining, -(-verdict.full_after // 1))))
        if not verdict.allowed:
            wait = max(1, int(-(-verdict.retry_after // 1)))
            detail = f"{caller.name!r} may send {rate:g} requests a second: send the next one in {wait} s."
            raise _Denied(429, "too-many-requests", detail, (b"retry-after", b"%d" % wait))

    def _failed(self, scope: Scope, *, count: bool = True) -> None:
        """Count a request without a good key against its address.

        Raises ``_Denied`` with 429 when too many came: then no key that is new to us is looked up for it either.
        """
        peer = scope["client"][0] if scope.get("client") else ""
        identity = hashlib.blake2b(network_of(peer).encode(), digest_size=8, person=b"peer").digest()
        most = self._settings.failures_per_minute
        ask = self._rates.take if count else self._rates.look
        verdict = ask(identity, most / 60, most)
        if not verdict.allowed:
            wait = max(1, int(-(-verdict.retry_after // 1)))
            detail = f"Too many requests without a good key came from this address: try again in {wait} s."
            raise _Denied(429, "too-many-requests", detail, (b"retry-after", b"%d" % wait))

    def _limited(self, scope: Scope, headers: dict[bytes, bytes], receive: Receive) -> Receive:
        """``receive`` that fails as soon as more bytes than the limit have come, whatever was declared."""
        declared = headers.get(b"content-length")
        if declared is None:
            if b"transfer-encoding" not in headers and scope.get("http_version") != "2":
                return receive
        elif not declared.isdigit() or len(declared) > 15 or int(declared) > self._body_limit:
            raise _Denied(413, "too-large", self._too_large, _CLOSE)
        received = 0

        async def limited() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._body_limit:
                raise HTTPException(413, self._too_large, headers={"Connection": "close"})
            return message

        return limited

    @property
    def _too_large(self) -> str:
        return f"A body may have {self._body_limit:,} bytes: split the request."

    async def _crashed(
        self, rule: Rule | None, method: str, request_id: str, answer: "_Answer", error: Exception
    ) -> None:
        """Log where it happened, never with what data, and answer if nothing was answered yet."""
        template = rule.template if rule else NOWHERE
        _log.error("Request %s failed: %s %s", request_id, method, template, exc_info=error)
        if answer.status:
            raise error
        detail = "The error is in the log of the service, under the id of this request."
        await answer.problem(_Denied(500, "internal", detail))

    def _note(
        self, scope: Scope, headers: dict[bytes, bytes], rule: Rule | None, answer: "_Answer", began: float
    ) -> None:
        """Metrics, access log, audit and spans."""
        seconds = time.perf_counter() - began
        method, template = (scope["method"], rule.template) if rule else ("*", NOWHERE)
        state = scope["state"]
        caller: Caller | None = state.get("caller")
        self._metrics.answered(method, template, answer.status, seconds)
        if self._access_log is not None:
            name, tenant = (caller.name, caller.tenant) if caller else (None, None)
            peer = scope["client"][0] if scope.get("client") else ""
            self._access_log.add(
                Line(time.time(), state["request_id"], scope["method"], rule.template if rule else None, answer.status,
                     seconds * 1e3, name, tenant, peer, answer.sent, answer.complete)
            )  # fmt: skip
        if self._audit is not None and caller is not None and rule is not None and "audited" not in state:
            customer_id = answer.parts.groupdict().get("customer_id") if answer.parts else None
            self._audit.add(
                Entry(time.time(), caller.tenant, caller.name, rule.operation, answer.status, state["request_id"],
                      customer_id, state.get("audit"))
            )  # fmt: skip
        if self._spans is not None:
            ended = time.time()
            self._spans.ended(headers, method, template, answer.status, ended - seconds, ended)


class _Answer:
    """``send`` that adds our headers and sees what is sent."""

    __slots__ = ("_held", "_scope", "_send", "complete", "extra", "parts", "personal", "sent", "shown", "status")

    def __init__(self, send: Send, scope: Scope, request_id: bytes) -> None:
        self._send, self._scope = send, scope
        self.extra: list[tuple[bytes, bytes]] = [(b"x-request-id", request_id), _SAFE]
        self.personal = self.complete = False
        self.status = self.sent = 0
        self.parts: re.Match[str] | None = None  # of the path, where its template has parameters
        self.shown: Shown | None = None  # how it shows a problem; None: as the document it is
        self._held: Message | None = None  # the start of a problem that is shown

    async def __call__(self, message: Message) -> None:
        if self.shown is not None:
            if _begins_problem(message):
                self._held = message
                return
            if self._held is not None:
                headers, body = self.shown(self._scope, message["body"])
                kept = [each for each in self._held["headers"] if each[0] not in (b"content-type", b"content-length")]
                message, start = {**message, "body": body}, {**self._held, "headers": [*kept, *headers]}
                self.shown = self._held = None
                await self(start)
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = [*message.get("headers", ()), *self.extra]
            names = {name for name, _ in headers}
            if self.personal and b"cache-control" not in names:
                headers.append(_NO_STORE)
            headers += [each for each in _UNLESS_SET if each[0] not in names]
            if self._scope.get("scheme") == "https":
                headers.append(_HSTS)
            message = {**message, "headers": headers}
        else:
            self.sent += len(message.get("body", b""))
            self.complete = not message.get("more_body", False)
        await self._send(message)

    async def problem(self, denied: _Denied) -> None:
        """Answer with a problem document."""
        body = problem_bytes(self._scope["state"]["request_id"], denied.status, denied.kind, denied.detail)
        headers = [
            (b"content-type", MEDIA_TYPE.encode()), (b"content-length", b"%d" % len(body)), _NO_STORE, *denied.headers,
        ]  # fmt: skip
        await self({"type": "http.response.start", "status": denied.status, "headers": headers})
        await self({"type": "http.response.body", "body": body})


def _credential(headers: dict[bytes, bytes]) -> bytes | None:
    """What is shown as key or token. Where there is an Authorization header, it alone counts."""
    if (authorization := headers.get(b"authorization")) is None:
        return headers.get(b"x-api-key") or None
    scheme, _, credential = authorization.partition(b" ")
    return (credential.strip() or None) if scheme.lower() == b"bearer" else None


def session_secret(scope: Scope, headers: dict[bytes, bytes]) -> bytes | None:
    """The secret of the session that a request comes with."""
    cookies: SimpleCookie = SimpleCookie()
    try:
        cookies.load(headers.get(b"cookie", b"").decode("latin-1"))
    except CookieError:
        return None
    found = cookies.get(COOKIES[scope["scheme"]])
    return found.value.encode() if found is not None and found.value.startswith("fds_") else None


def address_of(scope: Scope) -> str:
    """Path and query as they were asked for, in ASCII: what leads there again."""
    path: bytes = scope.get("raw_path") or quote(scope["path"]).encode()
    query: bytes = scope["query_string"]
    return quote(path + (b"?" + query if query else b""), safe=_ASCII)


def _path(scope: Scope) -> str:
    """The path below the root."""
    path: str = scope["path"]
    return path.removeprefix(root) if (root := scope.get("root_path")) else path


def _must_be_readable(scope: Scope) -> None:
    """See that path and query are text: what stands for what is none would be taken for another customer.

    Raises ``_Denied`` with 400.
    """
    query: bytes = scope["query_string"]
    if "\ufffd" not in scope["path"] and b"%" not in query and query.isascii():
        return
    try:
        unquote_to_bytes(b"%b?%b" % (scope.get("raw_path") or quote(scope["path"]).encode(), query)).decode()
        query.decode("ascii")
    except UnicodeDecodeError:
        raise _Denied(400, "bad-request", "An address is UTF-8, each byte beyond ASCII as %XX.") from None


def _of_our_pages(headers: dict[bytes, bytes]) -> None:
    """See that a browser says that a form is one of ours; that each has our token is seen where it is read.

    Raises ``_Denied`` with 403.
    """
    origin, site = headers.get(b"origin"), headers.get(b"sec-fetch-site", b"same-origin")
    ours = site == b"same-origin" if origin is None else origin.partition(b"://")[2] == headers.get(b"host")
    if not ours:
        raise _Denied(403, "forbidden", "The form was not sent from a page of this desk: open the page and try again.")


def _sign_in(scope: Scope) -> _Denied:
    to = scope.get("root_path", "") + SIGN_IN
    if scope["method"] == "GET" and _path(scope) != DESK:
        to += f"?next={quote(address_of(scope), safe='')}"
    return _Denied(303, "unauthorized", "Sign in to go on.", (b"location", to.encode("latin-1")))


def _begins_problem(message: Message) -> bool:
    return (b"content-type", MEDIA_TYPE.encode()) in message.get("headers", ())


def _unauthorized(detail: str, error: bytes) -> _Denied:
    return _Denied(401, "unauthorized", detail, (b"www-authenticate", b'Bearer realm="fedelta"' + error))
