"""What the extra `serve` installs: under 300 MB, enough to publish and serve scores, nothing to learn or predict by."""

import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from scoring_runs import REPOSITORY, customer, running, write

OTHERS = ("numpy", "pandas", "scipy", "sklearn", "lightgbm", "pyarrow", "duckdb", "dvc", "mlflow")


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment that holds requirements/serve.txt and this package."""
    folder = tmp_path_factory.mktemp("serve") / "venv"
    python = folder / "bin/python"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    uv = [Path(sys.executable).with_name("uv"), "pip", "install", "--quiet", "--offline", "--python", python]
    lock = REPOSITORY / "requirements/serve.txt"
    done = subprocess.run([*uv, "--require-hashes", "-r", lock], capture_output=True, text=True, check=False)
    if done.returncode:  # uv keeps the wheels that `make setup` installed, but for `uv cache clean`
        missing = f"uv's cache lacks what requirements/serve.txt names: {done.stderr.strip()[:300]}"
        pytest.fail(missing) if os.environ.get("FEDELTA_REQUIRE_SYSTEM") == "1" else pytest.skip(missing)
    (site_packages(python) / "fedelta").symlink_to(REPOSITORY)
    return python


def site_packages(python: Path) -> Path:
    (found,) = python.parents[1].glob("lib/python*/site-packages")
    return found


def run(python: Path, *words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([python, *map(str, words)], capture_output=True, text=True, check=False)


def test_it_installs_to_less_than_300_megabytes(python: Path):
    files = [path for path in site_packages(python).rglob("*") if path.is_file() and not path.is_symlink()]
    sizes = sorted(((path.stat().st_size, path.name) for path in files if path.suffix != ".pyc"), reverse=True)
    assert sum(size for size, _ in sizes) < 300e6, sizes[:5]
    assert (
        run(python, "-c", f"import importlib.util as i; print([n for n in {OTHERS} if i.find_spec(n)])").stdout
        == "[]\n"
    )


def test_it_publishes_and_serves_scores_by_itself(python: Path, tmp_path: Path):
    scores = write(tmp_path / "scores.parquet", customer("ann", churn_probability=0.75), customer("bob"))
    database = f"sqlite:///{tmp_path / 'fedelta.db'}"
    published = run(python, "-m", "fedelta.cli", "publish", "--scores", scores, "--database", database)
    assert "2 customers, 2 scored" in published.stdout, published.stderr
    key = run(python, "-m", "fedelta.cli", "keys", "create", "crm", "--scope", "read:score", "--database", database)
    with running(database, python) as address:
        asked = {"Authorization": f"Bearer {key.stdout.split()[-1]}"}
        served = httpx.get(f"{address}/v1/customers/ann/score", headers=asked).json()
    assert served["churn_probability"] == 0.75


def test_what_scores_says_which_extra_it_needs(python: Path):
    assert "install the extra `score`" in run(python, "-c", "import fedelta; fedelta.fit").stderr
