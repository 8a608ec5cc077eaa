"""What several tests start from is made once in a run of the tests, whatever worker asks for it first."""

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

SHARED = "FEDELTA_TESTS_SHARED"  # names the run's folder; tests/conftest.py makes and removes it


def made_once(name: str, make: Callable[[Path], object]) -> Path:
    """The folder of this name, filled by `make` if nobody has yet. Not to be written to: copy it."""
    folder = Path(os.environ[SHARED]) / name
    with folder.with_name(f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            being_made = folder.with_name(f"{name}.being_made")
            shutil.rmtree(being_made, ignore_errors=True)  # by a test that failed
            being_made.mkdir()
            make(being_made)
            being_made.rename(folder)
    return folder


def end_with_the_run(leader: "subprocess.Popen[bytes]") -> None:
    """Note a process that leads a session of its own, to be ended with all of it when the run of the tests ends."""
    Path(os.environ[SHARED], f"{leader.pid}.session").touch()
    _not_waited_for.append(leader)  # Python would warn of a process that is forgotten


_not_waited_for: list["subprocess.Popen[bytes]"] = []


def end_sessions() -> None:
    """End what was noted; a session that does not end within 20 seconds is killed."""
    for noted in Path(os.environ[SHARED]).glob("*.session"):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(int(noted.stem), signal.SIGTERM)
            for _ in range(100):
                time.sleep(0.2)
                os.killpg(int(noted.stem), 0)
            os.killpg(int(noted.stem), signal.SIGKILL)
