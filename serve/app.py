"""The service as an ASGI application: ``uvicorn --factory serve.app:create_app``."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from fedelta.serve.caller.auth import Keyring
from fedelta.serve.caller.guard import Guard
from fedelta.serve.caller.problems import answer_with_problems
from fedelta.serve.operational.database import Database, DatabaseError
from fedelta.serve.routes import at_risk, customers, health
from fedelta.serve.store import LOOK_AGAIN_SECONDS, Store

_log = logging.getLogger("fedelta.serve")


def create_app(database_url: str | None = None, *, look_again: float = LOOK_AGAIN_SECONDS) -> FastAPI:
    """The service over one database; see ``Database.at`` for the URL.

    Within ``look_again`` seconds it serves what another process published; 0: at the next request.

    When it starts, it brings the tables up to date where it may write; where it may not, it serves what it can read.
    """
    database = Database.at(database_url)
    store = Store(database, look_again=look_again)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        try:
            await asyncio.to_thread(database.migrate)
        except DatabaseError as error:
            _log.warning("%s The service goes on with what it can read.", error)
        async with store.following():
            yield
        store.close()

    app = FastAPI(
        title="fedelta",
        summary="Which customers are about to leave, why, and what they are worth.",
        version="1",
        docs_url=None,  # these pages would load scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    app.state.store = store
    app.state.keyring = Keyring(store)
    app.add_middleware(Guard)
    answer_with_problems(app)
    for room in (customers, at_risk):
        room.add_routes(app)
    app.include_router(health.router)
    return app
