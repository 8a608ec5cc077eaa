"""The service as an ASGI application: ``uvicorn --factory serve.app:create_app``."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import cache, partial
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute

from fedelta.serve.caller.access_log import AccessLog
from fedelta.serve.caller.audit import Audit, written_to
from fedelta.serve.caller.callers import Callers
from fedelta.serve.caller.draining import Draining
from fedelta.serve.caller.guard import Guard
from fedelta.serve.caller.metrics import Metrics
from fedelta.serve.caller.openapi import describe
from fedelta.serve.caller.problems import answer_with_problems
from fedelta.serve.caller.rates import Rates
from fedelta.serve.caller.routes import router as caller_routes
from fedelta.serve.caller.settings import Settings
from fedelta.serve.caller.telemetry import Spans
from fedelta.serve.desk import customers as desk_list
from fedelta.serve.desk.openid import Provider
from fedelta.serve.desk.problem_page import shown
from fedelta.serve.desk.routes import add_desk
from fedelta.serve.examples import EXAMPLES
from fedelta.serve.live.pool import Pool
from fedelta.serve.operational.database import Database, DatabaseError
from fedelta.serve.operational.retention import REQUEST_DAYS, forget_audit, forget_messages, forget_requests
from fedelta.serve.operational.tables import DEFAULT_TENANT
from fedelta.serve.rescoring import Rescoring
from fedelta.serve.routes import (
    at_risk,
    campaigns,
    cases,
    customers,
    erasure,
    health,
    interactions,
    on_demand,
    outcomes,
    treatments,
    webhooks,
)
from fedelta.serve.store import LOOK_AGAIN_SECONDS, NothingPublished, Store, Unavailable
from fedelta.serve.webhooks.deliverer import Deliverer

_log = logging.getLogger("fedelta.serve")
_FORGET_EVERY = 3600.0  # seconds


def create_app(
    database_url: str | None = None, settings: Settings | None = None, *, look_again: float = LOOK_AGAIN_SECONDS
) -> FastAPI:
    """The service over one database; see ``Database.at`` for the URL.

    Within ``look_again`` seconds it serves what another process published; 0: at the next request.

    When it starts, it brings the tables up to date where it may write; where it may not, it serves what it can read.
    """
    settings = settings or Settings(access_log="off")
    database = Database.at(database_url)
    store = Store(database, look_again=look_again)
    pool = Pool(settings.scoring_processes, most_waiting=settings.scoring_waiting, seconds=settings.scoring_seconds)
    rescoring = Rescoring(store, pool)
    draining, metrics = Draining(settings.drain_seconds), Metrics()
    callers = Callers(store.key, settings.tokens, find_session=store.session)
    rates = Rates(
        Path(settings.shared_folder) / "rates" if settings.shared_folder else None, shared=settings.workers > 1
    )
    openid = Provider(settings.openid) if settings.openid else None
    access_log = None if settings.access_log == "off" else AccessLog(settings.access_log, metrics.dropped)
    audit = Audit(written_to(store.written, store.erased_by_now), metrics.dropped) if settings.audit == "all" else None
    spans = Spans() if settings.telemetry == "otlp" else None

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[dict[str, Any]]:
        try:
            await asyncio.to_thread(database.migrate)
        except DatabaseError as error:
            _log.warning("%s The service goes on with what it can read.", error)
        following, warming = store.following(), _warming(store, pool, settings)
        forgetting, delivering = _forgetting(store, settings), _delivering(store, settings)
        async with following, warming, forgetting, delivering, rescoring.sweeping():
            with draining.on_sigterm():
                yield {"watcher": metrics}  # protocols count into it what they refuse
        for each in (pool, callers, openid, audit, access_log, spans, rates, store):
            if each is not None:
                await asyncio.to_thread(each.close)

    app = FastAPI(
        routes=_routes(),
        title="fedelta",
        summary="Which customers are about to leave, why, and what they are worth.",
        version="1",
        docs_url=None,  # these pages would load scripts from elsewhere; ours is in serve.caller.routes
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    app.state.store = store
    app.state.pool = pool
    app.state.rescoring = rescoring
    app.state.stale_after_hours = settings.stale_after_hours
    app.state.metrics = metrics
    app.state.audit = audit
    app.state.access_log = access_log
    app.state.webhook_networks = settings.webhooks.networks
    app.state.callers, app.state.rates = callers, rates
    app.state.openid = openid
    app.add_middleware(
        Guard,
        routes=app,
        settings=settings,
        callers=callers,
        rates=rates,
        metrics=metrics,
        draining=draining,
        access_log=access_log,
        audit=audit,
        spans=spans,
        shown=shown,
    )
    answer_with_problems(app)
    describe(app, EXAMPLES)
    return app


@cache
def _routes() -> list[BaseRoute]:
    """All routes, which know nothing of an application: to make them takes longer than all else of it."""
    made = APIRouter(generate_unique_id_function=_operation_id)
    for room in (customers, at_risk, on_demand, interactions, erasure, desk_list):
        room.add_routes(made)
    for each in (health, cases, treatments, outcomes, campaigns, webhooks):
        made.include_router(each.router)
    made.include_router(caller_routes)
    add_desk(made)
    return made.routes


@asynccontextmanager
async def _forgetting(store: Store, settings: Settings) -> AsyncIterator[None]:
    """Forget what is no longer kept, when the service starts and every hour from there."""
    kept = (
        (forget_audit, settings.audit_days), (forget_messages, settings.webhooks.keep_days),
        (forget_requests, REQUEST_DAYS),
    )  # fmt: skip

    async def forget() -> None:
        while True:
            for forget_some, days in kept:
                with suppress(Unavailable):  # in an hour, then
                    while days and await store.write(partial(forget_some, days=days)):
                        await asyncio.sleep(0.1)  # others write too
            await asyncio.sleep(_FORGET_EVERY)

    task = asyncio.create_task(forget())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@asynccontextmanager
async def _delivering(store: Store, settings: Settings) -> AsyncIterator[None]:
    """Send messages to the endpoints of webhooks meanwhile, unless another process does."""
    if settings.webhooks.delivery == "off":
        yield
        return
    deliverer = Deliverer(store, settings.webhooks)
    deliverer.start()
    try:
        yield
    finally:
        await asyncio.to_thread(deliverer.stop)


@asynccontextmanager
async def _warming(store: Store, pool: Pool, settings: Settings) -> AsyncIterator[None]:
    """Let the processes that score load each new snapshot of the tenant ``default`` before anybody asks them."""

    async def warm() -> None:
        while True:
            if pool.begun or settings.scoring_start == "startup":
                with suppress(Unavailable, NothingPublished):
                    if (parts := (await store.current(DEFAULT_TENANT)).parts) is not None:
                        pool.warm(parts)
            await asyncio.sleep(0.5)

    task = asyncio.create_task(warm()) if settings.scoring_processes else None
    try:
        yield
    finally:
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


def _operation_id(route: APIRoute) -> str:
    """The function's name: stable, and what a generated client calls its method."""
    return route.name
