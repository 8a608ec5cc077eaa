"""Who works on buckets: processes of this machine or a Spark cluster, with the same results in the same order."""

import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager

from fedelta.pipeline.buckets.pool import ENVIRONMENT, Pool
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
        with processes(min(engine.workers, tasks)) as pool:
            yield pool


@contextmanager
def processes(number: int) -> Iterator[Pool]:
    """So many processes of this machine. Spawned, because threads do not survive a fork."""
    os.environ.update(ENVIRONMENT)
    with ProcessPoolExecutor(number, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield pool
