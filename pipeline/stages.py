"""The stages of dvc.yaml without DVC: their order, commands and outputs, and running them."""

import multiprocessing
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

from ruamel.yaml import YAML

from fedelta.features.errors import FedeltaError
from fedelta.pipeline import paths

FILE = Path("dvc.yaml")
PACKAGE = Path(__file__).parents[1]  # what is installed: code, params.yaml, dvc.yaml and sources/
_REFERENCE = re.compile(r"\$\{\s*([\w.]+)\s*\}")


class BadStages(FedeltaError):
    """dvc.yaml is missing, or says something that only DVC can run."""


class StageFailed(FedeltaError):
    """A stage stopped; it has printed the reason."""


@dataclass(frozen=True)
class Stage:
    """One stage of dvc.yaml, its ``${…}`` filled in."""

    name: str
    command: str
    deps: tuple[str, ...]
    outs: tuple[str, ...]
    persistent: tuple[str, ...]  # outs that the next run finds as this one left them
    words: tuple[str, ...] | None = None  # of the command after `fedelta`, if it is this very package that runs it

    def feeds(self, other: "Stage") -> bool:
        """Whether the other stage reads what this one writes."""
        return any(_overlap(out, dep) for out in self.outs for dep in other.deps)

    def clear(self) -> None:
        """Remove what it wrote before, but for what persists, and make room for what it will write."""
        for out in map(Path, self.outs):
            if str(out) not in self.persistent:
                _remove(out)
            out.parent.mkdir(parents=True, exist_ok=True)


def read_stages(file: Path = FILE, params: Path = paths.PARAMS) -> list[Stage]:
    """The stages in an order in which each comes after those it reads from; otherwise as they stand in the file.

    Raises
    ------
    BadStages
        If a file is missing, ``${name}`` is in neither file, or stages wait for each other.
    """
    document, values = _read(file), _read(params)
    for given in document.get("vars", []):
        values |= given
    waiting = [_stage(name, body, values) for name, body in document["stages"].items()]
    ordered: list[Stage] = []
    while waiting:
        ready = next((s for s in waiting if not any(o.feeds(s) for o in waiting if o is not s)), None)
        if ready is None:
            raise BadStages(f"The stages {', '.join(s.name for s in waiting)} of {file} wait for each other.")
        waiting.remove(ready)
        ordered.append(ready)
    return ordered


def stage_names(file: Path = FILE) -> list[str]:
    """The names of the stages: of the project's dvc.yaml, or where it has none of the installed package's."""
    return list(deps_of_stages(file))


def deps_of_stages(file: Path = FILE) -> Mapping[str, tuple[str, ...]]:
    """What each of these stages reads, as it stands there: a ``${…}`` is not filled in."""
    there = (file if file.is_file() else PACKAGE / FILE).resolve()
    state = there.stat()
    return _deps(there, (state.st_mtime_ns, state.st_size))


@cache
def _deps(file: Path, _state: tuple[int, int]) -> Mapping[str, tuple[str, ...]]:
    """Read once: the name that a command was given, then what the stage of the name reads."""
    return {name: tuple(body.get("deps", ())) for name, body in _read(file)["stages"].items()}


def run_stages(stages: list[Stage], command: Callable[[Sequence[str]], int] | None = None) -> None:
    """Run every stage as DVC does, in a process of its own and with its outputs of before removed first.

    Parameters
    ----------
    stages : in their order
    command : runs the ``fedelta`` of given words and gives its exit code; stages of this package then begin as forks of
        a process that has imported what they need, which saves each some two seconds. None: all run by their command

    Raises
    ------
    StageFailed
        At the first stage that fails, or leaves an output unwritten.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([f"fedelta.pipeline.{stage.name}" for stage in stages if stage.words is not None])
    for number, stage in enumerate(stages, 1):
        print(f"Running stage {stage.name!r} ({number} of {len(stages)}):\n> {stage.command}", flush=True)
        stage.clear()
        if command is None or stage.words is None:
            code = subprocess.run(stage.command, shell=True, check=False).returncode  # noqa: S602 - our own dvc.yaml
        else:
            fork = context.Process(target=_exit_with, args=(command, stage.words))
            fork.start()
            fork.join()
            code = fork.exitcode or 0
        if code:
            raise StageFailed(
                f"stage {stage.name!r} failed (exit code {code}); it says above what to mend; earlier stages are done."
            )
        if missing := [out for out in stage.outs if not Path(out).exists()]:
            raise StageFailed(f"stage {stage.name!r} ended without writing {', '.join(missing)}.")


def _exit_with(command: Callable[[Sequence[str]], int], words: Sequence[str]) -> None:
    sys.exit(command(words))


def _read(file: Path) -> dict[str, Any]:
    try:
        document: dict[str, Any] = YAML(typ="safe").load(file.read_text(encoding="utf-8")) or {}
    except FileNotFoundError:
        raise BadStages(f"{file} is missing here. Run the command in the project's folder.") from None
    return document


def _stage(name: str, body: Mapping[str, Any], values: Mapping[str, Any]) -> Stage:
    outs = list(_entries(body, "outs")) + list(_entries(body, "metrics")) + list(_entries(body, "plots"))
    filled = {_filled(out, values): settings for out, settings in outs}
    return Stage(
        name,
        command := _filled(body["cmd"], values),
        tuple(_filled(dep, values) for dep in body.get("deps", [])),
        tuple(filled),
        tuple(out for out, settings in filled.items() if settings.get("persist")),
        _words(body["cmd"], command),
    )


def _words(written: str, command: str) -> tuple[str, ...] | None:
    """What a command says to the ``fedelta`` that runs now, or None if it is for the shell or for code elsewhere."""
    entry = "${fedelta} "
    if not written.startswith(entry) or re.search(r"[^\w\s./=-]", written.removeprefix(entry)):
        return None
    words = shlex.split(command)
    if words[0] == "fedelta":  # the first on the PATH, which `fedelta run` makes its own
        return tuple(words[1:])
    return tuple(words[words.index("cli.py") + 1 :]) if Path.cwd() == PACKAGE and "cli.py" in words else None


def _entries(body: Mapping[str, Any], section: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Outputs of a section with their settings: each a path, or a path with settings under it."""
    for entry in body.get(section, []):
        if isinstance(entry, str):
            yield entry, {}
        else:
            yield from entry.items()


def _filled(text: str, values: Mapping[str, Any]) -> str:
    """The text with each ``${a.b}`` replaced by its value, as DVC does."""

    def value(found: re.Match[str]) -> str:
        held: Any = values
        for key in found[1].split("."):
            if not isinstance(held, Mapping) or key not in held:
                raise BadStages(f"${{{found[1]}}} of {FILE} is neither among its vars nor in {paths.PARAMS}.")
            held = held[key]
        return str(held)

    return _REFERENCE.sub(value, text)


def _overlap(one: str, other: str) -> bool:
    a, b = PurePosixPath(one), PurePosixPath(other)
    return a.is_relative_to(b) or b.is_relative_to(a)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
