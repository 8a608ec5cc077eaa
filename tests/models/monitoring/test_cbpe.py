"""What calibrated probabilities say of their own performance before outcomes are known."""

import numpy as np
import pytest

from fedelta.models.metrics.bootstrap import Resampling
from fedelta.models.monitoring.cbpe import FIGURES, estimate_performance, judge_performance, realised_performance

CHANCE = np.random.default_rng(11)
PROBABILITY = CHANCE.beta(0.6, 0.8, 4_000)
DRAWS = Resampling(400, seed=1)


def test_the_expected_churn_rate_is_the_mean_probability_and_the_log_loss_its_entropy():
    found = estimate_performance(PROBABILITY, DRAWS)
    p = PROBABILITY
    assert found["churn_rate"].value == pytest.approx(p.mean(), abs=1e-3)
    assert found["log_loss"].value == pytest.approx(-(p * np.log(p) + (1 - p) * np.log(1 - p)).mean(), abs=2e-3)


def test_the_expected_auc_is_what_chances_of_three_to_one_give():
    """Half at 0.25, half at 0.75: of a leaver and a stayer, 9/16 are in order, 6/16 equal, 1/16 reversed."""
    found = estimate_performance(np.repeat([0.25, 0.75], 5_000), DRAWS)
    assert found["auc"].value == pytest.approx(9 / 16 + 3 / 16, abs=2e-3)


def test_outcomes_that_follow_the_probabilities_are_what_was_expected():
    found = estimate_performance(PROBABILITY, DRAWS)
    inside = dict.fromkeys(FIGURES, 0)
    for _ in range(200):
        realised = realised_performance((CHANCE.random(4_000) < PROBABILITY).astype(float), PROBABILITY)
        for name in FIGURES:
            inside[name] += found[name].low <= realised[name] <= found[name].high
    assert all(180 <= times <= 199 for times in inside.values()), inside


def test_a_model_too_sure_of_itself_is_found_worse_than_it_predicted():
    true = 0.5 + (PROBABILITY - 0.5) / 3
    churned = (CHANCE.random(4_000) < true).astype(float)
    found = judge_performance(estimate_performance(PROBABILITY, DRAWS), realised_performance(churned, PROBABILITY))
    assert found.alarm
    assert "AUC" in found.says
    assert "worse than" in found.says
    assert "better than" not in found.says


def test_a_model_as_good_as_it_predicted_is_reported_so():
    expected = estimate_performance(PROBABILITY, DRAWS)
    found = judge_performance(expected, {name: one.value for name, one in expected.items()})
    assert not found.alarm
    assert "within chance" in found.says


@pytest.mark.parametrize("figure", FIGURES)
@pytest.mark.parametrize("off", [-0.2, -0.03, 0.03, 0.2])
def test_an_alarm_and_its_words_agree(figure: str, off: float):
    expected = estimate_performance(PROBABILITY, DRAWS)
    realised = {name: one.value + off * (name == figure) for name, one in expected.items()}
    found = judge_performance(expected, realised, tolerance=0.05)
    worse = abs(off) if figure == "churn_rate" else off if figure == "log_loss" else -off
    assert found.alarm == (worse > 0.05)
    assert found.says.startswith("What happened is not what") == found.alarm


def test_a_figure_without_meaning_is_neither_judged_nor_printed():
    nobody = np.zeros(50)
    found = judge_performance(estimate_performance(nobody, DRAWS), realised_performance(nobody, nobody))
    assert not found.alarm
    assert "nan" not in found.says


def test_the_same_seed_gives_the_same_figures():
    assert estimate_performance(PROBABILITY, DRAWS) == estimate_performance(PROBABILITY, DRAWS)
