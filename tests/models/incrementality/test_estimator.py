"""Lin's difference, both intervals, the sample-ratio check and what an experiment can find, to values of the books."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedelta.models.incrementality.estimator import (
    TooFewInArm,
    adjusted_difference,
    always_valid_width,
    detectable_effect,
    entries_needed,
    sample_ratio_p,
)


def draw(n: int, effect: float, seed: int, *, held_out: float = 0.3):
    """Outcomes that follow a covariate, of customers dealt into arms at random."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 2))
    treated = rng.random(n) > held_out
    return x[:, 0] * 2 + effect * treated + rng.normal(size=n), treated, x


def test_without_covariates_it_is_the_difference_of_means_with_unequal_variances():
    outcome = np.array([1.0, 2.0, 3.0, 5.0, 9.0])
    treated = np.array([False, False, False, True, True])
    found = adjusted_difference(outcome, treated)
    assert found.value == pytest.approx(7 - 2)
    assert found.standard_error**2 == pytest.approx(1 / 3 + 8 / 2)  # s² / n of each arm: HC2 of a mean


def test_it_is_the_coefficient_of_the_fully_interacted_regression_with_its_hc2_error():
    outcome, treated, x = draw(200, 1.0, 3)
    centred = (x / x.std(axis=0)) - (x / x.std(axis=0)).mean(axis=0)
    design = np.column_stack([np.ones(200), treated, centred, centred * treated[:, None]])
    inverse = np.linalg.inv(design.T @ design)
    beta = inverse @ design.T @ outcome
    leverage = np.einsum("ij,jk,ik->i", design, inverse, design)
    meat = (design.T * ((outcome - design @ beta) ** 2 / (1 - leverage))) @ design
    found = adjusted_difference(outcome, treated, x)
    assert found.value == pytest.approx(beta[1])
    variance = (inverse @ meat @ inverse)[1, 1]
    moved = beta[4:] @ np.cov(centred, rowvar=False) @ beta[4:] / 200  # of the covariates' own sample means
    assert found.standard_error**2 == pytest.approx(variance + moved)


def test_what_was_known_before_narrows_the_interval_and_noise_does_not_move_the_estimate_much():
    outcome, treated, x = draw(2_000, 0.5, 1)
    bare, adjusted = adjusted_difference(outcome, treated), adjusted_difference(outcome, treated, x)
    assert adjusted.standard_error < 0.55 * bare.standard_error
    assert adjusted.low < 0.5 < adjusted.high


@pytest.mark.parametrize("broken", ["constant", "copied", "constant in an arm"])
def test_covariates_that_say_nothing_are_left_out(broken: str):
    outcome, treated, x = draw(400, 0.5, 2)
    extra = {"constant": np.ones(400), "copied": x[:, 0] * 3 + 1, "constant in an arm": np.where(treated, 0, x[:, 1])}
    both = adjusted_difference(outcome, treated, np.column_stack([x, extra[broken]]))
    assert both.value == pytest.approx(adjusted_difference(outcome, treated, x).value)


def test_few_customers_bear_few_covariates():
    outcome, treated, x = draw(60, 0.5, 2)
    assert int((~treated).sum()) < 20
    assert adjusted_difference(outcome, treated, x) == adjusted_difference(outcome, treated)


def test_an_arm_of_one_cannot_be_compared():
    with pytest.raises(TooFewInArm, match="at least 2 customers in each arm, got 1"):
        adjusted_difference(np.arange(3.0), np.array([True, True, False]))


@given(st.integers(50, 1_000_000), st.integers(100, 100_000))
def test_the_interval_for_every_look_is_wider_than_that_for_one(n: int, planned: int):
    assert always_valid_width(n, planned) > 1.96


def test_the_interval_for_every_look_is_the_published_closed_form():
    rho2 = (-2 * np.log(0.05) + np.log(-2 * np.log(0.05)) + 1) / 5_000
    n = 1_234
    published = np.sqrt(2 * (n * rho2 + 1) / (n**2 * rho2) * np.log(np.sqrt(n * rho2 + 1) / 0.05))
    assert always_valid_width(n) * np.sqrt(1 / n) == pytest.approx(published)


def test_thirty_looks_with_one_look_intervals_claim_too_much_and_with_the_others_do_not():
    rng = np.random.default_rng(5)
    once = always = 0
    for _ in range(200):
        y, t = rng.random(3_000) < 0.2, rng.random(3_000) < 0.8
        looks = [adjusted_difference(y[:n].astype(float), t[:n]) for n in range(300, 3_001, 100)]
        once += any(look.significant for look in looks)
        always += any(look.always_significant for look in looks)
    assert once / 200 > 0.12
    assert always / 200 <= 0.05


def test_the_sample_ratio_of_cookie_cats_is_unlikely_at_half_and_half():
    assert sample_ratio_p(45_489, 44_700, 0.5) == pytest.approx(0.0086, abs=0.0002)
    assert sample_ratio_p(900, 100, 0.1) == 1
    assert sample_ratio_p(900, 150, 0.1) < 0.001


def test_a_thousand_against_nine_thousand_find_a_difference_of_3_7_points():
    assert detectable_effect(0.2, 9_000, 1_000) == pytest.approx(0.037, abs=0.0005)
    assert detectable_effect(0.2, 9_000, 0) == float("inf")


@given(st.floats(0.02, 0.98), st.floats(0.005, 0.2), st.floats(0.05, 0.5))
def test_entries_needed_are_those_at_which_the_effect_can_be_detected(base: float, effect: float, share: float):
    n = entries_needed(base, effect, share)
    held_out = max(round(n * share), 1)
    assert detectable_effect(base, n - held_out, held_out) == pytest.approx(effect, rel=0.1)
