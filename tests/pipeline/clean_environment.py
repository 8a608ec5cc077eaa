"""What a new environment would hold after `pip install` of a list: those packages, what they need, and nothing else."""

from collections.abc import Iterable
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def install(lines: Iterable[str], folder: Path) -> Path:
    """A folder for `sys.path` of links to the installed packages that a requirements list names, and their needs."""
    folder.mkdir()
    for found in _needed([Requirement(line) for line in lines]).values():
        for top in {file.parts[0] for file in found.files or [] if file.parts[0] not in ("..", "__pycache__")}:
            if not (folder / top).exists():
                (folder / top).symlink_to(Path(str(found.locate_file(top))).resolve())
    return folder


def _needed(wanted: list[Requirement]) -> dict[str, Distribution]:
    needed: dict[str, Distribution] = {}
    while wanted:
        requirement = wanted.pop()
        name = canonicalize_name(requirement.name)
        if name in needed:
            continue
        try:
            needed[name] = found = distribution(name)
        except PackageNotFoundError:  # for another system, or optional
            continue
        for line in found.requires or []:
            need = Requirement(line)
            extras = ("", *requirement.extras)
            if need.marker is None or any(need.marker.evaluate({"extra": extra}) for extra in extras):
                wanted.append(need)
    return needed
