"""``fedelta run``: everything from raw files to a published scoring run, and where to look afterwards."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from fedelta.features.errors import FedeltaError
from fedelta.pipeline import paths
from fedelta.pipeline.commands.init import init, watched
from fedelta.pipeline.commands.simulate import DEMO
from fedelta.pipeline.commands.simulate import main as simulate
from fedelta.pipeline.commands.use import dates_must_be_quoted
from fedelta.pipeline.intake.databases import fetch
from fedelta.pipeline.intake.sources import load_source
from fedelta.pipeline.params import load_params
from fedelta.pipeline.stages import read_stages, run_stages


class RunFailed(FedeltaError):
    """A stage stopped; it has printed the reason."""


def run(command: Callable[[Sequence[str]], int], *, dvc: bool = True) -> None:
    """Make or copy the data that are not here yet, then run the stages.

    A folder that is no project becomes one first (`fedelta init`). The demo company is simulated where it is the
    source; database tables of the source are copied anew.

    Parameters
    ----------
    command : runs the ``fedelta`` of given words and gives its exit code
    dvc : whether DVC runs them, those that are out of date; otherwise all are run, and nothing is cached or recorded

    Raises
    ------
    RunFailed
        If a stage fails (``StageFailed`` without DVC), or DVC is not installed.
    """
    if not paths.PARAMS.is_file():
        print(init())
    params = load_params()
    dates_must_be_quoted()
    source = load_source(params.source)
    for line in fetch(source, Path(params.data)):
        print(f"fetched {line}")
    if params.source == "demo" and Path(params.data) == DEMO and not DEMO.exists():
        simulate()
    # A stage finds this environment where the project has no .venv and no other is active (pipeline/python.sh).
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    if dvc and not watched():
        print("No folder from here upwards is one of DVC's (`dvc init` makes it one): the stages run without DVC.")
        dvc = False
    if dvc:
        _repro()
    else:
        run_stages(read_stages(), command)
    print(
        f"\nReport:  {paths.REPORT} (open it in a browser)\nScores:  {paths.SCORES}\n"
        "Next:    make serve, then `fedelta keys create NAME` for a key to read scores with"
    )


def _repro() -> None:
    command = shutil.which("dvc")
    if command is None:
        raise RunFailed(
            "dvc is not installed. Run `make setup`, or the extra `pipeline`, or use `fedelta run --no-dvc`."
        )
    if subprocess.run([command, "repro"], check=False).returncode:  # noqa: S603 - our own command
        raise RunFailed("the run stopped at the stage above. Mend what it says and run again: done stages are kept.")
