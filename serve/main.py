"""``fedelta serve``: run the service on this machine, in one process or several."""

import asyncio
import functools
import os
import socket
import tempfile
from contextlib import closing
from dataclasses import replace

import uvicorn
from uvicorn.supervisors.multiprocess import Multiprocess

from fedelta.features.errors import FedeltaError
from fedelta.serve.app import create_app
from fedelta.serve.caller.access_log import LOGGING
from fedelta.serve.caller.connections import allow_more_files
from fedelta.serve.caller.metrics import FOLDER_VARIABLE
from fedelta.serve.caller.protocol import LimitedConfig
from fedelta.serve.caller.settings import Settings
from fedelta.serve.operational.database import Database
from fedelta.serve.operational.tables import DEFAULT_TENANT
from fedelta.serve.store import NothingPublished, Store, Unavailable

_SEND_BUFFER = 262_144  # bytes that a reader who takes nothing holds in the system


class CannotServe(FedeltaError):
    """The address cannot be listened on."""


def main(
    host: str = "127.0.0.1", port: int = 8000, database_url: str | None = None, settings: Settings | None = None
) -> None:
    """Serve until interrupted.

    Raises
    ------
    DatabaseError
        If the database cannot be opened, or was emptied.
    CannotServe
        If the address cannot be listened on.
    """
    os.umask(0o077)  # what we write is for us alone
    allow_more_files()
    settings = settings or Settings.from_environment({})
    database = Database.at(database_url)
    database.must_not_be_emptied()
    try:
        listening = _listen(host, port)
    except (OSError, OverflowError) as error:
        raise CannotServe(_refused(host, port, error)) from None
    with closing(listening), tempfile.TemporaryDirectory(prefix="fedelta-serve-") as shared:
        if settings.workers > 1:
            os.environ[FOLDER_VARIABLE] = shared
        config = _config(database_url, replace(settings, shared_folder=shared))
        bound, free = listening.getsockname()[:2]
        print(f"Serving on http://{f'[{bound}]' if ':' in bound else bound}:{free} ({_contents(database)})")
        print("Make a key with: fedelta keys create NAME --scope read:score --scope read:list", flush=True)
        try:
            if settings.workers > 1:
                Multiprocess(config, [listening]).run()
            else:
                uvicorn.Server(config).run(sockets=[listening])
        except KeyboardInterrupt:
            print("Stopped.")


def _config(database_url: str | None, settings: Settings) -> LimitedConfig:
    """uvicorn's configuration. It goes to workers pickled: each makes its application itself."""
    return LimitedConfig(
        functools.partial(create_app, database_url, settings),
        factory=True,
        limits=settings.limits,
        exempt=frozenset(settings.trusted_proxies),
        workers=settings.workers,
        log_config=LOGGING,
        access_log=False,
        server_header=False,
        lifespan="on",
        root_path=settings.root_path,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=list(settings.trusted_proxies),
        timeout_graceful_shutdown=max(1, round(settings.shutdown_seconds)),
    )


def _listen(host: str, port: int) -> socket.socket:
    """A socket bound to the address, so that a port that is taken is noticed before anything is promised."""
    if not 0 <= port <= 65535:
        raise OverflowError("a port is a number from 0 to 65535")
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listening = socket.socket(family, kind, protocol)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)  # connections inherit it
        listening.bind(address)
        listening.listen(2048)
    except BaseException:
        listening.close()
        raise
    listening.set_inheritable(True)
    return listening


def _refused(host: str, port: int, error: Exception) -> str:
    reason = getattr(error, "strerror", None) or str(error)
    return f"cannot listen on {host} port {port} ({reason}): stop what holds it, or choose another --port or --host."


def _contents(database: Database) -> str:
    store = Store(database)
    try:
        snapshot = asyncio.run(store.current(DEFAULT_TENANT))
    except (NothingPublished, Unavailable):
        return "nothing is published yet: run `fedelta publish`"
    finally:
        store.close()
    return f"snapshot {snapshot.snapshot_id}, as of {snapshot.pointer.as_of}"
