"""Scores made anew when something happened to a customer: at once for whom it was received, and swept up afterwards."""

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from functools import partial

import sqlalchemy as sa

from fedelta.features.errors import FedeltaError
from fedelta.serve.acting.actor import Actor
from fedelta.serve.acting.run_cases import ACTOR, wake_cases
from fedelta.serve.live.pool import MOST_CUSTOMERS, Busy, NotEquipped, Pool
from fedelta.serve.live.worker import Again, CannotScore
from fedelta.serve.operational.pointer import Pointer, kept
from fedelta.serve.operational.received import Live, Remade, due, newest, received_of, remove_old, store_scores
from fedelta.serve.store import NothingPublished, Snapshot, Store, Unavailable

_SWEEP_SECONDS = 2.0
_AFTER_FAULT_SECONDS = 30.0
_CLEAN_SECONDS = 600.0
_MOST_AT_ONCE = 5_000  # customers for whom a request makes new scores; the sweep has the others

_log = logging.getLogger("fedelta.serve")


class Rescoring:
    """One per worker of the service, for its event loop."""

    def __init__(self, store: Store, pool: Pool) -> None:
        self._store, self._pool = store, pool
        self._tasks: set[asyncio.Task[object]] = set()
        self._queued = 0
        self._clean_again = 0.0

    async def scored(self, tenant: str, customer_ids: Sequence[str]) -> list[Live]:
        """Make the scores of customers anew, and let them be read; those that were made.

        Raises
        ------
        CannotScore, NotEquipped, Busy
            As ``Pool.score``.
        NothingPublished, Unavailable
            As ``Store.current``.
        """
        snapshot = await self._store.current(tenant)
        made: list[Live] = []
        for first in range(0, len(customer_ids), MOST_CUSTOMERS):
            made += await self._some(snapshot, customer_ids[first : first + MOST_CUSTOMERS])
        return made

    def soon(self, tenant: str, customer_ids: Sequence[str]) -> None:
        """Make the scores of customers anew in the background."""
        if self._queued + len(customer_ids) > _MOST_AT_ONCE:
            return
        self._queued += len(customer_ids)
        task: asyncio.Task[object] = asyncio.get_running_loop().create_task(self._quietly(tenant, customer_ids))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    @asynccontextmanager
    async def sweeping(self) -> AsyncIterator[None]:
        """Make anew what is due: after a restart, a new run, or a failure."""
        task = asyncio.create_task(self._sweep())
        try:
            yield
        finally:
            for one in (task, *self._tasks):
                one.cancel()
                with suppress(asyncio.CancelledError):
                    await one

    async def sweep(self) -> int:
        """Make anew the scores of all customers for whom it is due; how many."""
        made = 0
        if clean := time.monotonic() > self._clean_again:
            self._clean_again = time.monotonic() + _CLEAN_SECONDS
        for snapshot in self._store.served():
            if snapshot.parts is None:
                continue
            if clean:
                await self._store.write(partial(_clean, pointer=snapshot.pointer))
            while names := await self._store.read(partial(due, current=snapshot.pointer, limit=10 * MOST_CUSTOMERS)):
                random.shuffle(names)  # several workers sweep
                stored = await self._some(snapshot, names[:MOST_CUSTOMERS])
                made += len(stored)
                if not stored:
                    break  # others did it
        return made

    async def _sweep(self) -> None:
        while True:
            wait = _SWEEP_SECONDS
            try:
                await self.sweep()
            except (Busy, Unavailable, NothingPublished):
                pass  # later, then
            except FedeltaError as error:
                if not isinstance(error, NotEquipped):
                    _log.warning("Scores cannot be made anew: %s", error)
                wait = _AFTER_FAULT_SECONDS
            except Exception:
                _log.exception("Scores cannot be made anew.")
                wait = _AFTER_FAULT_SECONDS
            await asyncio.sleep(wait)

    async def _quietly(self, tenant: str, customer_ids: Sequence[str]) -> None:
        try:
            await self.scored(tenant, customer_ids)
        except FedeltaError:
            pass  # the sweep has them
        except Exception:
            _log.exception("Scores cannot be made anew.")
        finally:
            self._queued -= len(customer_ids)

    async def _some(self, snapshot: Snapshot, customer_ids: Sequence[str]) -> list[Live]:
        tenant = snapshot.pointer.tenant
        if snapshot.parts is None:
            raise CannotScore("The current run was published without what scores are computed by.")
        self._pool.check()

        def read(connection: sa.Connection) -> tuple[dict[str, list[bytes]], datetime | None]:
            return received_of(connection, tenant, customer_ids), newest(connection, tenant)

        received, latest = await self._store.read(read)
        if not received:
            return []
        before = {name: bytes(one) for name, one in (await self._store.off_loop(snapshot.file.views, received)).items()}
        rows = tuple(row for name in received for row in received[name])
        again = Again(snapshot.parts, snapshot.snapshot_id, tuple(received), rows, latest, before)
        answers = await self._pool.score(again)
        made = [
            Remade(name, len(received[name]), one.document[:-1] + b',"live":true}', before.get(name))
            for one in answers
            for name in [one.customer_id]
        ]

        def store(connection: sa.Connection) -> list[Live]:
            actor = Actor(tenant, ACTOR, self._store.database)
            erased = actor.erased(connection, received)
            of_others = [one for one in made if one.customer_id not in erased]
            stored = store_scores(connection, tenant, snapshot.snapshot_id, of_others)
            wake_cases(connection, actor, {one.customer_id: one.document for one in stored})
            return stored

        stored = await self._store.write(store)
        await self._store.off_loop(self._store.take, snapshot, stored)
        return stored


def _clean(connection: sa.Connection, pointer: Pointer) -> None:
    ids = [one.snapshot_id for one in kept(connection, pointer.tenant)]
    remove_old(connection, pointer.tenant, ids)
