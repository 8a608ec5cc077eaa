"""Sends what is due, some messages at a time, for as long as it is let."""

import logging
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager

import sqlalchemy as sa

from fedelta.serve.caller.settings import WebhookSettings
from fedelta.serve.store import Store, Unavailable
from fedelta.serve.webhooks import targets
from fedelta.serve.webhooks.queue import Leased, any_due, lease, settle
from fedelta.serve.webhooks.sending import Answer, send
from fedelta.serve.webhooks.signing import signed

_AT_ONCE = 8
_PATIENCE = 20  # times that `once` finds the database locked
_LOOK_AGAIN = 1.0  # seconds
_AGENT = {"user-agent": "fedelta-webhooks", "content-type": "application/json"}
_log = logging.getLogger("fedelta.serve")


class Deliverer:
    """One per process. Others may be at work on the same database: leases decide who sends what.

    Messages are sent by threads; one thread alone asks the database and writes to it, for many messages at once.
    """

    def __init__(self, store: Store, settings: WebhookSettings) -> None:
        self._store, self._settings = store, settings
        self._stopping = threading.Event()
        self._sending: dict[Future[Answer], Leased] = {}
        self._sent: list[tuple[Leased, Answer]] = []
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Send in a thread of its own until ``stop``."""
        self._thread = threading.Thread(target=self._run, name="webhooks", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Take no more messages, and wait for those that are on their way."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()

    def once(self) -> int:
        """Send until nothing is due; how many messages were sent, taken or not. Raises ``Unavailable``."""
        count, refused = 0, 0
        with ThreadPoolExecutor(_AT_ONCE, "webhook") as pool:
            while True:
                try:
                    self._settle()
                    count += self._start(pool)
                except Unavailable:
                    refused += 1
                    if refused > _PATIENCE:
                        raise
                    continue
                if not self._sending:
                    return count
                self._wait(None)

    def _run(self) -> None:
        with ThreadPoolExecutor(_AT_ONCE, "webhook") as pool:
            while not self._stopping.is_set():
                with self._log_faults():
                    self._settle()
                    self._start(pool)
                if self._sending:
                    self._wait(_LOOK_AGAIN)
                else:
                    self._stopping.wait(_LOOK_AGAIN)
            while self._sending:
                self._wait(None)
            with self._log_faults():
                self._settle()

    @contextmanager
    def _log_faults(self) -> Iterator[None]:
        """Go on whatever happens: it is tried again."""
        try:
            yield
        except Unavailable:
            return  # the store has it in the log
        except Exception:
            _log.exception("Webhooks cannot be sent just now.")

    def _start(self, pool: ThreadPoolExecutor) -> int:
        """Begin to send what is due, as far as there is room; how many."""
        room = _AT_ONCE - len(self._sending)
        if room <= 0 or not self._store.answered(any_due):
            return 0
        busy = Counter(one.webhook_id for one in self._sending.values())
        leased = self._store.written(lambda connection: lease(connection, room, busy))
        for one in leased:
            self._sending[pool.submit(self._send, one)] = one
        return len(leased)

    def _wait(self, seconds: float | None) -> None:
        for done in wait(self._sending, seconds, FIRST_COMPLETED).done:
            self._sent.append((self._sending.pop(done), done.result()))

    def _settle(self) -> None:
        """Note what came of what was sent: until that is done, it would be sent again when its lease ends."""
        if not self._sent:
            return

        def settle_all(connection: sa.Connection) -> None:
            for one, answer in self._sent:
                settle(connection, one, answer, self._settings)

        self._store.written(settle_all)
        self._sent = []

    def _send(self, one: Leased) -> Answer:
        networks = self._settings.networks
        deadline = time.monotonic() + self._settings.seconds
        try:
            target = targets.parsed(one.url, networks)
            addresses = targets.resolved(target, networks)
            headers = _AGENT | signed(one.secrets, one.event_id, int(time.time()), one.body)
            return send(target, addresses, headers, one.body, deadline)
        except targets.TargetRefused as refused:
            return Answer(error=str(refused))
        except Exception as error:
            _log.exception("A message cannot be sent.")
            return Answer(error=f"our mistake ({type(error).__name__})")
