"""The package as its wheel installs it, in a folder that holds somebody else's modules of the same names."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from made_once import made_once

HERE = Path(__file__).parents[1]
LAYERS = ("command_line", "features", "models", "pages", "pipeline", "scoring", "serve")
FOREIGN = "raise SystemExit('the program of somebody else was run')\n"


def site() -> Path:
    """A folder with the package as its wheel installs it."""
    return made_once("wheel", _unpack) / "site"


def _unpack(folder: Path) -> None:
    copy = folder / "fedelta"
    for name in (*LAYERS, "sources"):
        shutil.copytree(HERE / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for path in (HERE / name for name in ("dvc.yaml", "params.yaml", "pyproject.toml", "README.md", "LICENSE")):
        shutil.copy(path, copy)
    for path in HERE.glob("*.py"):
        shutil.copy(path, copy)
    build = "import setuptools.build_meta as b, sys; print(b.build_wheel(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", build, str(folder)], cwd=copy, check=True, capture_output=True, text=True
    )
    with zipfile.ZipFile(folder / done.stdout.split()[-1]) as wheel:
        wheel.extractall(folder / "site")


def foreign(folder: Path) -> Path:
    """The folder with modules of the names that fedelta's own once had at the top."""
    (folder / "models").mkdir(parents=True)
    for name in ("features.py", "cli.py", "pipeline.py", "serve.py", "models/__init__.py"):
        (folder / name).write_text(FOREIGN)
    return folder


def environment() -> dict[str, str]:
    """Variables under which Python and commands find the installed package before the repository's."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    own = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}  # of other tests
    return {
        **own,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "PYTHONPATH": str(site()),
        "PATH": path,
        "DVC_NO_ANALYTICS": "1",
        "PYTHONUNBUFFERED": "1",
    }


def python(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """What Python did in a folder where only the installed package can be imported."""
    return subprocess.run(
        [sys.executable, *words], cwd=folder, env=environment(), capture_output=True, text=True, check=False
    )


def fedelta(folder: Path, *words: str) -> str:
    """What the installed command printed there; it must succeed."""
    done = python(folder, "-m", "fedelta.cli", *words)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout
