"""The installed package: it works beside anybody's features.py, models/ and cli.py, and its errors are one tree."""

import ast
import builtins
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

HERE = Path(__file__).parents[1]
LAYERS = ("features", "models", "pages", "pipeline", "serve")
FOREIGN = "raise SystemExit('the program of somebody else was run')\n"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package as its wheel installs it."""
    copy = tmp_path_factory.mktemp("wheel") / "fedelta"
    skipped = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in (*LAYERS, "sources"):
        shutil.copytree(HERE / name, copy / name, ignore=skipped)
    for name in ("__init__.py", "cli.py", "dvc.yaml", "params.yaml", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(HERE / name, copy)
    build = "import setuptools.build_meta as b, sys; print(b.build_wheel(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", build, str(copy.parent)], cwd=copy, check=True, capture_output=True, text=True
    )
    installed = copy.parent / "site"
    with zipfile.ZipFile(copy.parent / done.stdout.split()[-1]) as wheel:
        wheel.extractall(installed)
    return installed


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """An empty folder but for modules of the names that fedelta's own once had at the top."""
    (tmp_path / "models").mkdir()
    for name in ("features.py", "cli.py", "pipeline.py", "serve.py", "models/__init__.py"):
        (tmp_path / name).write_text(FOREIGN)
    return tmp_path


def run(site: Path, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    bin_of = Path(sys.executable).parent
    environment = {**os.environ, "PYTHONPATH": str(site), "PATH": f"{bin_of}{os.pathsep}{os.environ['PATH']}"}
    return subprocess.run(
        [sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def test_everything_that_is_imported_is_in_the_wheel(site: Path):
    code = {path.relative_to(HERE) for layer in LAYERS for path in (HERE / layer).rglob("*.py")}
    assert {path for path in code if not (site / "fedelta" / path).is_file()} == set()


def test_it_is_imported_beside_modules_of_the_same_names(site: Path, foreign: Path):
    done = run(site, foreign, "-c", "import fedelta, fedelta.models.bundle; print(fedelta.__file__)")
    assert done.stdout.strip() == str(site / "fedelta/__init__.py"), done.stderr


def test_an_empty_folder_becomes_a_project_whose_stages_run_the_installed_package(site: Path, foreign: Path):
    done = run(site, foreign, "-m", "fedelta.cli", "init")
    assert done.returncode == 0, done.stderr
    again = run(site, foreign, "-m", "fedelta.cli", "init")
    assert (again.returncode, again.stderr.count("\n")) == (1, 1)
    assert "has params.yaml, dvc.yaml, sources already" in again.stderr
    written = (foreign / "dvc.yaml").read_text()
    assert "features" not in written.split("stages:")[1].split("deps:")[1].split("params:")[0]
    for words in (["simulate", "--customers", "150"], ["stage", "ingest"], ["stage", "build_features"]):
        done = run(site, foreign, "-m", "fedelta.cli", *words)
        assert done.returncode == 0, done.stderr
    assert list((foreign / "data/features").glob("*.parquet"))


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
