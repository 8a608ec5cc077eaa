"""One run at a time writes a project's files; a run that was killed blocks nobody."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fedelta.pipeline.run_lock import AnotherRun, sole_run

HOLD = """
import sys
from pathlib import Path
from fedelta.pipeline.run_lock import sole_run
with sole_run("stage ingest", Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def holder(lock: Path) -> "subprocess.Popen[str]":
    """Another process that holds the lock."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def end(process: "subprocess.Popen[str]", number: int) -> None:
    process.send_signal(number)
    process.communicate()


def test_a_second_run_is_refused_with_who_writes(tmp_path: Path) -> None:
    lock = tmp_path / "data/.run.lock"
    process = holder(lock)
    try:
        with pytest.raises(AnotherRun) as refused, sole_run("stage score", lock):
            pass
    finally:
        end(process, signal.SIGTERM)
    assert f"Another run is writing in {tmp_path}/data (stage ingest, process {process.pid}, since" in str(
        refused.value
    )
    assert "Wait for it to end, then run again." in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_run_that_was_killed_blocks_nobody(tmp_path: Path, number: int) -> None:
    lock = tmp_path / ".run.lock"
    end(holder(lock), number)
    with sole_run("stage score", lock):
        assert f"stage score, process {os.getpid()}" in lock.read_text()


def test_runs_one_after_the_other_are_free(tmp_path: Path) -> None:
    for _ in range(2):
        with sole_run("stage score", tmp_path / ".run.lock"):
            pass
