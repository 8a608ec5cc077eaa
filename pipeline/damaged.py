"""Which of the project's files are damaged: cut short, empty, not what their names say, or of other content.

Asked only once a command has failed for no reason that it knows, so a whole file costs nothing.
"""

import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import polars as pl

from fedelta.features.errors import FedeltaError
from fedelta.models.bundle import is_whole_booster

_FOLDERS = ("data", "reports", "treatments", "erased")
_HEADER = 100  # bytes, of a database of SQLite
_OF_PEOPLE = ("treatments/", "erased/")  # nothing makes them anew
_NOT_OURS = Path("data/raw")


class Damaged(FedeltaError):
    """A file that a command reads cannot be read."""


def must_be_whole(folder: Path = Path(), cause: str = "") -> None:
    """Refuse damaged files, by name, and say what else is known of the failure.

    Raises
    ------
    Damaged
        If there are any.
    """
    cut = [str(path.relative_to(folder)) for path in damaged_files(folder)]
    many = len(cut) > 1
    found = (
        [f"{', '.join(cut)} {'are' if many else 'is'} cut short or damaged otherwise"] if cut else [*_mistaken(folder)]
    )
    if not found:
        return
    kept = [name for name in cut if name.endswith(".db") or name.startswith(_OF_PEOPLE)]
    them = "them" if many or len(found) > 1 else "it"
    advice = (
        f"bring back a backup of {', '.join(kept)}" + (", and remove the others" if len(kept) < len(cut) else "")
        if kept
        else f"remove {them}"
    )
    if len(kept) < len(cut) or not cut:
        advice += f" and run `dvc repro`, which makes {them} anew"
    raise Damaged(f"{'; '.join(found)}: {advice}.{cause and f' {cause}'}")


def _mistaken(folder: Path) -> Iterator[str]:
    """What is wrong with files that can be read."""
    from fedelta.pipeline.contents import mistakes_in_reports, mistakes_in_tables  # noqa: PLC0415 - slow to import

    for mistakes in (mistakes_in_tables, mistakes_in_reports):
        yield from mistakes(folder)


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
    # With a journal beside it somebody may be writing. Without one it is opened as what nobody changes: reading it then
    # makes no files, for which a full disk has no room.
    how = "mode=ro" if path.with_name(f"{path.name}-wal").exists() else "immutable=1"
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?{how}", uri=True)) as connection:
            whole = connection.execute("PRAGMA quick_check(1)").fetchone() == ("ok",)
    except sqlite3.OperationalError:  # locked, no room, no permission
        whole = True
    return whole and path.stat().st_size >= (65_536 if page == 1 else page) * pages


_CHECKS: Mapping[str, Callable[[Path], bool]] = {
    ".parquet": _parquet,
    ".json": _json,
    ".txt": _text,
    ".db": _database,
}
