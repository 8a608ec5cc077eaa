"""The whole path as a data scientist runs it: the installed package in a folder of somebody else's, and the repository.

The folder holds modules of the names that fedelta's own once had at the top: whoever imports them ends.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from hashlib import sha256
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import installed
import polars as pl
import pytest
from installed import HERE, fedelta, foreign, python
from stage_forks import first_on_path, forks

from fedelta.features.contract import SCORES
from fedelta.pipeline.paths import PARAMS
from fedelta.pipeline.stages import Stage, read_stages, stage_names

BIN = Path(sys.executable).parent
CODE = ("command_line", "features", "models", "pages", "pipeline", "serve", "sources", "treatments", "erased")
DATABASES = ("data/serve", "data/published.json", "data/tracked.json", "mlflow.db", "mlartifacts")


def quick(folder: Path) -> None:
    """Make the settings of a project those of small models."""
    text = (folder / PARAMS).read_text()
    text = re.sub(r"num_iterations: \d+", "num_iterations: 10", re.sub(r"seeds: \d+", "seeds: 1", text))
    text = re.sub(r"workers: \d+", "workers: 1", re.sub(r"buckets: \d+", "buckets: 2", text))
    text = re.sub(r"train: 6", "train: 2", text)
    (folder / PARAMS).write_text(re.sub(r"bootstrap: \d+", "bootstrap: 20", text))


def repro(folder: Path, env: Mapping[str, str], *words: str) -> str:
    """What `dvc repro` printed; it must succeed."""
    done = subprocess.run(["dvc", "repro", *words], cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def stages_run(text: str) -> list[str]:
    """The stages that DVC says it ran."""
    return re.findall(r"Running stage '(\w+)'", text)


MODULES = (
    *(f"fedelta.pipeline.{name}" for name in stage_names(HERE / "dvc.yaml") if name != "publish"),
    "fedelta.serve.snapshots.publish",
    "mlflow",
)


@pytest.fixture(scope="module")
def env(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Variables under which stages are forks of a process that has imported the installed package."""
    installed_only = installed.environment()
    with forks(foreign(tmp_path_factory.mktemp("elsewhere") / "forks"), MODULES, installed_only) as commands:
        yield first_on_path(commands, installed_only)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, env: dict[str, str]) -> Path:
    """A project in a foreign folder, whose stages DVC has all run once."""
    folder = foreign(tmp_path_factory.mktemp("somebody") / "project")
    fedelta(folder, "init")
    quick(folder)
    fedelta(folder, "simulate", "--customers", "400", "--seed", "3")
    assert stages_run(repro(folder, env)) == [stage.name for stage in stages_of(folder)]
    return folder


def stages_of(folder: Path) -> list[Stage]:
    """The stages in their order."""
    return read_stages(folder / "dvc.yaml", folder / PARAMS)


def test_the_package_is_imported_beside_modules_of_the_same_names(project: Path):
    done = python(project, "-c", "import fedelta, fedelta.models.bundle; print(fedelta.__file__)")
    assert done.stdout.strip() == str(installed.site() / "fedelta/__init__.py"), done.stderr


def test_a_second_init_says_what_is_there_already(project: Path):
    again = python(project, "-m", "fedelta.cli", "init")
    assert (again.returncode, again.stderr.count("\n")) == (1, 1)
    assert "has params.yaml, dvc.yaml, sources already" in again.stderr


def test_stages_of_an_installed_package_depend_on_data_alone(project: Path):
    code = {dep for stage in stages_of(project) for dep in stage.deps if dep.split("/")[0] in CODE}
    assert code == {"sources/demo", "treatments", "erased"}


def test_raw_files_become_scores_of_every_customer(project: Path):
    scores = pl.read_parquet(project / "data/scores.parquet")
    assert scores.schema == SCORES
    assert scores["customer_id"].n_unique() == len(scores) == 400
    scored = scores.filter(pl.col("status") == "scored")
    assert scored["churn_probability"].is_between(0, 1).all()
    assert scored["clv_expected"].min() >= 0
    assert scored.filter(pl.col("risk_tier") == "critical")["churn_probability"].min() >= 0.8
    assert scored.sort("value_at_risk", descending=True)["reasons"][:300].list.len().min() >= 1


def test_the_report_measures_the_model_beside_every_baseline(project: Path):
    metrics = json.loads((project / "reports/evaluation.json").read_text())
    assert {"chosen", "hiatus", "logistic", "pareto_nbd", "bg_nbd"} <= metrics["churn"].keys()
    assert metrics["churn"]["chosen"]["auc"]["low"] > 0.5
    assert metrics["churn"]["chosen"]["auc"]["low"] <= metrics["churn"]["chosen"]["auc"]["value"]
    assert (project / "reports/report.html").stat().st_size > 10_000


def test_the_registered_model_is_loaded_there_and_gives_the_scores(project: Path):
    load = (
        "import mlflow, polars as pl\n"
        "mlflow.set_tracking_uri('sqlite:///mlflow.db')\n"
        "model = mlflow.pyfunc.load_model('models:/fedelta-demo@champion')\n"
        "rows = pl.read_parquet('data/features/*.parquet').filter(role='score', status='scored').sort('customer_id')\n"
        "rows = rows.join(pl.read_parquet('data/prior.parquet'), on=['customer_id', 'cutoff'])\n"
        "given = model.predict(rows.to_pandas())['churn_probability'].tolist()\n"
        "scores = pl.read_parquet('data/scores.parquet').filter(status='scored').sort('customer_id')\n"
        "assert given == scores['churn_probability'].to_list() and len(given) > 100\n"
    )
    done = python(project, "-W", "ignore", "-c", load)
    assert done.returncode == 0, done.stderr[-3000:]


def test_a_second_repro_runs_no_stage(project: Path, env: dict[str, str]):
    assert stages_run(repro(project, env)) == []


def test_stages_that_remember_the_run_before_leave_the_lock_file_as_it_was(project: Path, env: dict[str, str]):
    before = (project / "dvc.lock").read_bytes()
    remember = ("train_loyalty", "publish", "track")
    assert stages_run(repro(project, env, "--force", "--single-item", *remember)) == list(remember)
    assert (project / "dvc.lock").read_bytes() == before


def test_a_run_that_was_killed_goes_on_with_the_stage_it_was_in(project: Path, env: dict[str, str], tmp_path: Path):
    clone = Path(shutil.copytree(project, tmp_path / "clone", symlinks=True))
    text = (clone / PARAMS).read_text()
    (clone / PARAMS).write_text(text.replace("margin: 1.0", "margin: 0.5"))
    command = ["dvc", "repro", "--quiet", "score"]
    begin = partial(subprocess.Popen, command, cwd=clone, env=env, process_group=0)
    assert is_killed(clone, begin, after=60)
    left, before = clone / "data/scores.parquet", (project / "data/scores.parquet").read_bytes()
    assert not left.exists() or left.read_bytes() == before  # nothing is half-written
    assert stages_run(repro(clone, env, "score"))[-1] == "score"  # measure, which reads the policy too, may come first


@pytest.mark.long
def test_where_databases_and_receipts_are_missing_both_are_filled_though_the_lock_says_it_was_done(
    project: Path, tmp_path: Path
):
    clone = tmp_path / "clone"
    ignored = ("mlflow.db*", "mlartifacts", "tracked.json", "published.json")
    shutil.copytree(project, clone, ignore=shutil.ignore_patterns(*ignored), symlinks=True)
    shutil.rmtree(clone / "data/serve")
    assert stages_run(fedelta(clone, "run")) == ["publish", "track"]
    assert (clone / "data/serve/fedelta.db").exists()
    assert (clone / "mlflow.db").exists()
    assert (clone / "dvc.lock").read_bytes() == (project / "dvc.lock").read_bytes()


@pytest.mark.long
def test_a_repository_whose_every_stage_was_killed_once_ends_where_the_installed_package_does(
    project: Path, tmp_path: Path
):
    clone = tmp_path / "repository"
    for name in CODE:
        shutil.copytree(HERE / name, clone / name, ignore=shutil.ignore_patterns("__pycache__"))
    for path in (*HERE.glob("*.py"), HERE / "dvc.yaml", HERE / PARAMS):
        shutil.copy(path, clone)
    quick(clone)
    shutil.copytree(project / "data/raw", clone / "data/raw")
    first, *others = stages_of(clone)
    command = partial(
        subprocess.Popen, first.command, shell=True, cwd=clone, env=installed.environment(), stdout=subprocess.DEVNULL
    )
    assert is_killed(clone, partial(command, process_group=0)), first.name
    assert command().wait() == 0
    with forks(clone, MODULES, installed.environment(), cli=clone / "cli.py") as commands:
        for stage in others:
            words = stage.command.partition("cli.py ")[2].split()
            command = partial(subprocess.Popen, [commands / "fedelta", *words], cwd=clone, stdout=subprocess.DEVNULL)
            kill = partial(is_killed, clone, partial(command, process_group=0))
            assert kill() or kill(after=0), stage.name
            assert command().wait() == 0, stage.name
    assert files_of(clone) == files_of(project)


def is_killed(folder: Path, begin: Callable[[], subprocess.Popen[bytes]], *, after: float = 3) -> bool:
    """Kill a stage as soon as it has begun to write, or after so many seconds; whether it was still running."""
    before, late, run = written(folder), time.monotonic() + after, begin()
    while run.poll() is None:
        if written(folder) - before or time.monotonic() > late:
            os.killpg(run.pid, signal.SIGKILL)
            return run.wait() == -signal.SIGKILL
        time.sleep(0.005)
    return False


def written(folder: Path) -> set[Path]:
    """Every path where stages write, but for the locks of runs; what vanishes meanwhile is passed over."""
    found = {folder / "mlflow.db"} & set(folder.iterdir())
    for part in ("data", "reports"):
        for place, folders, files in os.walk(folder / part):
            found |= {Path(place, name) for name in (*folders, *files) if not name.endswith(".lock")}
    return found


def files_of(folder: Path) -> dict[str, str]:
    """A digest of every file that the stages wrote but for databases and receipts."""
    files = [file for part in ("data", "reports") for file in sorted((folder / part).rglob("*")) if file.is_file()]
    named = {file.relative_to(folder).as_posix(): file for file in files}
    return {
        name: sha256(file.read_bytes()).hexdigest()
        for name, file in named.items()
        if not name.startswith((*DATABASES, "data/.", "data/raw"))
    }


@pytest.fixture
def service(project: Path) -> Iterator[str]:
    """The address of the service over the project's published run."""
    with subprocess.Popen(
        [BIN / "fedelta", "serve", "--port", "0"],
        cwd=project,
        env=installed.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as server:
        assert server.stdout is not None
        address = next(found[0] for line in server.stdout if (found := re.search(r"http://127\.0\.0\.1:\d+", line)))
        yield address
        server.terminate()


def test_published_scores_are_served_to_whoever_holds_a_key(project: Path, service: str):
    made = fedelta(project, "keys", "create", "crm", "--scope", "read:score", "--scope", "read:list")
    headers = {"Authorization": f"Bearer {made.split()[-1]}"}
    riskiest = pl.read_parquet(project / "data/scores.parquet").sort("value_at_risk", descending=True, nulls_last=True)
    row = riskiest.filter(~pl.col("held_out"), pl.col("suppression_reason").is_null()).row(0, named=True)
    served = json.load(urlopen(Request(f"{service}/v1/customers/{row['customer_id']}/score", headers=headers)))
    assert served["churn_probability"] == row["churn_probability"]
    assert served["model_version"] == row["model_version"]
    listed = json.load(urlopen(Request(f"{service}/v1/at-risk?limit=5", headers=headers)))
    assert row["customer_id"] in json.dumps(listed)
    with pytest.raises(HTTPError, match="401"):
        urlopen(f"{service}/v1/at-risk")
