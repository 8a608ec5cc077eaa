"""The code that each stage of dvc.yaml runs, by its imports: `python tests/pipeline/build_graph.py` writes it there.

Rooms are named as folders, modules outside them as files. The way ends at pipeline/params.py, which knows the settings
of every room: what a stage reads of them stands in its ``params``.
"""

import sys
from functools import cache
from pathlib import Path

import grimp
from ruamel.yaml import YAML

HERE = Path(__file__).parents[2]
# Modules that another finds in a folder and imports by name, which no import statement shows.
FOUND_BY = {"fedelta.models.churn.candidates": "fedelta.models.churn.candidate_models"}
END = "fedelta.pipeline.params"
MODULES = {"publish": "fedelta.serve.snapshots.publish"}  # others are the module of their name in pipeline/


@cache
def imports() -> grimp.ImportGraph:
    """The import graph of the package, without what only type checkers import."""
    return grimp.build_graph("fedelta", exclude_type_checking_imports=True)


def modules_of(stage: str) -> set[str]:
    """The modules that a stage's own imports, directly or not."""
    graph, found, ahead = imports(), set(), [MODULES.get(stage, f"fedelta.pipeline.{stage}")]
    while ahead:
        module = ahead.pop()
        if module in found or module == END:
            continue
        found.add(module)
        ahead += graph.find_modules_directly_imported_by(module)
        if module in FOUND_BY:
            ahead += graph.find_children(FOUND_BY[module])
    return found


def place_of(module: str) -> str | None:
    """The folder or file that stands for a module; None for a folder's own ``__init__``, which holds a line."""
    path = HERE.joinpath(*module.split(".")[1:])
    if path.is_dir():
        return None
    layer, *room = path.relative_to(HERE).parent.parts or ("",)
    if layer in ("features", "pages", "scoring", "serve"):
        return layer
    return f"{layer}/{room[0]}" if room else path.relative_to(HERE).with_suffix(".py").as_posix()


def code_of(stage: str) -> list[str]:
    """The folders and files of code that a stage depends on."""
    return sorted({place for module in modules_of(stage) if (place := place_of(module))})


def is_code(dep: str) -> bool:
    """Whether an entry of ``deps`` is code, not data."""
    return dep.split("/", maxsplit=1)[0] in ("features", "models", "pages", "pipeline", "scoring", "serve")


def main() -> None:
    """Write the code of every stage into dvc.yaml, after its data."""
    yaml = YAML()
    yaml.width = 10_000
    yaml.indent(mapping=2, sequence=4, offset=2)
    file = HERE / "dvc.yaml"
    document = yaml.load(file.read_text(encoding="utf-8"))
    for name, stage in document["stages"].items():
        data = [dep for dep in stage["deps"] if not is_code(dep)]
        stage["deps"] = [*data, *code_of(name)]  # a plain list is written a line each
    with file.open("w", encoding="utf-8") as out:
        yaml.dump(document, out)


if __name__ == "__main__":
    sys.exit(main())
