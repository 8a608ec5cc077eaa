"""``fedelta serve``: run the service on this machine."""

import asyncio
import socket
from contextlib import closing

import uvicorn

from fedelta.features.errors import FedeltaError
from fedelta.serve.app import create_app
from fedelta.serve.operational.database import Database
from fedelta.serve.operational.tables import DEFAULT_TENANT
from fedelta.serve.store import NothingPublished, Store, Unavailable


class CannotServe(FedeltaError):
    """The address cannot be listened on."""


def main(host: str = "127.0.0.1", port: int = 8000, database_url: str | None = None) -> None:
    """Serve until interrupted.

    Raises
    ------
    DatabaseError
        If the database cannot be opened.
    CannotServe
        If the address cannot be listened on.
    """
    database = Database.at(database_url)
    application = create_app(database_url)
    try:
        listening = _listen(host, port)
    except (OSError, OverflowError) as error:
        raise CannotServe(_refused(host, port, error)) from None
    bound, free = listening.getsockname()[:2]
    print(f"Serving on http://{f'[{bound}]' if ':' in bound else bound}:{free} ({_contents(database)})")
    print("Make a key with: fedelta keys create NAME --scope read:score --scope read:list", flush=True)
    server = uvicorn.Server(
        uvicorn.Config(application, log_level="warning", access_log=False, server_header=False, lifespan="on")
    )
    with closing(listening):
        try:
            server.run(sockets=[listening])
        except KeyboardInterrupt:
            print("Stopped.")


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
