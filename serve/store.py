"""What the service reads and writes: snapshots without a lock, and the operational database off the event loop.

Which snapshot is current is asked of the database again and again, by a thread, so that a database that is locked or
gone stops no read: the answer before it holds until there is another.
"""

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import ParamSpec, TypeVar

import sqlalchemy as sa

from fedelta.features.errors import FedeltaError
from fedelta.serve.operational import pointer
from fedelta.serve.operational.database import Database, reason
from fedelta.serve.operational.erased import NOBODY, Erased, ErasureKey
from fedelta.serve.operational.erasures import erased_by_now, erased_in, read_key
from fedelta.serve.operational.pointer import Pointer
from fedelta.serve.operational.received import Live, changed_since, scores_of
from fedelta.serve.operational.stored_keys import StoredKey, find_key
from fedelta.serve.operational.stored_sessions import Person, find_session
from fedelta.serve.snapshots.overlay import Overlay
from fedelta.serve.snapshots.parts import Parts
from fedelta.serve.snapshots.read import SnapshotFile, SnapshotUnreadable
from fedelta.serve.snapshots.write import SUFFIX

T = TypeVar("T")
P = ParamSpec("P")

LOOK_AGAIN_SECONDS = 0.5
BUSY_SECONDS = 1.0  # how long a request waits for a lock of the database
CLOSING_SECONDS = 5.0  # how long the end waits for transactions of other threads
_PATIENCE = 0.25  # seconds that a read waits for news of the current snapshot before it takes the one it knows
_THREADS = 4

_log = logging.getLogger("fedelta.serve")


class Unavailable(FedeltaError):
    """The database is missing, locked or no database of ours."""


class NothingPublished(FedeltaError):
    """No scoring run is current yet."""


class SnapshotGone(FedeltaError):
    """The snapshot a list was begun on is no longer kept."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A scoring run that can be read; ``about`` is a JSON object."""

    pointer: Pointer
    file: SnapshotFile
    about: bytes
    parts: Parts | None  # what it is scored by
    live: Overlay = field(default_factory=Overlay)  # scores that were made anew since

    @property
    def snapshot_id(self) -> str:
        """Its name."""
        return self.pointer.snapshot_id

    def find(self, customer_id: str) -> bytes | None:
        """The latest document of a customer, None for one it does not know; for the event loop."""
        one = self.live.get(customer_id)
        return self.file.find(customer_id) if one is None else one.document

    def documents(self, customer_ids: Iterable[str]) -> dict[str, memoryview]:
        """The latest documents of the customers it knows."""
        ids = list(customer_ids)
        return self.file.views(ids) | self.live.among(ids)

    def revision_of(self, customer_id: str) -> int:
        """How often a customer's score was made anew; 0 if it is the snapshot's."""
        one = self.live.get(customer_id)
        return 0 if one is None else one.revision

    def age_seconds(self) -> float:
        """How long ago it was published."""
        return max(0.0, (datetime.now(UTC) - datetime.fromisoformat(self.pointer.published_at)).total_seconds())


class Store:
    """One per process. Its coroutines are for one event loop, ``key`` and ``look`` for any thread."""

    def __init__(self, database: Database, *, look_again: float = LOOK_AGAIN_SECONDS) -> None:
        self._database, self._look_again = database, look_again
        self._engine: sa.Engine | None = None
        self._file: tuple[int, int] | None = None
        self._served: Mapping[str, tuple[Snapshot, ...]] = {}
        self._hashes: Mapping[str, frozenset[str]] = {}  # of who was erased, by tenant
        self._fault: str | None = None
        self._closed = False
        self._connecting = threading.Condition()
        self._asking = 0  # transactions that are open
        self._looked_at = float("-inf")
        self._looking: asyncio.Task[None] | None = None
        self._writers = ThreadPoolExecutor(_THREADS, "operational")
        self._readers = ThreadPoolExecutor(_THREADS, "reads")

    # --- Snapshots ------------------------------------------------------------------------------------------------

    async def current(self, tenant: str) -> Snapshot:
        """The current scoring run.

        Raises
        ------
        NothingPublished
            If there is none yet.
        Unavailable
            If the database could not be asked yet.
        """
        if time.monotonic() - self._looked_at > self._look_again:
            await self._ask()
        if not (kept := self._served.get(tenant)):
            raise Unavailable(self._fault) if self._fault else NothingPublished
        return kept[0]

    def served(self) -> list[Snapshot]:
        """The current scoring run of each tenant, as far as is known."""
        return [kept[0] for kept in self._served.values() if kept]

    async def kept(self, tenant: str, snapshot_id: str) -> Snapshot:
        """A scoring run that is kept, current or not. Raises as ``current``, and ``SnapshotGone``."""
        await self.current(tenant)
        for snapshot in self._served[tenant]:
            if snapshot.snapshot_id == snapshot_id:
                return snapshot
        raise SnapshotGone

    async def runs(self, tenant: str) -> tuple[Snapshot, ...]:
        """The scoring runs that are kept, the current one first. Raises as ``current``."""
        await self.current(tenant)
        return self._served[tenant]

    async def refresh(self) -> None:
        """Look anew, after what is being looked at: what was written before is seen when this returns."""
        while self._looking is not None and not self._looking.done():
            await asyncio.wait({self._looking})
        self._looking = asyncio.create_task(self._look())
        await asyncio.wait({self._looking})

    def erased(self, tenant: str) -> Erased:
        """Who of a tenant was erased, as far as this process has seen; for any thread."""
        kept = self._served.get(tenant)
        return kept[0].file.erased if kept else NOBODY

    def erased_by_now(self, connection: sa.Connection, tenant: str) -> Erased:
        """Who of a tenant was erased, by whichever process, until this transaction."""
        return erased_by_now(connection, self._database, tenant, self.erased(tenant))

    @property
    def database(self) -> Database:
        """Where it is."""
        return self._database

    @property
    def fault(self) -> str | None:
        """Why the operational database could not be asked when that was last tried; None if it could."""
        return self._fault

    async def off_loop(self, read: Callable[P, T], *values: P.args, **named: P.kwargs) -> T:
        """What ``read`` returns, run in a thread that reads snapshots."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, lambda: read(*values, **named))

    # --- The operational database -----------------------------------------------------------------------------------

    async def read(self, ask: Callable[[sa.Connection], T]) -> T:
        """What ``ask`` returns, in a thread and a transaction that changes nothing. Raises ``Unavailable``."""
        return await asyncio.get_running_loop().run_in_executor(self._writers, self._guarded, ask, True)

    async def write(self, change: Callable[[sa.Connection], T]) -> T:
        """What ``change`` returns, in a thread and one transaction, on disk when it returns. Raises ``Unavailable``."""
        return await asyncio.get_running_loop().run_in_executor(self._writers, self._guarded, change, False)

    def written(self, change: Callable[[sa.Connection], T]) -> T:
        """What ``change`` returns, as ``write`` has it; for worker threads."""
        return self._guarded(change, False)

    def answered(self, ask: Callable[[sa.Connection], T]) -> T:
        """What ``ask`` returns, as ``read`` has it; for worker threads."""
        return self._guarded(ask, True)

    def key(self, prefix: str) -> StoredKey | None:
        """See ``find_key``; it waits for the database, so it is for worker threads. Raises ``Unavailable``."""
        return self._asked(lambda engine: find_key(engine, prefix))

    def session(self, digest: bytes) -> tuple[Person, datetime] | None:
        """See ``find_session``; it waits for the database, so it is for worker threads. Raises ``Unavailable``."""
        return self._asked(lambda engine: find_session(engine, digest))

    # --- Its life ---------------------------------------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def following(self) -> AsyncIterator[None]:
        """Follow the current snapshots, so that no read waits for news of them."""
        follower = asyncio.create_task(self._follow())
        try:
            yield
        finally:
            follower.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await follower

    def close(self) -> None:
        """Let go of threads, connections and files, for good."""
        with self._connecting:
            self._closed = True
        self._writers.shutdown(cancel_futures=True)
        self._readers.shutdown(cancel_futures=True)
        with self._connecting:  # a connection in use would stay open: an engine lets go of those that nobody uses
            self._connecting.wait_for(lambda: not self._asking, CLOSING_SECONDS)
        if self._engine is not None:
            self._engine.dispose()
        self._served = {}

    def look(self) -> None:
        """Ask the database which snapshots are kept, and open those that are new. A fault is kept, not raised."""
        before, faults = self._served, []
        try:
            found, changed, (hashes, hidden) = self._guarded(
                lambda connection: (*_looked(connection, before), erased_in(connection, self._hashes)), True
            )
        except Unavailable as error:
            faults.append(str(error))
        else:
            self._hashes = hashes
            key = read_key(self._database) if hashes else None
            served: dict[str, tuple[Snapshot, ...]] = {}
            for tenant in {one.tenant for one, _ in found}:
                live = {one.snapshot_id: one.live for one in before.get(tenant, ())}
                try:
                    served[tenant] = tuple(
                        Snapshot(
                            one,
                            self._opened(one, hidden, hashes, key),
                            document,
                            self._parts(one),
                            live.get(one.snapshot_id, Overlay()),
                        )
                        for one, document in found
                        if one.tenant == tenant
                    )
                except SnapshotUnreadable as error:
                    faults.append(str(error))
                    served[tenant] = before.get(tenant, ())
            for tenant, kept in served.items():
                for snapshot, old in zip(kept, before.get(tenant, ()), strict=False):
                    if snapshot.file is not old.file:
                        snapshot.live.drop(snapshot.file.erased)
            for tenant, (scores, latest) in changed.items():
                self.take(served[tenant][0], scores)
                served[tenant][0].live.seen = latest
            self._served = served
        fault = " ".join(faults) or None
        if fault != self._fault:
            _log.log(*((logging.WARNING, fault) if fault else (logging.INFO, "The database answers again.")))
        self._fault, self._looked_at = fault, time.monotonic()

    @staticmethod
    def take(snapshot: Snapshot, scores: Sequence[Live]) -> None:
        """Let scores that were made anew be read in place of a snapshot's."""
        snapshot.live.put(scores, snapshot.file.rows(one.customer_id for one in scores))

    def _opened(
        self,
        one: Pointer,
        hidden: Mapping[tuple[str, str], frozenset[int]],
        hashes: Mapping[str, frozenset[str]],
        key: ErasureKey | None,
    ) -> SnapshotFile:
        """The file of a snapshot: another one when somebody was erased, so that nothing kept of it shows them."""
        rows = hidden.get((one.tenant, one.snapshot_id), NOBODY.rows)
        erased = Erased(rows, hashes.get(one.tenant, NOBODY.hashes), key)
        for known in self._served.get(one.tenant, ()):
            if known.snapshot_id == one.snapshot_id and known.file.erased == erased:
                return known.file
        return SnapshotFile(self._database.snapshots / one.tenant / f"{one.snapshot_id}{SUFFIX}", erased)

    def _parts(self, one: Pointer) -> Parts | None:
        return Parts.of(self._database.snapshots / one.tenant, one.scoring) if one.scoring else None

    async def _ask(self) -> None:
        """Look, and wait for it, but not for a database that did not answer before."""
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
        patience = _PATIENCE if self._served and self._fault is None else 0.0 if self._served else None
        if self._look_again == 0:
            patience = None
        await asyncio.wait({self._looking}, timeout=patience)

    async def _look(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._writers, self.look)

    async def _follow(self) -> None:
        while True:
            if self._looking is None or self._looking.done():
                self._looking = asyncio.create_task(self._look())
            await asyncio.wait({self._looking})
            await asyncio.sleep(self._look_again * 0.8)

    def _guarded(self, ask: Callable[[sa.Connection], T], reads: bool) -> T:
        def within(engine: sa.Engine) -> T:
            with engine.execution_options(reads=reads).begin() as connection:
                return ask(connection)

        return self._asked(within)

    def _asked(self, ask: Callable[[sa.Engine], T]) -> T:
        try:
            with self._connected() as engine:
                return ask(engine)
        except sa.exc.SQLAlchemyError as error:
            raise Unavailable(f"The database {self._database.place} cannot be used: {reason(error)}.") from error
        except OSError as error:
            raise Unavailable(f"There is no database at {self._database.place}: {error.strerror}.") from error

    @contextlib.contextmanager
    def _connected(self) -> Iterator[sa.Engine]:
        """The engine, of which there is one; a new one when another file has taken the place of SQLite's."""
        with self._connecting:
            if self._closed:
                raise Unavailable("The service has ended.")
            file = None
            if (path := self._database.path) is not None:
                stat = path.stat()
                file = stat.st_dev, stat.st_ino
            if self._engine is None or file != self._file:
                if self._engine is not None:
                    self._engine.dispose()
                self._engine, self._file = self._database.connect(wait=BUSY_SECONDS, pool=_THREADS), file
            engine = self._engine
            self._asking += 1
        try:
            yield engine
        finally:
            with self._connecting:
                self._asking -= 1
                self._connecting.notify_all()


def _looked(
    connection: sa.Connection, before: Mapping[str, tuple[Snapshot, ...]]
) -> tuple[list[tuple[Pointer, bytes]], dict[str, tuple[list[Live], str]]]:
    """The kept snapshots, and by tenant the scores made anew since, and the time of the latest."""
    found = _with_documents(connection, before)
    current: dict[str, Pointer] = {}
    for one, _ in found:
        current.setdefault(one.tenant, one)
    changed = {}
    for tenant, one in current.items():
        overlay = next((kept.live for kept in before.get(tenant, ()) if kept.snapshot_id == one.snapshot_id), Overlay())
        revisions, latest = changed_since(connection, one, overlay.again_from)
        if newer := overlay.newer(revisions):
            changed[tenant] = scores_of(connection, one, newer), latest
    return found, changed


def _with_documents(
    connection: sa.Connection, before: Mapping[str, tuple[Snapshot, ...]]
) -> list[tuple[Pointer, bytes]]:
    """The kept snapshots and their descriptions, which are read anew where they changed."""
    known = {
        (one.pointer.tenant, one.snapshot_id, one.pointer.about_digest): one.about
        for kept in before.values()
        for one in kept
    }
    found = []
    for one in pointer.kept(connection):
        document = known.get((one.tenant, one.snapshot_id, one.about_digest))
        if document is None:
            document = pointer.about(connection, one.tenant, one.snapshot_id)
        if document is not None:
            found.append((one, document))
    return found
