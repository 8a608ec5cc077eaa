"""A champion falls only to a challenger that is surely better on the same later rows, and well calibrated."""

from datetime import datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.bootstrap import Resampling
from models.metrics import ece, log_loss
from pipeline.gate import Candidate, incomparable, judge, without_champion
from pipeline.params import GateSettings

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


def test_a_surely_better_challenger_is_promoted_with_its_figures():
    verdict = judge(CHURNED, SHARP, BLUNT, LOOSE, DRAWS)
    assert verdict.promote
    assert verdict.difference is not None
    assert verdict.difference.value == pytest.approx(-np.log(0.9) - np.log(2))
    assert verdict.ece == pytest.approx(0.1)
    assert "log loss -0.5878" in verdict.reason
    assert "200 customers" in verdict.reason


def test_equal_predictions_keep_the_champion():
    verdict = judge(CHURNED, SHARP, SHARP, LOOSE, DRAWS)
    assert not verdict.promote
    assert "a tie keeps the champion" in verdict.reason


def test_better_by_luck_alone_keeps_the_champion():
    churned, champion = CHURNED[:20], SHARP[:20]
    surer = np.where(np.arange(20) < 11, 0.95, 0.85)  # a little better for 11 customers, a little worse for 9
    verdict = judge(churned, np.where(churned == 1, surer, 1 - surer), champion, LOOSE, DRAWS)
    assert verdict.difference is not None
    assert verdict.difference.value < 0 < verdict.difference.high
    assert not verdict.promote
    assert "the interval includes 0" in verdict.reason


def test_a_better_challenger_with_bad_calibration_is_refused():
    verdict = judge(CHURNED, SHARP, BLUNT, GateSettings(max_ece=0.05), DRAWS)
    assert not verdict.promote
    assert "ECE 0.1000 is above gate.max_ece 0.05" in verdict.reason


def test_the_metric_of_the_settings_decides():
    verdict = judge(CHURNED, SHARP, BLUNT, GateSettings("brier", 1.0), DRAWS)
    assert verdict.difference is not None
    assert verdict.difference.value == pytest.approx(0.01 - 0.25)
    assert verdict.reason.startswith("brier")


def test_the_first_version_is_promoted_and_bad_calibration_told():
    fine = without_champion(CHURNED, SHARP, GateSettings(max_ece=0.2))
    poor = without_champion(CHURNED, SHARP, GateSettings(max_ece=0.05))
    assert fine.promote
    assert poor.promote
    assert "above gate.max_ece" not in fine.reason
    assert "ECE is 0.1000, above gate.max_ece 0.05" in poor.reason


probabilities = st.lists(st.floats(0.01, 0.99), min_size=40, max_size=40).map(np.array)


@settings(max_examples=40, deadline=None)
@given(probabilities, probabilities, st.floats(0, 0.5))
def test_two_models_never_both_beat_each_other_and_a_winner_is_better_and_calibrated(one, other, limit):
    churned = np.tile([1.0, 0.0], 20)
    gate = GateSettings(max_ece=limit)
    forth, back = (judge(churned, a, b, gate, DRAWS) for a, b in ((one, other), (other, one)))
    assert not (forth.promote and back.promote)
    if forth.promote:
        assert log_loss(churned, one) < log_loss(churned, other)
        assert ece(churned, one) <= limit


def test_the_last_outcome_learned_is_the_latest_end_of_a_horizon():
    assert Candidate.of(CONTRACT, "shop").learned_until == datetime(2024, 3, 9)  # noqa: DTZ001 - contracts hold dates


@pytest.mark.parametrize(
    ("change", "source", "words"),
    [
        ({"horizon_days": 30}, "shop", "another horizon (30, not 90)"),
        ({"lead_days": 0}, "shop", "another lead time (0, not 7)"),
        ({"definition": "event"}, "shop", "another churn definition (event, not inactivity)"),
        ({"registry": "xyz"}, "shop", "another set of features (xyz, not abc)"),
        ({}, "bazaar", "another source (bazaar, not shop)"),
        (
            {"training": [{"cutoff": "2024-05-01", "horizon_days": 30}]},
            "shop",
            "learned from outcomes until 2024-06-07",
        ),
    ],
)
def test_models_that_answer_other_questions_are_not_compared(change, source, words):
    challenger, champion = Candidate.of(CONTRACT, "shop"), Candidate.of({**CONTRACT, **change}, source)
    assert words in str(incomparable(challenger, champion, datetime(2024, 5, 1)))  # noqa: DTZ001
    assert incomparable(challenger, challenger, datetime(2024, 5, 1)) is None  # noqa: DTZ001
