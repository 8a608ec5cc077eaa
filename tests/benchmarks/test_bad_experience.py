"""The measured gain of bad-experience columns: found where there is one, not where there is none."""

import numpy as np
import polars as pl
import pytest

from benchmarks.bad_experience import Gain, Goal, main, measure
from benchmarks.tables import FOLDS, folds
from fedelta.models.churn.settings import ChurnSettings
from fedelta.models.metrics.bootstrap import Interval, Resampling

QUICK = ChurnSettings(num_iterations=30, seeds=1, candidate="lightgbm")
FEW = Resampling(60)


def customers(harm: float, number: int = 1500) -> pl.DataFrame:
    """Customers of whom the heavy users stay; a complaint raises the log-odds of leaving by `harm`."""
    rng = np.random.default_rng(3)
    use, complaints = rng.normal(size=number), rng.random(number) < 0.3
    leaves = rng.random(number) < 1 / (1 + np.exp(1.0 + 0.8 * use - harm * complaints))
    return pl.DataFrame({"use": use, "complaints": complaints.astype(int), "churned": leaves.astype(int)})


def test_a_complaint_that_drives_customers_away_is_worth_knowing():
    found = measure(customers(harm=2.0), ("complaints",), QUICK, FEW)
    assert found.gain["auc"].low > 0.03
    assert found.gain["log_loss"].high < -0.02
    assert found.gain["auc"].value == pytest.approx(found.including["auc"] - found.without["auc"])


def test_a_complaint_that_changes_nothing_gains_nothing():
    gain = measure(customers(harm=0.0), ("complaints",), QUICK, FEW).gain
    assert gain["auc"].low < 0 < gain["auc"].high


def test_identical_customers_share_a_fold_and_every_fold_has_its_share_of_churners():
    table = customers(harm=1.0, number=400)
    doubled = pl.concat([table, table])
    churned = doubled["churned"].cast(pl.Float64).to_numpy()
    fold = folds(doubled, churned)
    assert (fold[:400] == fold[400:]).all()
    rates = [churned[fold == k].mean() for k in range(FOLDS)]
    assert max(rates) - min(rates) < 0.02


@pytest.mark.parametrize(
    ("auc", "log_loss", "reached"),
    [
        (Interval(0.014, 0.01, 0.02), Interval(-0.04, -0.05, -0.03), True),
        (Interval(0.007, 0.001, 0.02), Interval(-0.04, -0.05, -0.03), False),  # less than the published interval
        (Interval(0.010, 0.008, 0.012), Interval(-0.04, -0.05, -0.03), False),  # less than published, with certainty
        (Interval(0.014, 0.01, 0.02), Interval(-0.02, -0.03, -0.01), False),  # log loss falls clearly less
    ],
)
def test_a_gain_that_falls_short_is_called_so(auc, log_loss, reached):
    found = Gain(100, 0.2, "", {}, {}, {"auc": auc, "log_loss": log_loss})
    assert found.reaches(Goal(0.0133, 0.008, -0.041)) is reached


def test_data_that_are_not_there_are_skipped_with_a_line_that_says_where_to_put_them(tmp_path, capsys):
    assert main(["--data", str(tmp_path), "--only", "mlc_churn"]) == 0
    assert f"skipped: {tmp_path}/mlc_churn/mlc_churn.csv.gz is not there" in capsys.readouterr().out
