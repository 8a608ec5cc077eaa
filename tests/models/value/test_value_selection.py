"""Which model of value is used: the simplest that nothing significantly beats, on rows it could not know."""

import json

import numpy as np
import numpy.typing as npt
import pytest

from fedelta.models.metrics.bootstrap import Resampling
from fedelta.models.panel import Panel
from fedelta.models.value.settings import ClvSettings
from fedelta.models.value.value_selection import HeldOut, ValueResult, hold_out, tweedie_deviance
from fedelta.models.value.value_trees import Name, orders

Floats = npt.NDArray[np.float64]
SMALL = ClvSettings(num_iterations=8, seeds=1)
DEVIANCE = tweedie_deviance(1.5)


def held_out(actual: Floats, forecasts: dict[Name, Floats]) -> HeldOut:
    rows = len(actual)
    customers = np.arange(rows).astype(str)
    return HeldOut("out of time", forecasts, forecasts, {}, actual, np.zeros(rows, "M8[us]"), customers)


def truth(rows: int = 1500) -> tuple[Floats, Floats]:
    chance = np.random.default_rng(4)
    expected = chance.lognormal(3, 1, rows)
    return chance.gamma(1, expected), expected


def test_deviances_are_those_of_the_textbook():
    # Power 1.5: 4 (y^0.5 / -0.5 ... ) sums to 4 (sqrt y - sqrt m)^2 / sqrt m. Poisson: 2 (y ln(y/m) - y + m).
    assert tweedie_deviance(1.5)([9.0, 0.0], [4.0, 4.0]) == pytest.approx((4 * 1 / 2 + 4 * 4 / 2) / 2)
    assert tweedie_deviance(1.0)([3.0, 0.0], [2.0, 2.0]) == pytest.approx((2 * (3 * np.log(1.5) - 1) + 4) / 2)


@pytest.mark.parametrize("power", [1.0, 1.5, 1.9])
def test_no_constant_deviates_less_than_the_mean(power: float):
    actual = truth()[0]
    best = tweedie_deviance(power)(actual, np.full(len(actual), actual.mean()))
    for factor in (0.9, 1.1):
        assert tweedie_deviance(power)(actual, np.full(len(actual), factor * actual.mean())) > best


def test_equals_go_to_the_simpler():
    actual, expected = truth()
    chosen, results = held_out(actual, {"pareto_gg": expected, "tweedie": expected, "blend": expected}).choose(DEVIANCE)
    assert chosen == "pareto_gg"
    assert [result.verdict for result in results[1:]] == [
        "not significantly worse than pareto_gg, but less simple than pareto_gg"
    ] * 2


def test_a_significantly_better_model_is_chosen_though_less_simple():
    actual, expected = truth()
    noisy = expected * np.random.default_rng(5).lognormal(0, 1, len(expected))
    chosen, results = held_out(actual, {"pareto_gg": noisy, "tweedie": expected}).choose(DEVIANCE)
    assert chosen == "tweedie"
    assert results[0].deviance_difference.low > 0
    assert results[0].verdict == "deviance significantly higher than that of tweedie"


def test_a_model_of_the_same_level_for_all_loses_by_its_ranking():
    actual, expected = truth()
    flat = held_out(actual, {"pareto_gg": np.full(len(actual), actual.mean()), "blend": expected})
    assert flat.choose(DEVIANCE)[1][0].gini_difference.high < 0


def test_a_result_comes_back_from_json():
    actual, expected = truth(200)
    for result in held_out(actual, {"pareto_gg": expected, "blend": 2 * expected}).choose(DEVIANCE, Resampling(20))[1]:
        assert ValueResult.from_dict(json.loads(json.dumps(result.to_dict()))) == result


def test_rows_are_held_out_in_time_where_outcomes_were_known_before(train: Panel):
    found = hold_out(["pareto_nbd", "poisson"], train, orders, SMALL, "features", 60, 1)
    assert found is not None
    assert found.how == "out of time"
    assert set(found.cutoff) == set(
        np.unique(train.table["cutoff"].to_numpy("M8[us]"))[1:]
    )  # nothing was known before the first


def test_shorter_horizons_are_tested_on_other_customers_and_not_scaled(short_panel: Panel):
    rows = short_panel.of_role("train")
    found = hold_out(["pareto_nbd", "poisson"], rows, orders, SMALL, "init_score", 60, 1)
    assert found is not None
    assert found.how == "other customers"
    assert {correction.scale for correction in found.corrections.values()} == {1.0}


def test_each_forecast_is_brought_to_its_own_level(train: Panel):
    found = hold_out(["pareto_nbd", "poisson"], train, orders, SMALL, "features", 60, 1)
    assert found is not None
    later = train.where(train.table["cutoff"] > train.cutoffs[0])
    raw = later.table["pareto_expected_orders"].to_numpy()
    assert found.forecasts["pareto_nbd"] == pytest.approx(raw * found.corrections["pareto_nbd"].scale)


def test_a_single_customer_cannot_be_tested(train: Panel):
    one = train.where(train.table["customer_id"] == train.table["customer_id"].iloc[0])
    assert hold_out(["pareto_nbd"], one.where(np.arange(len(one)) == 0), orders, SMALL, "features", 60, 1) is None
