"""Errors over HTTP: every one is an ``application/problem+json`` document (RFC 9457)."""

import secrets
from collections.abc import Mapping, Sequence
from http import HTTPStatus

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from fedelta.features.errors import FedeltaError
from fedelta.serve.acting.refusals import ActingRefused
from fedelta.serve.live.pool import Busy, NotEquipped
from fedelta.serve.live.worker import CannotScore
from fedelta.serve.operational.idempotency import KeyReused
from fedelta.serve.snapshots.listing import InvalidCursor
from fedelta.serve.store import NothingPublished, SnapshotGone, Unavailable

MEDIA_TYPE = "application/problem+json"
TITLES = {
    "bad-request": "The request cannot be read",
    "invalid-cursor": "The cursor is not valid here",
    "unauthorized": "A valid key or token is needed",
    "forbidden": "The key may not do this",
    "too-many-requests": "Too many requests came",
    "too-many-connections": "Too many connections are open",
    "too-slow": "The request came too slowly",
    "headers-too-large": "The headers are too large",
    "target-too-long": "The address is too long",
    "shutting-down": "The service is being stopped",
    "not-found": "There is no such address",
    "form-refused": "The form is not one of ours, or out of date",
    "unknown-customer": "The customer is not known",
    "method-not-allowed": "The address does not take this method",
    "unknown-case": "There is no such case",
    "unknown-campaign": "There is no such campaign",
    "control-group": "The customer is in the control group",
    "erased": "The customer was erased",
    "opted-out": "The customer does not want to be contacted",
    "case-open": "There is such a case already",
    "changed-meanwhile": "Somebody else changed it meanwhile",
    "revision-needed": "The change does not say which revision it is of",
    "key-reused": "The idempotency key came before with another request",
    "unknown-webhook": "There is no such endpoint",
    "unknown-event": "There is no such event",
    "too-many-webhooks": "There are too many endpoints",
    "target-refused": "Messages are not sent to such an address",
    "cursor-expired": "The list this cursor belongs to is no longer kept",
    "too-large": "The body is too large",
    "invalid": "The request holds invalid values",
    "internal": "Something went wrong on our side",
    "not-ready": "No scores are published yet",
    "unavailable": "The database cannot be read",
    "no-scoring": "Scores cannot be computed here",
    "busy": "Too much waits to be scored",
}
_KINDS = {400: "bad-request", 404: "not-found", 405: "method-not-allowed", 413: "too-large"}
_REFUSED = {
    "unknown-customer": 404, "unknown-case": 404, "unknown-campaign": 404, "control-group": 409, "opted-out": 409,
    "case-open": 409, "erased": 410, "changed-meanwhile": 412, "invalid": 422,
}  # fmt: skip
_RETRY_LATER = {"Retry-After": "5"}


class Fault(BaseModel):
    """One invalid value of a request."""

    where: str = Field(description="such as query.limit or body.customer_ids")
    what: str


class ProblemDocument(BaseModel):
    """What every error looks like."""

    type: str = Field(description="urn:fedelta:problem:KIND; stable, for programs")
    title: str
    status: int
    detail: str = Field(description="what was expected, what came, what to do next; for people")
    request_id: str
    errors: list[Fault] | None = None


class Problem(FedeltaError):
    """An error to be answered as a problem document of a kind in ``TITLES``."""

    def __init__(self, status: int, kind: str, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.kind, self.detail, self.headers = status, kind, detail, headers


def new_request_id() -> str:
    """An id for a request that came without one."""
    return secrets.token_hex(16)


def problem_bytes(
    request_id: str, status: int, kind: str, detail: str, errors: Sequence[Mapping[str, str]] = ()
) -> bytes:
    """The document of one problem."""
    document: dict[str, object] = {
        "type": f"urn:fedelta:problem:{kind}",
        "title": TITLES[kind],
        "status": status,
        "detail": detail,
        "request_id": request_id,
    }
    if errors:
        document["errors"] = errors
    return orjson.dumps(document)


def problem_response(
    request_id: str,
    status: int,
    kind: str,
    detail: str,
    *,
    headers: Mapping[str, str] | None = None,
    errors: Sequence[Mapping[str, str]] = (),
) -> Response:
    """The response of one problem."""
    return Response(problem_bytes(request_id, status, kind, detail, errors), status, headers, MEDIA_TYPE)


def responses(*statuses: int) -> dict[int | str, dict[str, object]]:
    """What a route says in OpenAPI about the errors it may answer with; those of every route are added to them."""
    content = {"content": {MEDIA_TYPE: {"schema": {"$ref": f"#/components/schemas/{ProblemDocument.__name__}"}}}}
    return {status: {"description": HTTPStatus(status).phrase, **content} for status in statuses}


def answer_with_problems(app: FastAPI) -> None:
    """Let ``app`` answer every error it meets with a problem document; ``serve.caller.guard`` answers crashes."""

    @app.exception_handler(Problem)
    async def known(request: Request, error: Problem) -> Response:
        return problem_response(request.state.request_id, error.status, error.kind, error.detail, headers=error.headers)

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> Response:
        kind = _KINDS.get(error.status_code, "bad-request" if error.status_code < 500 else "internal")
        detail = {
            404: f"Nothing answers at {request.url.path[:200]!r}: /openapi.json lists what does.",
            405: f"{request.method} is not taken here; the Allow header names what is.",
        }.get(error.status_code, str(error.detail))
        return problem_response(request.state.request_id, error.status_code, kind, detail, headers=error.headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        faults = [{"where": ".".join(map(str, fault["loc"])), "what": fault["msg"]} for fault in error.errors()]
        if any(fault["type"] == "json_invalid" for fault in error.errors()):
            return problem_response(
                request.state.request_id, 400, "bad-request", "The body is not valid JSON.", errors=faults
            )
        detail = "; ".join(f"{fault['where']}: {fault['what']}" for fault in faults[:3])
        return problem_response(request.state.request_id, 422, "invalid", detail, errors=faults[:20])

    @app.exception_handler(InvalidCursor)
    async def cursor(request: Request, error: InvalidCursor) -> Response:
        return problem_response(request.state.request_id, 400, "invalid-cursor", str(error))

    @app.exception_handler(ActingRefused)
    async def refused(request: Request, error: ActingRefused) -> Response:
        return problem_response(request.state.request_id, _REFUSED[error.kind], error.kind, str(error))

    @app.exception_handler(KeyReused)
    async def reused(request: Request, error: KeyReused) -> Response:
        return problem_response(request.state.request_id, 422, "key-reused", str(error))

    @app.exception_handler(SnapshotGone)
    async def gone(request: Request, _error: SnapshotGone) -> Response:
        detail = "Newer scores have been published since: start again without a cursor."
        return problem_response(request.state.request_id, 410, "cursor-expired", detail)

    @app.exception_handler(NothingPublished)
    async def not_ready(request: Request, _error: NothingPublished) -> Response:
        detail = "Publish a scoring run with `fedelta publish`."
        return problem_response(request.state.request_id, 503, "not-ready", detail, headers=_RETRY_LATER)

    @app.exception_handler(Unavailable)
    async def unavailable(request: Request, _error: Unavailable) -> Response:
        detail = "The service cannot read its database just now: try again, or look at its log."
        return problem_response(request.state.request_id, 503, "unavailable", detail, headers=_RETRY_LATER)

    @app.exception_handler(CannotScore)
    async def cannot_score(request: Request, error: CannotScore) -> Response:
        return problem_response(request.state.request_id, 409, "no-scoring", str(error))

    @app.exception_handler(NotEquipped)
    async def not_equipped(request: Request, error: NotEquipped) -> Response:
        return problem_response(request.state.request_id, 503, "no-scoring", str(error), headers=_RETRY_LATER)

    @app.exception_handler(Busy)
    async def busy(request: Request, error: Busy) -> Response:
        detail = f"{error} Send it again later, or let more processes score (--scoring-processes)."
        return problem_response(request.state.request_id, 503, "busy", detail, headers={"Retry-After": "1"})
