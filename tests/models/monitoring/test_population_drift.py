"""Whether the customers to be scored are still those that a model knows, month by month."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from fedelta.models.monitoring.drift import RUNS, chance_per_check
from fedelta.models.monitoring.population_drift import (
    YEAR,
    Month,
    PopulationDrift,
    Watch,
    population_drift,
    reference_lag,
)

NAMES = ("silence", "orders", "rating", "plan")
CHANCE = chance_per_check(1, 5)
Change = Callable[[npt.NDArray[np.float64]], None]


def customers(seed: int, number: int = 600) -> pd.DataFrame:
    chance = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "silence": chance.exponential(30, number),
            "orders": chance.poisson(2, number).astype(float),
            "rating": np.where(chance.random(number) < 0.8, np.nan, chance.random(number)),
            "plan": chance.choice(["basic", "plus"], number),
        }
    )


def score(table: pd.DataFrame) -> npt.NDArray[np.float64]:
    return 1 / (1 + np.exp(-table["silence"].to_numpy() / 30 + table["orders"].to_numpy() / 2))


WATCH = Watch.of(customers(0), score(customers(0)), {"silence": 0.6, "orders": 0.4})


def month(seed: int) -> Month:
    table = customers(seed)
    return Month(WATCH.encoding.matrix(table), score(table))


def drift(first_seed: int = 1, change: Change | None = None, lag: int = 3) -> PopulationDrift:
    months = [month(first_seed + k) for k in range(14)]
    if change is not None:
        change(months[0].columns)
    return population_drift(WATCH, months, lag, CHANCE)


def test_a_stationary_company_raises_at_most_one_alarm_in_twelve_months():
    for company in range(6):
        runs = [drift(first_seed=1_000 * (company + 1) + run) for run in range(RUNS)]
        alarmed = [any(j.alarm for j in (r.weighted, r.scores, r.single) if j is not None) for r in runs]
        assert sum(alarmed) <= 1


def test_a_feature_that_goes_unknown_is_alarmed_and_reported_first_among_those_that_count():
    def forget(columns):
        columns[:, 0] = np.nan

    found = drift(change=forget)
    assert found.weighted.alarm is True
    assert found.single is not None
    assert found.single.alarm is True
    assert found.features[0].name == "silence"
    assert found.features[0].null_share == 1
    assert found.features[0].null_share_before == 0
    assert found.features[0].shift is None


def test_a_feature_that_the_model_does_not_heed_moves_no_weighted_figure_but_its_own():
    def change(columns):
        columns[:, 2] = 0.5

    found = drift(change=change)
    assert found.weighted == drift().weighted
    assert found.single is not None
    assert found.single.alarm is True


def test_categories_are_compared_by_their_shares_alone():
    plan = next(one for one in drift().features if one.name == "plan")
    assert plan.shift is None
    assert plan.psi < 0.05


def test_a_short_past_is_not_judged():
    found = population_drift(WATCH, [month(k) for k in range(4)], 2, CHANCE)
    assert found.weighted.alarm is None
    assert found.single is None
    assert found.features[0].times_record is None


@pytest.mark.parametrize(
    ("months", "age_days", "lag"),
    [(YEAR + 7, 180, YEAR), (YEAR + 6, 180, 6), (5, 180, 4), (14, 0, 1)],
)
def test_the_reference_is_the_season_a_year_before_or_else_when_the_model_learned(months, age_days, lag):
    assert reference_lag(months, age_days) == lag


def test_a_column_that_is_constant_in_every_month_is_no_change_and_no_nan():
    def still(columns):
        columns[:, 2] = np.nan

    months = [month(1 + k) for k in range(14)]
    for one in months:
        still(one.columns)
    found = population_drift(WATCH, months, 3, CHANCE)
    assert found.single is not None
    assert np.isfinite(found.single.value)
    rating = next(one for one in found.features if one.name == "rating")
    assert rating.times_record == 1
