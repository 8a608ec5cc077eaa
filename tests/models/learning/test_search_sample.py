"""Candidates are compared on a sample of customers; what is chosen learns from everybody."""

from dataclasses import replace

import numpy as np
import pytest

from fedelta.models.churn.model import ChurnModel, fit_churn
from fedelta.models.churn.settings import ChurnSettings
from fedelta.models.panel import Panel
from fedelta.models.value.model import ClvModel, fit_clv
from fedelta.models.value.settings import ClvSettings
from fedelta.models.value.value_trees import fit_trees, forecasts

CHURN = ChurnSettings(num_iterations=12, seeds=1)
CLV = ClvSettings(num_iterations=12, seeds=1)
SAMPLED = 220


def churn_of(panel: Panel, settings: ChurnSettings) -> ChurnModel:
    return fit_churn(panel, settings, horizon_days=60, lead_days=0, threads=1)


def clv_of(panel: Panel, settings: ClvSettings) -> ClvModel:
    model = fit_clv(panel, settings, horizon_days=60, lead_days=0, threads=1)
    assert model is not None
    return model


def ids(panel: Panel) -> set[str]:
    return set(panel.table["customer_id"])


def test_a_sample_has_all_rows_of_so_many_customers(train: Panel):
    drawn = train.sample(SAMPLED)
    assert len(ids(drawn)) == SAMPLED
    whole = train.table["customer_id"].isin(ids(drawn))
    assert drawn.table.equals(train.table[whole])
    assert drawn.outcomes.equals(train.outcomes[whole])


def test_a_sample_of_as_many_as_there_are_is_all_of_them(train: Panel):
    assert train.sample(len(ids(train))) is train


def test_customers_stay_in_the_sample_whoever_else_comes_or_goes(train: Panel):
    drawn = ids(train.sample(SAMPLED))
    fewer = train.where(train.table["customer_id"].isin(sorted(ids(train))[::2]))
    assert drawn & ids(fewer) <= ids(fewer.sample(SAMPLED))
    order = np.random.default_rng(1).permutation(len(train))
    shuffled = Panel(train.table.iloc[order], train.outcomes.iloc[order])
    assert ids(shuffled.sample(SAMPLED)) == drawn


@pytest.mark.parametrize("candidate", ["lightgbm", "logistic"])
def test_churn_learns_from_everybody_and_is_chosen_on_the_sample(train: Panel, candidate: str):
    settings = replace(CHURN, candidate=candidate)
    every = churn_of(train, settings)
    sampled = churn_of(train, replace(settings, search_customers=SAMPLED))
    alone = churn_of(train.sample(SAMPLED), settings)
    assert sampled.log_odds(train.table).tolist() == every.log_odds(train.table).tolist()
    assert (sampled.calibrator, sampled.season, sampled.selection) == (alone.calibrator, alone.season, alone.selection)
    assert alone.log_odds(train.table).tolist() != every.log_odds(train.table).tolist()
    assert sampled.note.endswith(f"on a sample: {SAMPLED} of {len(ids(train))} customers.")
    assert "sample" not in every.note


def test_value_learns_from_everybody_and_is_chosen_on_the_sample(train: Panel):
    sampled, alone = clv_of(train, replace(CLV, search_customers=SAMPLED)), clv_of(train.sample(SAMPLED), CLV)
    assert (sampled.chosen, sampled.results) == (alone.chosen, alone.results)
    assert (sampled.bias, sampled.intervals, sampled.season) == (alone.bias, alone.intervals, alone.season)
    trees = fit_trees([sampled.chosen], train, CLV, "features", threads=1)
    expected = forecasts([sampled.chosen], trees, train.table)[sampled.chosen]
    found = forecasts([sampled.chosen], sampled.trees, train.table)[sampled.chosen]
    assert found.tolist() == expected.tolist()
    assert sampled.note.endswith(f"on a sample: {SAMPLED} of {len(ids(train))} customers.")
