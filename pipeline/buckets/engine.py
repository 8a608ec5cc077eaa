"""Who works on buckets: processes of this machine or a Spark cluster, with the same results in the same order."""

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager

from fedelta.pipeline.buckets.pool import ENVIRONMENT, Pool, R, T
from fedelta.pipeline.params import EngineSettings


@contextmanager
def workers(engine: EngineSettings, tasks: int) -> Iterator[Pool]:
    """The workers that params.yaml asks for, no more than there are tasks.

    Raises
    ------
    NoSpark
        If they are to be those of a Spark that cannot be used.
    """
    if engine.backend == "spark":
        from fedelta.pipeline.buckets.spark import executors  # noqa: PLC0415 - an extra

        with executors(engine.spark) as pool:
            yield pool
    else:
        with processes(engine.workers, tasks) as pool:
            yield pool


@contextmanager
def processes(number: int, tasks: int) -> Iterator[Pool]:
    """No more processes of this machine than there are tasks; a single task is done by this one.

    Spawned, because threads do not survive a fork.
    """
    if tasks == 1:
        yield _ThisProcess()
        return
    os.environ.update(ENVIRONMENT)
    with ProcessPoolExecutor(min(number, tasks), mp_context=multiprocessing.get_context("spawn")) as pool:
        yield pool


class _ThisProcess:
    def map(self, function: Callable[[T], R], items: Sequence[T], /) -> Iterator[R]:
        return map(function, items)
