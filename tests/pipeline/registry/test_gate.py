"""A champion falls only to a challenger that is significantly better on the same later rows, and well calibrated."""

from datetime import datetime

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedelta.models.metrics.bootstrap import Resampling
from fedelta.models.metrics.metrics import ece, log_loss
from fedelta.pipeline.params import GateSettings
from fedelta.pipeline.registry.gate import (
    Candidate,
    Predictions,
    Verdict,
    common,
    happened,
    incomparable,
    judge,
    predictions,
    without_champion,
)

DRAWS = Resampling(n=50)
LOOSE = GateSettings(max_ece=1.0)
CHURNED = np.tile([1.0, 1.0, 0.0, 0.0], 50)
SHARP = np.where(CHURNED == 1, 0.9, 0.1)
BLUNT = np.full(200, 0.5)
CONTRACT = {
    "definition": "inactivity",
    "horizon_days": 90,
    "lead_days": 7,
    "registry": "abc",
    "training": [{"cutoff": "2024-01-01", "horizon_days": 60}, {"cutoff": "2024-02-01", "horizon_days": 30}],
}


def judged(
    churned, challenger, champion, gate=LOOSE, draws=DRAWS, *, spent=None, challenger_spend=None, champion_spend=None
) -> Verdict:
    """The verdict on churn probabilities, and on expected spend where it is given."""
    return judge(
        Predictions(churned, spent),
        Predictions(challenger, challenger_spend),
        Predictions(champion, champion_spend),
        gate,
        draws,
    )


def test_a_significantly_better_challenger_is_promoted_with_its_figures():
    verdict = judged(CHURNED, SHARP, BLUNT, LOOSE, DRAWS)
    assert verdict.promote
    assert verdict.differences["log_loss"].value == pytest.approx(-np.log(0.9) - np.log(2))
    assert verdict.ece == pytest.approx(0.1)
    assert "log loss -0.5878" in verdict.reason
    assert "200 customers" in verdict.reason


def test_equal_predictions_keep_the_champion():
    verdict = judged(CHURNED, SHARP, SHARP, LOOSE, DRAWS)
    assert not verdict.promote
    assert "a tie keeps the champion" in verdict.reason


def test_better_by_luck_alone_keeps_the_champion():
    churned, champion = CHURNED[:20], SHARP[:20]
    surer = np.where(np.arange(20) < 11, 0.95, 0.85)  # a little better for 11 customers, a little worse for 9
    verdict = judged(churned, np.where(churned == 1, surer, 1 - surer), champion, LOOSE, DRAWS)
    assert verdict.differences["log_loss"].value < 0 < verdict.differences["log_loss"].high
    assert not verdict.promote
    assert "the interval includes 0" in verdict.reason


def test_a_better_challenger_with_bad_calibration_is_refused():
    verdict = judged(CHURNED, SHARP, BLUNT, GateSettings(max_ece=0.05), DRAWS)
    assert not verdict.promote
    assert "ECE 0.1000 is above gate.max_ece 0.05" in verdict.reason


def test_a_challenger_of_lower_log_loss_that_earns_significantly_less_is_refused():
    # The champion finds the 60 likeliest leavers and lumps all others together at a poor level. The challenger's levels
    # are better, but among the likeliest it puts stayers first, so a campaign that follows it earns less.
    churned = np.repeat([1.0, 0.0, 1.0, 0.0], [60, 40, 20, 280])
    champion = np.repeat([0.9, 0.6, 0.6, 0.6], [60, 40, 20, 280])
    challenger = np.repeat([0.6, 0.62, 0.1, 0.1], [60, 40, 20, 280])
    verdict = judged(churned, challenger, champion)
    assert verdict.differences["log_loss"].high < 0
    assert verdict.differences["empc"].high < 0
    assert not verdict.promote
    assert verdict.reason.endswith("better by log loss, but significantly worse by EMPC")


SPENT = np.tile([0.0, 0.0, 50.0, 100.0], 50)


def test_a_challenger_that_orders_spend_significantly_worse_is_refused():
    verdict = judged(CHURNED, SHARP, BLUNT, spent=SPENT, challenger_spend=-SPENT, champion_spend=SPENT)
    assert verdict.differences["clv_gini"].value == pytest.approx(-2)
    assert not verdict.promote
    assert verdict.reason.endswith("better by log loss, but significantly worse by CLV Gini")


def test_a_challenger_as_good_at_spend_passes_on_churn():
    verdict = judged(CHURNED, SHARP, BLUNT, spent=SPENT, challenger_spend=SPENT + 1, champion_spend=SPENT)
    assert verdict.promote
    assert "CLV Gini +0.0000 [+0.0000, +0.0000]" in verdict.reason


def test_where_nobody_spent_the_gini_says_nothing_and_churn_decides():
    nothing = np.zeros(200)
    verdict = judged(CHURNED, SHARP, BLUNT, spent=nothing, challenger_spend=SPENT, champion_spend=SPENT)
    assert verdict.promote
    assert "CLV Gini has no meaning here" in verdict.reason


def test_a_challenger_that_lost_sight_of_spend_is_refused():
    verdict = judged(CHURNED, SHARP, BLUNT, spent=SPENT, champion_spend=SPENT)
    assert not verdict.promote
    assert "the champion predicts spend and the challenger does not" in verdict.reason
    assert judged(CHURNED, SHARP, BLUNT, spent=SPENT, challenger_spend=SPENT).promote


def test_the_metric_of_the_settings_decides():
    verdict = judged(CHURNED, SHARP, BLUNT, GateSettings("brier", 1.0), DRAWS)
    assert verdict.differences["brier"].value == pytest.approx(0.01 - 0.25)
    assert verdict.reason.startswith("Brier score")


def test_the_first_version_is_promoted_and_bad_calibration_reported():
    fine = without_champion(CHURNED, SHARP, GateSettings(max_ece=0.2))
    poor = without_champion(CHURNED, SHARP, GateSettings(max_ece=0.05))
    assert fine.promote
    assert poor.promote
    assert "above gate.max_ece" not in fine.reason
    assert "ECE is 0.1000, above gate.max_ece 0.05" in poor.reason


probabilities = st.lists(st.floats(0.01, 0.99), min_size=40, max_size=40).map(np.array)


@settings(max_examples=40)
@given(probabilities, probabilities, st.floats(0, 0.5))
def test_two_models_never_both_beat_each_other_and_a_winner_is_better_and_calibrated(one, other, limit):
    churned = np.tile([1.0, 0.0], 20)
    gate = GateSettings(max_ece=limit)
    forth, back = (judged(churned, a, b, gate, DRAWS) for a, b in ((one, other), (other, one)))
    assert not (forth.promote and back.promote)
    if forth.promote:
        assert log_loss(churned, one) < log_loss(churned, other)
        assert ece(churned, one) <= limit
        assert not forth.differences["empc"].high < 0


def test_the_last_outcome_learned_is_the_latest_end_of_a_horizon():
    assert Candidate.of(CONTRACT).learned_until == datetime(2024, 3, 9)  # noqa: DTZ001 - contracts hold dates


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"horizon_days": 30}, "another horizon (30, not 90)"),
        ({"lead_days": 0}, "another lead time (0, not 7)"),
        ({"definition": "event"}, "another churn definition (event, not inactivity)"),
        ({"registry": "xyz"}, "another set of features (xyz, not abc)"),
        (
            {"training": [{"cutoff": "2024-05-01", "horizon_days": 30}]},
            "learned from outcomes until 2024-06-07",
        ),
    ],
)
def test_models_that_answer_other_questions_are_not_compared_and_the_remedy_is_reported(change, words):
    challenger, champion = Candidate.of(CONTRACT), Candidate.of({**CONTRACT, **change})
    text = str(incomparable(challenger, champion, datetime(2024, 5, 1)))  # noqa: DTZ001
    assert words in text
    assert "`fedelta promote --because REASON`" in text
    assert incomparable(challenger, challenger, datetime(2024, 5, 1)) is None  # noqa: DTZ001


def test_stored_predictions_may_be_of_other_features_but_not_of_another_question():
    mine = Candidate.of(CONTRACT)
    assert incomparable(mine, Candidate.of({**CONTRACT, "registry": "xyz"}), None) is None
    assert "another horizon" in str(incomparable(mine, Candidate.of({**CONTRACT, "horizon_days": 30}), None))


# Cross-fitted predictions


def evaluated(customers, churned, predicted, **more) -> pl.DataFrame:
    return pl.DataFrame({"customer_id": customers, "churned": churned, "churn_chosen": predicted, **more})


MANY = [f"c{number:03}" for number in range(200)]


def test_customers_of_both_evaluations_with_the_same_outcome_are_compared_in_the_same_order():
    changed = CHURNED.copy()
    changed[:20] = 1 - changed[:20]  # came back, or left since
    challenger = evaluated(MANY, CHURNED, SHARP)
    champion = evaluated(MANY, changed, BLUNT + np.arange(200) / 1e4)[150:20:-1]
    mine, theirs = common(challenger, champion)
    assert mine["customer_id"].to_list() == theirs["customer_id"].to_list() == MANY[21:151]
    assert mine["churned"].to_list() == theirs["churned"].to_list()
    assert theirs["churn_chosen"].to_list() == pytest.approx(BLUNT[21:151] + np.arange(21, 151) / 1e4)
    verdict = judge(happened(mine), predictions(mine), predictions(theirs), LOOSE, DRAWS)
    assert verdict.promote
    assert "130 customers" in verdict.reason


def test_customers_whose_spend_became_known_otherwise_are_left_out():
    spent = np.where(CHURNED == 1, 0.0, 10.0)
    money = {"clv_chosen": spent}
    challenger = evaluated(MANY, CHURNED, SHARP, spend_in_horizon=spent, **money)
    champion = evaluated(MANY, CHURNED, BLUNT, spend_in_horizon=spent + (np.arange(200) < 50), **money)
    mine, _ = common(challenger, champion)
    assert mine["customer_id"].to_list() == MANY[50:]


@pytest.mark.parametrize(
    ("champion", "words"),
    [
        (evaluated(MANY[:99], CHURNED[:99], BLUNT[:99]), "99 customers with the same outcome are in both evaluations"),
        (evaluated(MANY, 1 - CHURNED, BLUNT), "0 customers with the same outcome"),
        (evaluated(MANY, np.ones(200), BLUNT), "some of whom left and some stayed"),
        (evaluated(MANY[:100] * 2, CHURNED, BLUNT), "a customer is in one of the evaluations twice"),
    ],
)
def test_too_few_common_customers_are_not_compared_and_the_remedy_is_reported(champion, words):
    text = common(evaluated(MANY, CHURNED, SHARP), champion)
    assert isinstance(text, str)
    assert words in text
    assert "`fedelta promote --because REASON`" in text
