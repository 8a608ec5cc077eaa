"""``fedelta run``: everything from raw files to a published scoring run, and where to look afterwards."""

import shutil
import subprocess
import sys
from pathlib import Path

from features.errors import ExplainedError
from pipeline import paths
from pipeline.databases import fetch
from pipeline.params import load_params
from pipeline.simulate import DEMO
from pipeline.simulate import main as simulate
from pipeline.sources import load_source
from pipeline.use import dates_must_be_quoted


class RunFailed(ExplainedError):
    """A stage stopped; it has said why."""


def run() -> None:
    """Make or copy the data that are not here yet, then run the stages that are out of date.

    The demo company is simulated where it is the source; database tables of the source are copied anew.

    Raises
    ------
    RunFailed
        If a stage fails, or DVC is not installed.
    """
    params = load_params()
    dates_must_be_quoted()
    source = load_source(params.source)
    for line in fetch(source, Path(params.data)):
        print(f"fetched {line}")
    if params.source == "demo" and Path(params.data) == DEMO and not DEMO.exists():
        simulate()
    dvc = Path(sys.executable).with_name("dvc")
    command = str(dvc) if dvc.exists() else shutil.which("dvc")
    if command is None:
        raise RunFailed("dvc is not installed. Run `make setup`, or install the extra `pipeline`.")
    if subprocess.run([command, "repro"], check=False).returncode:  # noqa: S603 - our own command
        raise RunFailed("the run stopped at the stage above. Mend what it says and run again: done stages are kept.")
    print(
        f"\nReport:  {paths.REPORT} (open it in a browser)\nScores:  {paths.SCORES}\n"
        "Next:    make serve, then `fedelta keys create NAME` for a key to read scores with"
    )
