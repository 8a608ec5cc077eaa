"""The measured success of an action takes the place of the assumed one, once it is known well enough."""

from dataclasses import replace

import numpy as np
import pytest
from experiments import DESIGN, drawn

from fedelta.models.incrementality.comparison import measured
from fedelta.models.incrementality.measured import (
    assumed_by_action,
    measured_success,
    success_of,
    why_unknown,
    with_measured,
)
from fedelta.models.policy.settings import EconomicsSettings, PolicySettings

OWN = EconomicsSettings(
    contact_cost=1, offer_cost=2, success="measured", keep_success=0.15, keep_success_without_offer=0.05
)
POLICY = PolicySettings(economics=OWN)


def report_of(n: int, effect: float, **columns):
    """A report of treatments with one action, which half of the held-out survive."""
    return measured(drawn(n, 3, effect=effect, **{"action": ["keep"] * n, **columns}), DESIGN)


def test_success_is_the_share_kept_of_those_who_would_have_left():
    report = report_of(8_000, 0.1)
    found = measured_success(report, "keep")
    assert found
    active = report["comparisons"][0]["result"]["active"]
    assert found.value == pytest.approx(active["value"] / (1 - active["held_out_mean"]))
    assert found.low < 0.2 < found.high, "10 points of the half that leaves"
    assert found.high - found.low < 0.2


def test_the_interval_of_success_covers_as_it_should():
    covered = 0
    for seed in range(120):
        comparison = measured(drawn(1_500, seed, effect=0.1, action=["keep"] * 1_500), DESIGN)["comparisons"][0]
        found = success_of(comparison)
        covered += found is not None and found.low <= 0.2 <= found.high
    assert 0.9 <= covered / 120 <= 1


def test_a_success_of_which_too_little_is_known_is_not_planned_by():
    report = report_of(400, 0.05)
    assert measured_success(report, "keep") is None
    assert "95% interval from" in why_unknown(report, "keep")
    assert measured_success(report, "win back") is None
    assert "no treatments with the action 'win back'" in why_unknown(report, "win back")
    assert measured_success(None, "keep") is None


def test_contaminated_arms_are_not_planned_by():
    reached = (np.arange(8_000) % 4 == 0).tolist()
    report = report_of(8_000, 0.1, reached=reached)
    assert measured_success(report, "keep") is None
    assert "held-out customers were contacted" in why_unknown(report, "keep")


def test_settings_take_the_measured_success_and_say_so():
    policy, words = with_measured(POLICY, report_of(8_000, 0.1))
    assert policy.economics.keep_success == pytest.approx(0.2, abs=0.06)
    assert policy.economics.keep_success_without_offer == 0.05
    assert "measured of 'keep' with" in words[0]
    assert words[1].startswith("keep_success_without_offer: 5.0% is still assumed")


def test_settings_keep_what_is_assumed_and_say_why():
    policy, words = with_measured(POLICY, None)
    assert policy == POLICY
    assert "keep_success: 15.0% is still assumed" in words[0]
    assert "no treatments with the action 'keep' are recorded." in words[0]
    assert len(words) == 2, "winning back is neither assumed nor measured"


def test_settings_that_do_not_ask_are_left_as_they_are():
    own = PolicySettings(economics=replace(OWN, success="assumed"))
    assert with_measured(own, report_of(8_000, 0.1)) == (own, [])


def test_an_action_that_is_known_to_do_nothing_is_not_planned():
    policy, words = with_measured(POLICY, report_of(12_000, -0.03))
    assert policy.economics.keep_success is None
    assert "it is not above 0, so the action is not planned" in words[0]
    assert [way.offer for way in policy.economics.contacts] == [False]


def test_what_is_assumed_is_known_by_the_actions_of_treatments():
    assert assumed_by_action(OWN) == {"keep": 0.15, "offer": 0.15, "contact": 0.05}
