"""Files written whole or not at all: what a killed run leaves behind is never half a result."""

import errno
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

_DIGITS = 8  # significant, of a figure in a report; processors differ in the last ones


@contextmanager
def whole(target: Path) -> Iterator[Path]:
    """A place beside `target` to write to (a file, or a folder to make); it takes target's place when all went well.

    A file never takes the place of a folder. A folder that is replaced steps aside whole before it is removed, so a
    kill leaves the old one, none or the new one.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    staged, replaced = (target.with_name(f".{target.name}.{part}") for part in ("staged", "replaced"))
    for left in (staged, replaced):  # by a run that was killed
        _remove(left)
    try:
        yield staged
        if target.is_dir() and staged.is_file():
            raise IsADirectoryError(errno.EISDIR, "a folder, which a file is not to replace", str(target))
        if target.is_dir() and staged.exists():
            target.replace(replaced)
        staged.replace(target)
    finally:
        _remove(staged)
        _remove(replaced)


@contextmanager
def scratch(folder: Path) -> Iterator[Path]:
    """An empty folder that is gone afterwards; what a killed run left in it goes first."""
    shutil.rmtree(folder, ignore_errors=True)
    try:
        folder.mkdir(parents=True)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def write_json(path: Path, document: object) -> None:
    """A report file, its fractions rounded to eight significant digits: the same bytes on every processor."""
    with whole(path) as staged:
        staged.write_text(json.dumps(_rounded(document), indent=1, allow_nan=False), encoding="utf-8")


def _rounded(document: object) -> object:
    if isinstance(document, float):
        return float(f"{document:.{_DIGITS}g}")
    if isinstance(document, Mapping):
        return {name: _rounded(held) for name, held in document.items()}
    if isinstance(document, list | tuple):
        return [_rounded(held) for held in document]
    return document


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
