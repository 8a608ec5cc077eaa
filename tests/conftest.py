"""What every test runs under."""

import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings
from made_once import SHARED, end_sessions

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the command does: waiting threads do not spin
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # so too; the processes that tests start have it as well
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # as the Makefile does: else these compile every library anew
settings.register_profile("any machine", deadline=None)  # laws hold at any speed
settings.load_profile("any machine")

LONG = "FEDELTA_LONG_TESTS"  # set to 1 where tests that are marked `long` are run too, as in .ci/run
REQUIRED = "FEDELTA_REQUIRE_SYSTEM"  # set to 1 where every part of the system must be there, as in .ci/run
_PROGRAMS = {  # a program of each part, below /
    "postgresql": "usr/lib/postgresql/*/bin/initdb",
    "chromium": "usr/bin/chromium",
    "systemd": "usr/bin/systemd-analyze",
    "openjdk-17-jre-headless": "usr/bin/java",
}
LONGEST = (  # files of a minute or so
    "test_repro.py", "test_track.py", "test_learned_truth.py", "test_desk_browser.py", "test_schemathesis.py",
    "test_desk_attacks.py", "test_scorer.py",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest files, so that no core waits for one at the end; skip what is long, unless asked for."""
    if os.environ.get(LONG) != "1":
        skip = pytest.mark.skip(reason="takes long: `make test-all` runs it, as CI does")
        for item in items:
            if item.get_closest_marker("long"):
                item.add_marker(skip)
    items.sort(key=lambda item: LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST))


_MEMORY, _ROOM, _NAME = Path("/dev/shm"), 4 << 30, "fedelta-tests-"


def pytest_configure(config: pytest.Config) -> None:
    """Make the folder that all workers of this run share; in memory if it has room, with all temporary files.

    With TMPDIR set they lie there, and pytest keeps those of the last runs.
    """
    if not hasattr(config, "workerinput"):
        in_memory = "TMPDIR" not in os.environ and _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > _ROOM
        for left in _MEMORY.glob(f"{_NAME}[0-9]*-*"):  # by a run that was killed
            if not Path("/proc", left.name.split("-")[2]).exists():
                shutil.rmtree(left, ignore_errors=True)
        name = f"{_NAME}{os.getpid()}-"
        os.environ[SHARED] = folder = tempfile.mkdtemp(prefix=name, dir=_MEMORY if in_memory else None)
        if in_memory:
            Path(folder).chmod(0o711)  # PostgreSQL runs as somebody else
            os.environ["TMPDIR"] = tempfile.tempdir = folder


def pytest_unconfigure(config: pytest.Config) -> None:
    """End what was to end with the run, and remove the folder."""
    if not hasattr(config, "workerinput"):
        end_sessions()
        shutil.rmtree(os.environ.pop(SHARED), ignore_errors=True)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what was skipped, a line for each reason: pytest's own list has one for each test."""
    skipped = terminalreporter.stats.get("skipped", ())
    reasons = Counter(each.longrepr[2].removeprefix("Skipped: ") for each in skipped)
    for reason, tests in reasons.most_common():
        terminalreporter.write_line(f"{tests} skipped: {reason}")


@pytest.fixture(scope="session")
def needs_system() -> Callable[[str], Path]:
    """A function that gives the folder of a system part's programs; without it the test is skipped, or fails in CI."""

    def folder_of(part: str) -> Path:
        if found := sorted(Path("/").glob(_PROGRAMS[part])):
            return found[-1].parent
        missing = f"{part} is not installed: apt-get install {part}"
        if os.environ.get(REQUIRED) == "1":
            pytest.fail(missing)
        pytest.skip(missing)

    return folder_of
