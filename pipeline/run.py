"""``fedelta run``: everything from raw files to a published scoring run, and where to look afterwards."""

import shutil
import subprocess
import sys
from pathlib import Path

from features.errors import ExplainedError
from pipeline import paths
from pipeline.params import load_params
from pipeline.simulate import DEMO
from pipeline.simulate import main as simulate


class RunFailed(ExplainedError):
    """A stage stopped; it has said why."""


def run() -> None:
    """Simulate the demo company if it is the source and not there yet, then run the stages that are out of date.

    Raises
    ------
    RunFailed
        If a stage fails, or DVC is not installed.
    """
    params = load_params()
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
