"""Routes of the caller layer itself: metrics, and the documentation page."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.concurrency import run_in_threadpool

from fedelta.serve.caller import metrics
from fedelta.serve.caller.auth import needs
from fedelta.serve.caller.docs_page import POLICY, docs_page
from fedelta.serve.caller.problems import responses
from fedelta.serve.caller.scopes import Caller

router = APIRouter()


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}, **responses(401, 403, 429, 503)},
    tags=["operations"],
)
async def read_metrics(
    request: Request, _caller: Annotated[Caller, Depends(needs("read:metrics", "admin"))]
) -> Response:
    """Return the metrics of all workers as Prometheus reads them."""
    counted: metrics.Metrics = request.app.state.metrics
    return Response(await run_in_threadpool(counted.text), media_type=metrics.MEDIA_TYPE)


@router.get("/docs", include_in_schema=False)
async def read_docs(request: Request) -> Response:
    """Show the description of this interface as a page without scripts."""
    page = await run_in_threadpool(docs_page, request.app.openapi())
    return Response(page, media_type="text/html", headers={"content-security-policy": POLICY})
