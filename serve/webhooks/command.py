"""``fedelta deliver``: send messages apart from the service."""

import signal
import threading

from fedelta.serve.caller.settings import Settings
from fedelta.serve.operational.database import Database
from fedelta.serve.store import Store
from fedelta.serve.webhooks.deliverer import Deliverer


def main(database_url: str | None = None, *, once: bool = False) -> None:
    """Send until stopped by SIGTERM or SIGINT; or, ``once``, until nothing is due.

    Raises
    ------
    DatabaseError
        If the database cannot be brought up to date.
    Unavailable
        If it cannot be used (``once``).
    """
    database = Database.at(database_url)
    database.migrate()
    store = Store(database)
    deliverer = Deliverer(store, Settings.from_environment({}).webhooks)
    try:
        if once:
            print(f"Sent {deliverer.once():,} messages.")
            return
        stopping = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stopping.set())
        deliverer.start()
        print("Sending messages until stopped.", flush=True)
        stopping.wait()
        deliverer.stop()
    finally:
        store.close()
