"""What calibrated probabilities say of their own performance before outcomes are known."""

import numpy as np
import pytest

from models.bootstrap import Resampling
from models.expected_performance import FIGURES, expected_performance, realised_performance, told

CHANCE = np.random.default_rng(11)
PROBABILITY = CHANCE.beta(0.6, 0.8, 4_000)
DRAWS = Resampling(400, seed=1)


def test_the_expected_churn_rate_is_the_mean_probability_and_the_log_loss_its_entropy():
    found = expected_performance(PROBABILITY, DRAWS)
    p = PROBABILITY
    assert found["churn_rate"].value == pytest.approx(p.mean(), abs=1e-3)
    assert found["log_loss"].value == pytest.approx(-(p * np.log(p) + (1 - p) * np.log(1 - p)).mean(), abs=2e-3)


def test_the_expected_auc_is_what_chances_of_three_to_one_give():
    """Half at 0.25, half at 0.75: of a leaver and a stayer, 9/16 are in order, 6/16 equal, 1/16 reversed."""
    found = expected_performance(np.repeat([0.25, 0.75], 5_000), DRAWS)
    assert found["auc"].value == pytest.approx(9 / 16 + 3 / 16, abs=2e-3)


def test_outcomes_that_follow_the_probabilities_are_what_was_expected():
    found = expected_performance(PROBABILITY, DRAWS)
    inside = dict.fromkeys(FIGURES, 0)
    for _ in range(200):
        realised = realised_performance((CHANCE.random(4_000) < PROBABILITY).astype(float), PROBABILITY)
        for name in FIGURES:
            inside[name] += found[name].low <= realised[name] <= found[name].high
    assert all(180 <= times <= 199 for times in inside.values()), inside


def test_a_model_too_sure_of_itself_is_found_worse_than_it_said():
    true = 0.5 + (PROBABILITY - 0.5) / 3
    churned = (CHANCE.random(4_000) < true).astype(float)
    words = told(expected_performance(PROBABILITY, DRAWS), realised_performance(churned, PROBABILITY))
    assert "AUC" in words
    assert "worse than" in words
    assert "better than" not in words


def test_a_model_as_good_as_it_said_is_told_so():
    expected = expected_performance(PROBABILITY, DRAWS)
    assert "within chance" in told(expected, {name: one.value for name, one in expected.items()})


def test_the_same_seed_gives_the_same_figures():
    assert expected_performance(PROBABILITY, DRAWS) == expected_performance(PROBABILITY, DRAWS)
