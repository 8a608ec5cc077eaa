"""The whole path as a data scientist runs it: `dvc repro` from raw files to a published scoring run."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import polars as pl
import pytest

from fedelta.features.contract import SCORES
from fedelta.pipeline.commands.simulate import main as simulate

HERE = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
ENVIRONMENT = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "DVC_NO_ANALYTICS": "1"}
STAGES = (
    "ingest", "build_features", "experience", "fit_btyd", "leak_check", "train_churn", "train_clv", "train_leaving",
    "train_loyalty", "train_next", "measure", "evaluate", "score", "report", "monitor", "model_card", "publish",
    "track",
)  # fmt: skip


def make(folder: Path) -> Path:
    """A project of its own: the code, fewer trees, and a small company's raw files."""
    for name in ("features", "models", "pages", "pipeline", "serve", "sources", "treatments"):
        shutil.copytree(HERE / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("__init__.py", "cli.py", "dvc.yaml", ".dvcignore"):
        shutil.copy(HERE / name, folder)
    params = (HERE / "params.yaml").read_text()
    params = re.sub(r"num_iterations: \d+", "num_iterations: 10", re.sub(r"seeds: \d+", "seeds: 1", params))
    (folder / "params.yaml").write_text(re.sub(r"bootstrap: \d+", "bootstrap: 20", params))
    subprocess.run(["dvc", "init", "--no-scm", "-q"], cwd=folder, env=ENVIRONMENT, check=True)
    simulate(customers=600, seed=3, out=folder / "data/raw/demo")
    return folder


def repro(folder: Path, *flags: str) -> str:
    """What `dvc repro` printed; it must succeed."""
    command = ["dvc", "repro", *flags]
    done = subprocess.run(command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose stages have all run once."""
    folder = make(tmp_path_factory.mktemp("project"))
    repro(folder)
    return folder


def test_raw_files_become_scores_of_every_customer(project):
    scores = pl.read_parquet(project / "data/scores.parquet")
    assert scores.schema == SCORES
    assert scores["customer_id"].n_unique() == len(scores) == 600
    scored = scores.filter(pl.col("status") == "scored")
    assert scored["churn_probability"].is_between(0, 1).all()
    assert scored["clv_expected"].min() >= 0
    assert scored.filter(pl.col("risk_tier") == "critical")["churn_probability"].min() >= 0.8
    assert scored.sort("value_at_risk", descending=True)["reasons"][:500].list.len().min() >= 1


def test_the_report_measures_the_model_beside_every_baseline(project):
    metrics = json.loads((project / "reports/evaluation.json").read_text())
    assert {"chosen", "hiatus", "logistic", "pareto_nbd", "bg_nbd"} <= metrics["churn"].keys()
    assert metrics["churn"]["chosen"]["auc"]["low"] > 0.5
    assert metrics["churn"]["chosen"]["auc"]["low"] <= metrics["churn"]["chosen"]["auc"]["value"]
    assert (project / "reports/report.html").stat().st_size > 10_000


def test_a_second_repro_runs_no_stage(project):
    assert "Running stage" not in repro(project)


def test_forcing_every_stage_leaves_the_lock_file_as_it_was(project):
    before = (project / "dvc.lock").read_bytes()
    assert repro(project, "--force").count("Running stage") == len(STAGES)
    assert (project / "dvc.lock").read_bytes() == before


def test_where_databases_and_receipts_are_missing_both_are_filled_though_the_lock_says_it_was_done(project, tmp_path):
    clone = tmp_path / "clone"
    ignored = ("mlflow.db*", "mlartifacts", "tracked.json", "published.json")
    shutil.copytree(project, clone, ignore=shutil.ignore_patterns(*ignored), symlinks=True)
    shutil.rmtree(clone / "data/serve")
    text = repro(clone)
    assert re.findall(r"Running stage '(\w+)'", text) == ["publish", "track"]
    assert (clone / "data/serve/fedelta.db").exists()
    assert (clone / "mlflow.db").exists()
    assert (clone / "dvc.lock").read_bytes() == (project / "dvc.lock").read_bytes()


def test_a_run_killed_in_every_stage_ends_where_an_undisturbed_one_does(project, tmp_path):
    disturbed = make(tmp_path / "disturbed")
    assert [stage for stage in STAGES if not is_killed_in(disturbed, stage)] == []
    repro(disturbed)
    assert (disturbed / "dvc.lock").read_text() == (project / "dvc.lock").read_text()


def is_killed_in(folder: Path, stage: str) -> bool:
    """Kill a run in the midst of a stage. A stage that ended first runs again, alone, and is killed sooner."""
    alone = ("--force", "-s", stage)
    return kill_in(folder, stage, 1) or any(kill_in(folder, stage, delay, *alone) for delay in (0.5, 0.2, 0.1, 0))


def kill_in(folder: Path, stage: str, delay: float, *flags: str) -> bool:
    """Start the run and kill it, with all it started, `delay` seconds into a stage; whether it was still running."""
    with subprocess.Popen(
        ["dvc", "repro", *flags],
        cwd=folder,
        env={**ENVIRONMENT, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as run:
        assert run.stdout is not None
        for line in run.stdout:
            if f"Running stage '{stage}'" in line:
                break
        try:
            run.wait(delay)
        except subprocess.TimeoutExpired:
            os.killpg(run.pid, signal.SIGKILL)
            return True
    return False


@pytest.fixture
def service(project: Path) -> Iterator[str]:
    """The address of the service over the project's published run."""
    with subprocess.Popen(
        [BIN / "fedelta", "serve", "--port", "0"],
        cwd=project,
        env={**ENVIRONMENT, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as server:
        assert server.stdout is not None
        address = next(found[0] for line in server.stdout if (found := re.search(r"http://127\.0\.0\.1:\d+", line)))
        yield address
        server.terminate()


def test_published_scores_are_served_to_whoever_holds_a_key(project, service):
    made = subprocess.run(
        [BIN / "fedelta", "keys", "create", "crm", "--scope", "read:score", "--scope", "read:list"],
        cwd=project,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=True,
    )
    headers = {"Authorization": f"Bearer {made.stdout.split()[-1]}"}
    riskiest = pl.read_parquet(project / "data/scores.parquet").sort("value_at_risk", descending=True, nulls_last=True)
    row = riskiest.row(0, named=True)
    served = json.load(urlopen(Request(f"{service}/v1/customers/{row['customer_id']}/score", headers=headers)))
    assert served["churn_probability"] == row["churn_probability"]
    assert served["model_version"] == row["model_version"]
    listed = json.load(urlopen(Request(f"{service}/v1/at-risk?limit=5", headers=headers)))
    assert row["customer_id"] in json.dumps(listed)
    with pytest.raises(HTTPError, match="401"):
        urlopen(f"{service}/v1/at-risk")
