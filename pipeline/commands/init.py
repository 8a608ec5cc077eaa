"""``fedelta init``: a folder becomes a project, with settings, sources and stages of its own."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

from ruamel.yaml import YAML

from fedelta.features.errors import FedeltaError
from fedelta.pipeline import paths
from fedelta.pipeline.stages import FILE, PACKAGE

_IGNORED = "/data/\n/reports/\n/mlflow.db*\n/mlartifacts/\n"


class NoRoom(FedeltaError):
    """The folder holds files that a project would overwrite."""


def init(folder: Path = Path()) -> str:
    """Write params.yaml, dvc.yaml, sources/ and empty folders of a new project, and let DVC watch it where it can.

    The stages run the installed fedelta: what else lies in the folder (``models/``, ``cli.py``) does not matter.

    Raises
    ------
    NoRoom
        If one of them is there already; nothing is written then.
    """
    if taken := [name for name in (str(paths.PARAMS), str(FILE), str(paths.SOURCES)) if (folder / name).exists()]:
        raise NoRoom(
            f"{folder.resolve()} has {', '.join(taken)} already. Run `fedelta init` in another folder, or "
            "`fedelta run` if it is a project."
        )
    shutil.copytree(PACKAGE / paths.SOURCES, folder / paths.SOURCES, ignore=shutil.ignore_patterns("__pycache__"))
    for watched_folder in (paths.TREATMENTS, paths.ERASED):
        (folder / watched_folder).mkdir(exist_ok=True)
    (folder / FILE).write_text(stages_of_installed(), encoding="utf-8")
    if not (folder / ".gitignore").exists():
        (folder / ".gitignore").write_text(_IGNORED, encoding="utf-8")
    shutil.copy(PACKAGE / paths.PARAMS, folder / paths.PARAMS)  # last: with it, the folder is a project
    watched = "" if _made_watched(folder) else " DVC is not at hand here: `fedelta run` runs the stages without it."
    return f"made a project in {folder.resolve()}: params.yaml, dvc.yaml, sources/, treatments/, erased/.{watched}"


def stages_of_installed() -> str:
    """dvc.yaml for a project without fedelta's code: stages run the installed package, and depend on data alone."""
    yaml = YAML()
    yaml.width = 10_000
    document = yaml.load((PACKAGE / FILE).read_text(encoding="utf-8"))
    document["vars"] = [{"fedelta": "fedelta"}]
    for stage in document["stages"].values():
        stage["deps"] = [dep for dep in stage["deps"] if _is_data(dep)]
    out = StringIO()
    out.write("# The stages of fedelta, run by the installed package: `fedelta init` wrote this.\n")
    yaml.dump({"vars": document["vars"], "stages": document["stages"]}, out)
    return out.getvalue()


def _is_data(dep: str) -> bool:
    return dep.startswith(("data/", "reports/", "sources/", "${data}")) or dep in (
        str(paths.TREATMENTS),
        str(paths.ERASED),
    )


def watched(folder: Path = Path()) -> bool:
    """Whether DVC watches the folder: it or one above it was made with `dvc init`."""
    here = folder.resolve()
    return any((above / ".dvc" / "config").is_file() for above in (here, *here.parents))


def _made_watched(folder: Path) -> bool:
    """Make the folder one of DVC's, in a git repository or without; whether that could be done."""
    if watched(folder):
        return True
    dvc, config = Path(sys.executable).with_name("dvc"), folder / ".dvc" / "config"
    if not dvc.is_file() or not any(_done([str(dvc), "init", "--quiet", *how], folder) for how in _ways()):
        return False
    own = config.read_text(encoding="utf-8").replace("[core]\n", "")
    config.write_text(f"[core]\n    analytics = false\n    check_update = false\n{own}", encoding="utf-8")
    return True


def _done(command: list[str], folder: Path) -> bool:
    quiet = {**os.environ, "DVC_NO_ANALYTICS": "1"}
    return subprocess.run(command, cwd=folder, env=quiet, capture_output=True, check=False).returncode == 0  # noqa: S603 - our own command


def _ways() -> Iterator[tuple[str, ...]]:
    yield ()
    yield ("--subdir",)  # below the root of a git repository
    yield ("--no-scm",)
