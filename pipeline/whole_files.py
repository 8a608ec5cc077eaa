"""Files written whole or not at all: what a killed run leaves behind is never half a result."""

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


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


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
