"""The installed package: what is in it, and that its errors are one tree. tests/pipeline/test_repro.py runs it."""

import ast
import builtins
import subprocess
import sys

from installed import HERE, LAYERS, site


def test_everything_that_is_imported_is_in_the_wheel():
    code = {path.relative_to(HERE) for layer in LAYERS for path in (HERE / layer).rglob("*.py")}
    code |= {path.relative_to(HERE) for path in HERE.glob("*.py")}
    assert {path for path in code if not (site() / "fedelta" / path).is_file()} == set()


def test_importing_it_has_no_effects_and_needs_none_of_the_extras():
    program = (
        "import sys, fedelta; print(*sorted(m for m in sys.modules if m.startswith(('fedelta', 'numpy', 'polars'))))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["fedelta"]


def bases() -> dict[str, set[str]]:
    """The names of the bases of every class of ours, by its name."""
    found: dict[str, set[str]] = {}
    for path in (path for layer in LAYERS for path in (HERE / layer).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                found.setdefault(node.name, set()).update(ast.unparse(base) for base in node.bases)
    return found


def test_every_error_of_ours_is_of_one_tree():
    known = bases()

    def above(name: str) -> set[str]:
        return {name} | {found for base in known.get(name, ()) for found in above(base)}

    builtin = {name for name, kind in vars(builtins).items() if isinstance(kind, type) and issubclass(kind, Exception)}
    errors = {name for name in known if above(name) & builtin}
    assert len(errors) > 50
    assert {name for name in errors if "FedeltaError" not in above(name)} == set()
