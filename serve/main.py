"""``fedelta serve``: run the service on this machine."""

import argparse
import socket
import sys
from collections.abc import Sequence
from contextlib import closing

import uvicorn

from fedelta.serve.app import create_app
from fedelta.serve.database import Database, DatabaseError
from fedelta.serve.store import NothingPublished, SqliteStore, Unavailable


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until interrupted; 1 with one line when it cannot start."""
    parser = argparse.ArgumentParser(prog="fedelta serve", description="Serve the published scores over HTTP.")
    parser.add_argument("--host", default="127.0.0.1", help="default: %(default)s")
    parser.add_argument("--port", type=int, default=8000, help="default: %(default)s; 0 takes a free one")
    parser.add_argument("--database", metavar="URL", help="sqlite:///PATH")
    arguments = parser.parse_args(argv)
    try:
        database = Database.at(arguments.database)
        application = create_app(arguments.database)
        listening = _listen(arguments.host, arguments.port)
    except (DatabaseError, OSError, OverflowError) as error:
        reason = str(error) if isinstance(error, DatabaseError) else _refused(arguments.host, arguments.port, error)
        print(f"fedelta serve: {reason}", file=sys.stderr)
        return 1
    host, port = listening.getsockname()[:2]
    print(f"Serving on http://{f'[{host}]' if ':' in host else host}:{port} ({_contents(database)})")
    print("Make a key with: fedelta keys create NAME --scope read:score --scope read:list", flush=True)
    server = uvicorn.Server(
        uvicorn.Config(application, log_level="warning", access_log=False, server_header=False, lifespan="on")
    )
    with closing(listening):
        try:
            server.run(sockets=[listening])
        except KeyboardInterrupt:
            print("Stopped.")
    return 0


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
    store = SqliteStore(database.path)
    try:
        snapshot = store.current()
    except (NothingPublished, Unavailable):
        return "nothing is published yet: run `fedelta publish`"
    finally:
        store.close()
    return f"snapshot {snapshot.snapshot_id}, as of {snapshot.as_of}"


if __name__ == "__main__":
    sys.exit(main())
