"""Which of the project's files are damaged: cut short, empty, or not what their names say.

Asked only once a command has failed for no reason that it knows, so a whole file costs nothing.
"""

import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path

import polars as pl

from fedelta.features.errors import FedeltaError
from fedelta.models.bundle import is_whole_booster

_FOLDERS = ("data", "reports", "treatments", "erased")
_HEADER = 100  # bytes, of a database of SQLite
_NOT_OURS = Path("data/raw")


class Damaged(FedeltaError):
    """A file that a command reads cannot be read."""


def must_be_whole(folder: Path = Path()) -> None:
    """Refuse damaged files, by name.

    Raises
    ------
    Damaged
        If there are any.
    """
    found = [str(path.relative_to(folder)) for path in damaged_files(folder)]
    if not found:
        return
    many = len(found) > 1
    databases = any(name.endswith(".db") for name in found)
    advice = (
        "bring back a backup of databases, and remove the others: `dvc repro` makes them anew"
        if databases
        else f"remove {'them' if many else 'it'} and run `dvc repro`, which makes {'them' if many else 'it'} anew"
    )
    raise Damaged(f"{', '.join(found)} {'are' if many else 'is'} cut short or damaged otherwise: {advice}.")


def damaged_files(folder: Path) -> Iterator[Path]:
    """Files that cannot be read as what their names say."""
    for path in sorted(path for name in _FOLDERS for path in (folder / name).rglob("*")):
        check = _CHECKS.get(path.suffix)
        if check and path.is_file() and not path.is_relative_to(folder / _NOT_OURS) and not _holds(check, path):
            yield path


def _holds(check: Callable[[Path], bool], path: Path) -> bool:
    try:
        return check(path)
    except (pl.exceptions.PolarsError, sqlite3.DatabaseError, ValueError, OSError):
        return False


def _parquet(path: Path) -> bool:
    pl.read_parquet_schema(path)
    return True


def _json(path: Path) -> bool:
    json.loads(path.read_text(encoding="utf-8"))
    return True


def _text(path: Path) -> bool:
    return "bundle" not in str(path.parent) or is_whole_booster(path.read_text(encoding="utf-8"))


def _database(path: Path) -> bool:
    """Whether a database of SQLite has all of its pages: its header says how many of which size."""
    with path.open("rb") as file:
        header = file.read(_HEADER)
    page, pages = int.from_bytes(header[16:18]), int.from_bytes(header[28:32])
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        whole = connection.execute("PRAGMA quick_check(1)").fetchone() == ("ok",)
    return whole and path.stat().st_size >= (65_536 if page == 1 else page) * pages


_CHECKS: Mapping[str, Callable[[Path], bool]] = {
    ".parquet": _parquet,
    ".json": _json,
    ".txt": _text,
    ".db": _database,
}
