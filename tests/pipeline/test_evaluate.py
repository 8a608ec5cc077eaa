"""What `evaluate` hands to DVC: few flat figures, the same as in the full document."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.evaluate import HEADLINE, headline_figures

BIN = Path(sys.executable).parent


def figures(**values):
    return {name: {"value": value, "low": None, "high": None} for name, value in values.items()}


REPORT = {
    "churn": {"chosen": figures(auc=0.812345, log_loss=0.43219, brier=0.1, ece=0.012345, lift=3.2), "hiatus": {}},
    "clv": {"chosen": figures(rmse=1234.5, gini=-0.712345, r2=-0.31239, bias=-0.012345)},
}


def test_the_headline_figures_are_those_of_the_chosen_model_rounded():
    assert headline_figures(REPORT) == {
        "churn": {"auc": 0.8123, "log_loss": 0.4322, "ece": 0.0123},
        "clv": {"gini": -0.7123, "r2": -0.3124, "bias": -0.0123},
    }


def test_a_figure_without_meaning_and_a_company_without_money_leave_no_gap():
    report = {"churn": {"chosen": figures(auc=None, log_loss=0.5)}, "clv": {}}
    assert headline_figures(report) == {"churn": {"log_loss": 0.5}}


def test_dvc_shows_them_on_a_screen_of_100_columns(tmp_path):
    environment = {**os.environ, "DVC_NO_ANALYTICS": "1"}

    def dvc(*words):
        done = subprocess.run(
            [BIN / "dvc", *words], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    dvc("init", "--no-scm", "-q")
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports/metrics.json").write_text(json.dumps(headline_figures(REPORT)))
    (tmp_path / "dvc.yaml").write_text("metrics: [reports/metrics.json]\n")
    head, row = dvc("metrics", "show").splitlines()
    assert max(len(head.rstrip()), len(row.rstrip())) <= 100
    assert head.split() == ["Path", *sorted(f"{what}.{name}" for what, names in HEADLINE.items() for name in names)]
    assert "-0.7123" in row


@pytest.mark.parametrize("what", HEADLINE)
def test_every_headline_figure_is_one_that_is_measured(what):
    from models.metrics import CHURN_METRICS, VALUE_METRICS

    assert set(HEADLINE[what]) <= set(CHURN_METRICS if what == "churn" else VALUE_METRICS)
