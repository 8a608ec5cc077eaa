"""What several tests start from is made once in a run of the tests, whatever worker asks for it first."""

import fcntl
import os
import shutil
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
