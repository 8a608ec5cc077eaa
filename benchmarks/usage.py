"""What a process and its descendants use: wall time, CPU time and memory."""

import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import psutil

_SAMPLE_SECONDS = 0.05


class Failed(Exception):
    """A measured process ended with an error."""


@dataclass(frozen=True)
class Usage:
    """Cost of one run, from the start of its process to its end."""

    wall: float  # seconds
    cpu: float  # seconds, of the process and the descendants it waited for
    peak: int  # bytes resident in the whole tree at once, as sampled; pages that processes share count in each


def measured(command: Sequence[str], environment: Mapping[str, str]) -> Usage:
    """Run a command to its end and say what it cost.

    Raises
    ------
    Failed
        If it ends with an error.
    """
    with tempfile.TemporaryFile("w+") as output:
        start = time.perf_counter()
        process = subprocess.Popen(command, env={**os.environ, **environment}, stdout=output, stderr=output)
        ended = threading.Event()
        peaks: list[int] = [0]
        sampler = threading.Thread(target=_sample, args=(process.pid, ended, peaks))
        sampler.start()
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        ended.set()
        sampler.join()
        if process.returncode:
            output.seek(0)
            raise Failed(f"{' '.join(command)} ended with {process.returncode}: {output.read()[-2000:]}")
    return Usage(wall, usage.ru_utime + usage.ru_stime, max(peaks))


def _sample(pid: int, ended: threading.Event, peaks: list[int]) -> None:
    """Append the resident memory of the tree of `pid`, again and again."""
    while not ended.wait(_SAMPLE_SECONDS):
        try:
            root = psutil.Process(pid)
            tree = [root, *root.children(recursive=True)]
        except psutil.Error:
            return
        peaks.append(sum(_resident(process) for process in tree))


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:  # it ended between the listing and the question
        return 0
