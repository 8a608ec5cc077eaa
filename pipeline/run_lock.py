"""One run at a time in a project: a lock that the operating system takes back from a process that dies."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from fedelta.features.errors import FedeltaError
from fedelta.pipeline.paths import RUN_LOCK


class AnotherRun(FedeltaError):
    """Another process is writing the project's files."""


@contextmanager
def sole_run(what: str, lock: Path = RUN_LOCK) -> Iterator[None]:
    """Hold the right to write the project's files; `what` is named to whoever asks for it meanwhile.

    The file stays, which blocks nobody: the lock is the system's, not the file.

    Raises
    ------
    AnotherRun
        If another process holds it.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "it says no more"
            raise AnotherRun(
                f"Another run is writing in {lock.parent.absolute()} ({holder}). Wait for it to end, then run again."
            ) from None
        file.truncate(0)
        file.write(f"{what}, process {os.getpid()}, since {datetime.now():%Y-%m-%d %H:%M:%S}")  # noqa: DTZ005 - local
        file.flush()
        yield
