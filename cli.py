"""The ``fedelta`` command: how it is begun, and how an error is shown. The commands are in ``command_line/``.

Exit codes: 0 done; 1 it could not be done, or a check that was asked for failed, as one line on standard error says;
2 the words of the command are wrong; 130 stopped by the user.
"""

import importlib.util
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import click

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

from fedelta.command_line import fedelta
from fedelta.features.errors import FedeltaError


def main(argv: Sequence[str] | None = None) -> int:  # noqa: PLR0911 - a line per way to end
    """Run one command and give its exit code; an error that explains itself is shown as one line."""
    # Threads of LightGBM that wait must not spin: on a busy machine that cost six times the CPU.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # Matrices are small, and work is shared out by fold and by booster: threads of BLAS beside these doubled the CPU.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        fedelta.main(None if argv is None else list(argv), prog_name="fedelta", standalone_mode=False)
    except FedeltaError as error:
        return _failed(str(error))
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return 2
    except click.UsageError as error:
        hint = f" See `{error.ctx.command_path} --help`." if error.ctx else ""
        print(f"fedelta: {error.format_message()}{hint}", file=sys.stderr)
        return 2
    except click.Abort:
        print("fedelta: stopped.", file=sys.stderr)
        return 130
    except FileNotFoundError as error:
        return _failed(f"{error.filename or error} is missing. `dvc repro` makes what a command reads.")
    except OSError as error:  # no room, no permission: nothing half-written is left (pipeline/atomic_write.py)
        return _failed(f"{error}. Make room or grant access, then run again.")
    return 0


def _failed(why: str) -> int:
    print(f"fedelta: {why}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
