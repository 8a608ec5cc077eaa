"""How a command ends: its exit code, and an error that explains itself as one line.

Exit codes: 0 done; 1 it could not be done, or a check that was asked for failed, as one line on standard error says;
2 the words of the command are wrong; 130 stopped by the user.
"""

import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

import click

from fedelta.command_line.group import fedelta
from fedelta.features.errors import FedeltaError

_HOME = Path(__file__).parents[1]
_NO_ROOM = ("No space left on device", "Disk quota exceeded", "File too large")  # as DuckDB and Polars pass it on
_WRITING = "transport error"  # what Polars says of a full disk as it writes, and of a file cut short as it reads


def run_command(words: Sequence[str] | None = None) -> int:  # noqa: PLR0911 - a line per way to end
    """Run the command of these words, or of those the process was begun with, and give its exit code."""
    try:
        fedelta.main(None if words is None else list(words), prog_name="fedelta", standalone_mode=False)
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
        named = error.filename or str(error).partition("\n")[0].rpartition("(os error 2): ")[2]
        return _failed(f"{named} is missing. `dvc repro` makes what a command reads.")
    except OSError as error:  # no room, no permission: nothing half-written is left (pipeline/atomic_write.py)
        return _failed(f"{error}. Make room or grant access, then run again.")
    except Exception as error:
        if any(words in str(error) for words in _NO_ROOM):
            return _failed(f"A file could not be written: {_first_line(error)}. Make room, then run again.")
        if damaged := _damaged(error):
            return _failed(damaged)
        if _WRITING in str(error):
            return _failed(f"A table could not be written ({_first_line(error)}). Make room, then run again.")
        raise
    return 0


def _damaged(error: Exception) -> str:
    """What to say of damaged files of the project in whose folder the command worked; nothing if there are none.

    The error is named too, with the line of ours that it came from: it may have another cause.
    """
    from fedelta.pipeline.damaged import Damaged, must_be_whole

    ours = [frame for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename).is_relative_to(_HOME)]
    place = f" at {Path(ours[-1].filename).relative_to(_HOME)}:{ours[-1].lineno}" if ours else ""
    try:
        must_be_whole(cause=f"What failed: {type(error).__name__}{place}: {_first_line(error)}")
    except Damaged as damaged:
        return str(damaged)
    return ""


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0].rstrip(".")


def _failed(why: str) -> int:
    print(f"fedelta: {why}", file=sys.stderr)
    return 1
