"""The tables behind the plots: on the curves that scikit-learn draws, and bounded in size."""

import numpy as np
import pytest
from sklearn.metrics import precision_recall_curve, roc_curve

from fedelta.models.metrics.curves import POINTS, churn_curves, residuals
from fedelta.models.metrics.metrics import profit_at_capacity

LEFT, RISK = np.array([1.0, 0, 1, 0]), np.array([0.9, 0.1, 0.8, 0.2])


@pytest.fixture(scope="module")
def scored():
    rng = np.random.default_rng(3)
    risk = rng.uniform(size=5_000)
    return (rng.uniform(size=5_000) < risk).astype(float), risk


def test_contacting_the_riskiest_first_catches_churners_sooner_than_chance():
    curve = churn_curves(LEFT, RISK, points=4)["gains"]
    assert curve["contacted_share"].tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert curve["caught_share"].tolist() == [0, 0.5, 1, 1, 1]


def test_where_nobody_leaves_nobody_is_caught_and_contacting_costs():
    curves = churn_curves(np.zeros(4), RISK, points=4)
    assert curves["gains"]["caught_share"].tolist() == [0] * 5
    assert curves["roc"]["true_positive_rate"].tolist() == [0] * 5
    assert curves["precision_recall"]["precision"].tolist() == [0] * 4
    assert curves["profit"]["profit_per_customer"].tolist() == [0, -2.75, -5.5, -8.25, -11]


def test_the_points_lie_on_the_curves_of_scikit_learn(scored):
    curves = churn_curves(*scored)
    for name, exact in (
        ("roc", roc_curve(*scored, drop_intermediate=False)[:2]),
        ("precision_recall", precision_recall_curve(*scored)[1::-1]),
    ):
        points = {(round(x, 9), round(y, 9)) for x, y in curves[name].to_numpy()}
        assert len(points) >= POINTS
        assert points <= {(round(x, 9), round(y, 9)) for x, y in zip(*exact, strict=True)}


def test_the_profit_of_contacting_a_tenth_is_the_metric_of_that_name(scored):
    profit = churn_curves(*scored)["profit"].set_index("contacted_share")["profit_per_customer"]
    assert profit[0.1] == pytest.approx(profit_at_capacity(*scored))


def test_equal_probabilities_are_shared_out_evenly():
    curves = churn_curves(np.array([1.0, 0, 0, 1]), np.full(4, 0.5), points=4)
    assert curves["roc"]["true_positive_rate"].tolist() == curves["roc"]["false_positive_rate"].tolist()


def test_no_curve_grows_with_the_customers(scored):
    assert {len(curve) for curve in churn_curves(*scored).values()} == {POINTS + 1, POINTS, 10}


def test_residuals_are_actual_minus_expected_spend_by_tenth():
    table = residuals(np.array([30.0, 10, 0, 4]), np.array([20.0, 12, 1, 2]))
    assert table["residual"].tolist() == [10, -2, 2, -1]
    assert table["decile"].is_monotonic_increasing
