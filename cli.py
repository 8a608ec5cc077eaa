"""The ``fedelta`` command: how it is begun. The commands, and how each ends, are in ``command_line/``."""

import importlib.util
import os
import sys
from collections.abc import Sequence
from pathlib import Path

if __name__ in {"__main__", "__mp_main__"} and not __package__:
    # Run as a file, as the stages of dvc.yaml do: the folder it lies in is the package, whatever is installed. So the
    # copy that `dvc exp run --temp` works in runs its own code.
    _home = Path(__file__).resolve().parent
    _spec = importlib.util.spec_from_file_location(
        "fedelta", _home / "__init__.py", submodule_search_locations=[str(_home)]
    )
    assert _spec
    assert _spec.loader
    sys.modules["fedelta"] = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(sys.modules["fedelta"])

from fedelta.command_line.ends import run_command


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and give its exit code."""
    # Threads of LightGBM that wait must not spin: on a busy machine that cost six times the CPU.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # Matrices are small, and work is shared out by fold and by booster: threads of BLAS beside these doubled the CPU.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    return run_command(argv)


if __name__ == "__main__":
    sys.exit(main())
