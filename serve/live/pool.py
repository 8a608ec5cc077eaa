"""Processes that score, one request after the other or the requests of one moment together.

Each process loads a snapshot's models once. One that dies is replaced, and what it was at is tried once more. What
waits is bounded, and nobody waits longer than the deadline.
"""

import asyncio
import importlib.util
import logging
import math
import multiprocessing
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from fedelta.features.errors import FedeltaError
from fedelta.serve.live import worker
from fedelta.serve.live.rows import joined
from fedelta.serve.live.worker import Again, Answer, Batch, CannotScore
from fedelta.serve.snapshots.parts import Parts

MOST_CUSTOMERS = 100  # that the scorer takes at once

_log = logging.getLogger("fedelta.serve")


class NotEquipped(FedeltaError):
    """This service has no processes that score, or not the packages."""


class Busy(FedeltaError):
    """Too much waits to be scored, or it took too long: try again later."""


@dataclass
class _Job:
    batch: Batch | Again
    done: "asyncio.Future[list[Answer]]"
    ids: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        of = self.batch.customers
        self.ids = frozenset(one if isinstance(one, str) else one.customer_id for one in of)

    def goes_with(self, first: Batch | Again, ids: frozenset[str]) -> bool:
        """Whether it can be scored in one go with others: of the same run and time, no customer twice."""
        mine = self.batch
        if isinstance(mine, Again) or isinstance(first, Again):
            return False
        return (
            (mine.parts, mine.as_of, mine.explain) == (first.parts, first.as_of, first.explain)
            and mine.what_if is None
            and first.what_if is None
            and len(ids) + len(self.ids) <= MOST_CUSTOMERS
            and ids.isdisjoint(self.ids)
        )


class Pool:
    """The processes of one worker of the service. For its event loop, but ``close``."""

    def __init__(self, processes: int, *, most_waiting: int, seconds: float) -> None:
        self._processes, self._seconds, self._most_waiting = processes, seconds, most_waiting
        self._free: list[ProcessPoolExecutor | None] = [None] * processes  # those that have begun last
        self._waiting: deque[_Job] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._busy: set[ProcessPoolExecutor] = set()
        self._warm: Parts | None = None
        self._closed = False

    def check(self) -> None:
        """Raise ``NotEquipped`` where this service has no processes to score, or not the packages."""
        if self._closed or not self._processes:
            raise NotEquipped("This service has no processes that score: start it with --scoring-processes 1 or more.")
        if importlib.util.find_spec("lightgbm") is None:
            raise NotEquipped("Scoring needs more packages: install the extra `score` beside `serve`.")

    async def score(self, batch: Batch | Again) -> list[Answer]:
        """The answers of a batch of at most ``MOST_CUSTOMERS``, in its order.

        Raises
        ------
        NotEquipped
            If this service cannot score.
        CannotScore
            If what the snapshot is scored by cannot be used.
        Busy
            If too many wait already, or it took longer than the deadline.
        """
        self.check()
        waiting = sum(len(job.batch.customers) for job in self._waiting)
        if waiting and waiting + len(batch.customers) > self._most_waiting:
            raise Busy(f"{waiting} customers wait to be scored.")
        job = _Job(batch, asyncio.get_running_loop().create_future())
        self._waiting.append(job)
        asyncio.get_running_loop().call_soon(self._pump)  # after what else comes in this moment
        try:
            return await asyncio.wait_for(job.done, self._seconds)
        except TimeoutError:
            raise Busy(f"It was not scored within {self._seconds:g} s.") from None
        except BrokenProcessPool:
            raise Busy("The processes that scored it died.") from None

    def warm(self, parts: Parts) -> None:
        """Let the processes that have begun load a snapshot, before anybody waits for it; and begin one if none has."""
        if parts == self._warm or self._closed or importlib.util.find_spec("lightgbm") is None:
            return
        self._warm = parts
        begun = [one for one in self._free if one is not None] or self._free[-1:]
        for one in begun:
            self._free.remove(one)
            self._spawn(self._warmed(one, parts))

    @property
    def begun(self) -> bool:
        """Whether a process has begun."""
        return bool(self._busy) or any(one is not None for one in self._free)

    def close(self) -> None:
        """End the processes when they are done with what they are at; what waits fails."""
        self._closed = True
        for task in self._tasks:
            with suppress(RuntimeError):  # the loop has ended
                task.get_loop().call_soon_threadsafe(task.cancel)
        for one in (*self._busy, *self._free):
            if one is not None:
                one.shutdown(cancel_futures=True)
        self._free, self._busy = [], set()

    def _pump(self) -> None:
        """Give the free processes what waits."""
        while self._free and self._waiting and not self._closed:
            if jobs := self._taken():
                self._spawn(self._run(self._free.pop(), jobs))

    def _taken(self) -> list[_Job]:
        """The job that has waited longest, and those that can be scored with it: no more than this process's share, or
        the others would have nothing to do while all wait for one.
        """
        rest = [job for job in self._waiting if not job.done.done()]
        self._waiting.clear()
        if not rest:
            return []
        taken, ids, share = [rest[0]], rest[0].ids, math.ceil(len(rest) / self._processes)
        for job in rest[1:]:
            if len(taken) < share and job.goes_with(taken[0].batch, ids):
                taken.append(job)
                ids |= job.ids
            else:
                self._waiting.append(job)
        return taken

    async def _run(self, process: ProcessPoolExecutor | None, jobs: Sequence[_Job]) -> None:
        try:
            process = await self._scored(process, jobs)
        finally:
            self._back(process)

    async def _scored(self, process: ProcessPoolExecutor | None, jobs: Sequence[_Job]) -> ProcessPoolExecutor | None:
        """Score jobs together, and one by one where that fails; the process that is left, or the one in its place."""
        try:
            process, answers = await self._asked(process, *_together(jobs))
        except Exception as error:
            if isinstance(error, BrokenProcessPool):
                process = None
            if len(jobs) == 1:
                if not jobs[0].done.done():
                    jobs[0].done.set_exception(error)
                return process
            for job in jobs:
                process = await self._scored(process, [job])
            return process
        by_id = {one.customer_id: one for one in answers}
        for job in jobs:
            if not job.done.done():
                asked = (one if isinstance(one, str) else one.customer_id for one in job.batch.customers)
                job.done.set_result([by_id[customer_id] for customer_id in asked])
        return process

    async def _asked(
        self, process: ProcessPoolExecutor | None, what: Callable[[Any], Any], value: object
    ) -> tuple[ProcessPoolExecutor, Any]:
        """What a process answers; where it dies, what another one answers."""
        loop = asyncio.get_running_loop()
        for last in (False, True):
            process = process or _begun()
            self._busy.add(process)
            try:
                return process, await loop.run_in_executor(process, what, value)
            except BrokenProcessPool:
                _log.warning("A process that scores died%s.", "" if last else "; another one takes its place")
                self._busy.discard(process)
                process.shutdown(wait=False)
                process = None
                if last or self._closed:
                    raise
            finally:
                if process is not None:
                    self._busy.discard(process)
        raise AssertionError

    async def _warmed(self, process: ProcessPoolExecutor | None, parts: Parts) -> None:
        try:
            process, _ = await self._asked(process, worker.warm, parts)
        except BrokenProcessPool:
            process = None
        except CannotScore as error:
            _log.warning("Scores cannot be computed: %s", error)
        finally:
            self._back(process)

    def _back(self, process: ProcessPoolExecutor | None) -> None:
        if self._closed:
            if process is not None:
                process.shutdown(wait=False, cancel_futures=True)
            return
        self._free.insert(0 if process is None else len(self._free), process)
        self._pump()

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _begun() -> ProcessPoolExecutor:
    """One process; it starts with its first task."""
    return ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"), initializer=worker.begin)


def _together(jobs: Sequence[_Job]) -> tuple[Callable[[Any], list[Answer]], Batch | Again]:
    """What is to be done for some jobs, and with what."""
    first = jobs[0].batch
    if isinstance(first, Again):
        return worker.recompute, first
    if len(jobs) == 1:
        return worker.compute, first
    batches = [job.batch for job in jobs if isinstance(job.batch, Batch)]
    customers = tuple(one for batch in batches for one in batch.customers)
    rows = joined([batch.interactions for batch in batches])
    return worker.compute, Batch(first.parts, first.snapshot_id, customers, rows, first.as_of, first.explain)
