"""What `evaluate` hands to DVC: few flat figures, the same as in the full document."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from ruamel.yaml import YAML

from fedelta.models.evaluation import Evaluation
from fedelta.pipeline import paths
from fedelta.pipeline.evaluate import HEADLINE, headline_figures, write_reports

HERE = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
FOUND_PLOTS = ("roc", "precision_recall", "calibration", "gains", "profit", "residuals")
RISK = np.linspace(0.001, 0.999, 500)
LEFT = (np.random.default_rng(1).uniform(size=500) < RISK).astype(float)
SPEND = np.random.default_rng(2).gamma(2.0, 5.0, 500)


def figures(**values):
    return {name: {"value": value, "low": None, "high": None} for name, value in values.items()}


REPORT = {
    "churn": {"chosen": figures(auc=0.812345, log_loss=0.43219, brier=0.1, ece=0.012345, lift=3.2), "hiatus": {}},
    "clv": {"chosen": figures(rmse=1234.5, gini=-0.712345, r2=-0.31239, bias=-0.012345)},
    "next": {"chosen": figures(hit_rate_3=0.845678, ndcg_3=0.6)},
}


def test_the_headline_figures_are_those_of_the_chosen_model_rounded():
    assert headline_figures(REPORT) == {
        "auc": 0.8123,
        "log_loss": 0.4322,
        "ece": 0.0123,
        "clv_gini": -0.7123,
        "clv_r2": -0.3124,
        "clv_bias": -0.0123,
        "hit_at_3": 0.8457,
    }


def test_a_figure_without_meaning_and_a_company_without_money_leave_no_gap():
    report = {"churn": {"chosen": figures(auc=None, log_loss=0.5)}, "clv": {}}
    assert headline_figures(report) == {"log_loss": 0.5}


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A git repository with the metrics and plots of dvc.yaml as `evaluate` leaves them, and another commit of them."""
    monkeypatch.chdir(tmp_path)
    shell("git", "init", "-q")
    dvc("init", "-q")
    stage = YAML(typ="safe").load((HERE / "dvc.yaml").read_text())["stages"]["evaluate"]
    kept = {"cmd": "true", "metrics": stage["metrics"], "plots": stage["plots"]}
    YAML(typ="safe").dump({"stages": {"evaluate": kept}}, tmp_path / "dvc.yaml")
    paths.PLOTS.mkdir(parents=True)
    for power in (1, 2):
        found = Evaluation(LEFT, SPEND, {"chosen": RISK**power}, {"chosen": RISK * 10}, REPORT, pd.DataFrame())
        write_reports(found)
        dvc("commit", "-f", "-q")
        shell("git", "add", ".")
        shell("git", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", f"power {power}")
    return tmp_path


def dvc(*words):
    return shell(BIN / "dvc", *words)


def shell(*words):
    """What a command printed; it must succeed."""
    done = subprocess.run(
        words, env={**os.environ, "DVC_NO_ANALYTICS": "1"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.usefixtures("project")
def test_dvc_shows_them_on_a_screen_of_100_columns():
    head, row = dvc("metrics", "show").splitlines()
    assert max(len(head.rstrip()), len(row.rstrip())) <= 100
    assert head.split() == ["Path", *sorted(HEADLINE)]
    assert "-0.7123" in row


def test_dvc_draws_every_plot_with_its_title_and_axes_and_compares_two_commits(project):
    dvc("plots", "diff", "HEAD~1", "HEAD", "-o", "page")
    page = (project / "page/index.html").read_text()
    wanted = YAML(typ="safe").load((project / "dvc.yaml").read_text())["stages"]["evaluate"]["plots"]
    files = [file for entry in wanted for file in entry]
    assert {Path(file).stem for file in files} == {*FOUND_PLOTS}
    for entry in wanted:
        for plot in entry.values():
            assert {"title", "x", "y", "x_label", "y_label"} <= plot.keys()
            assert all(json.dumps(plot[name])[1:-1] in page for name in ("title", "x_label", "y_label"))
    assert page.count('"rev": "HEAD~1"') == page.count('"rev": "HEAD"') > 400


def test_without_money_the_plot_of_value_is_empty_and_dvc_draws_the_others(project):
    write_reports(Evaluation(LEFT, SPEND, {"chosen": RISK}, {}, {**REPORT, "clv": {}}, pd.DataFrame()))
    assert json.loads((paths.PLOTS / "residuals.json").read_text()) == []
    dvc("plots", "show", "-o", "page")
    assert "Churn: ROC" in (project / "page/index.html").read_text()


@pytest.mark.parametrize("shown", HEADLINE)
def test_every_headline_figure_is_one_that_is_measured(shown):
    from fedelta.models.metrics.metrics import CHURN_METRICS, VALUE_METRICS
    from fedelta.models.next_purchase.evaluation import FIGURES

    what, name = HEADLINE[shown]
    assert name in {"churn": CHURN_METRICS, "clv": VALUE_METRICS, "next": FIGURES}[what]
