"""The quality table: a goal is reached, missed by less than chance, or missed, and a table's rows are never leaked."""

import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.quality_row import Better, QualityRow, Verdict, over_companies, table_of, verdict
from benchmarks.tables import out_of_fold, panel_of_table
from fedelta.models.churn.settings import ChurnSettings


@pytest.mark.parametrize(
    ("value", "low", "high", "goal", "better", "expected"),
    [
        (0.48, 0.47, 0.49, 0.486, "lower", "reached"),
        (0.49, 0.48, 0.50, 0.486, "lower", "inside the interval"),
        (0.52, 0.51, 0.53, 0.486, "lower", "missed"),
        (0.78, 0.75, 0.80, 0.771, "higher", "reached"),
        (0.76, 0.75, 0.77, 0.778, "higher", "missed"),
        (-0.04, -0.09, 0.01, 0.05, "near 0", "reached"),
        (-0.12, -0.20, -0.04, 0.05, "near 0", "inside the interval"),
        (-0.12, -0.20, -0.06, 0.05, "near 0", "missed"),
        (0.5, 0.4, 0.6, None, "lower", "no goal"),
    ],
)
def test_a_goal_is_reached_missed_by_less_than_chance_or_missed(
    value: float, low: float, high: float, goal: float | None, better: Better, expected: Verdict
):
    assert verdict(value, low, high, goal, better) == expected


def test_a_row_is_printed_with_its_intervals_and_an_absent_goal_as_nothing():
    row = QualityRow("d", "s", "m", "auc", 0.7, 0.6, 0.8, "hiatus", 0.1, -0.1, 0.2, None, 0.75, "no goal")
    header, rule, line = table_of([row]).splitlines()
    assert header.count("|") == rule.count("|") == line.count("|")
    assert "0.7000 [0.6000, 0.8000] | hiatus | +0.1000 [-0.1000, +0.2000] |  | 0.7500 | no goal" in line


def test_companies_of_a_regime_are_summed_up_with_the_interval_of_student():
    rows = [
        QualityRow(
            "dense", f"seed {i}", "m", "ece", 0.1, 0, 1, "b", d, -1, 1, None, None, "no goal", {"b": d, "c": 0.0}
        )
        for i, d in enumerate((0.01, 0.02, 0.06))
    ]
    best, each = over_companies(rows, {"ece": "lower"}).splitlines()[-2:]
    # Mean .03, deviation .026458, 3 companies: 4.302653 * .026458 / sqrt 3 = .065724
    assert best == "| dense | ece | 3 | b | +0.0300 [-0.0357, +0.0957] | +0.0600 | +0.0100 |"
    assert each == best.replace("| b |", "| the best of each |")


@pytest.mark.parametrize(("better", "expected"), [("lower", "c"), ("higher", "b")])
def test_a_regime_has_one_best_baseline_the_one_best_on_average(better: Better, expected: str):
    rows = [
        QualityRow("dense", f"seed {i}", "m", "x", 0.1, 0, 1, "b", 0.0, -1, 1, None, None, "no goal", to)
        for i, to in enumerate(({"b": -0.05, "c": 0.01}, {"b": 0.03, "c": 0.02}))
    ]
    assert over_companies(rows, {"x": better}).splitlines()[-2].split(" | ")[3] == expected


def test_identical_rows_of_a_table_are_one_customer():
    table = pl.DataFrame({"calls": [1, 1, 2], "plan": ["a", "a", "b"], "churned": [0, 0, 1]})
    panel = panel_of_table(table)
    ids = panel.table["customer_id"].tolist()
    assert ids[0] == ids[1] != ids[2]
    assert panel.churned("inactivity").tolist() == [0.0, 0.0, 1.0]


def test_a_table_is_predicted_from_other_rows_by_the_same_candidates():
    rng = np.random.default_rng(1)
    calls = rng.normal(size=600)
    table = pl.DataFrame(
        {"calls": calls, "noise": rng.normal(size=600), "churned": rng.random(600) < 1 / (1 + np.exp(-calls))}
    )
    churned, predicted, chosen = out_of_fold(table, ChurnSettings(num_iterations=5, seeds=1))
    assert churned.shape == predicted["chosen"].shape == (600,)
    assert ((predicted["chosen"] > 0) & (predicted["chosen"] < 1)).all()
    assert len(chosen) == 5
    assert set(chosen) <= {"weighted_average", "logistic", "lightgbm", "blend", "lightgbm_large", "lightgbm_defaults"}
    assert predicted["chosen"][churned == 1].mean() > predicted["chosen"][churned == 0].mean()
