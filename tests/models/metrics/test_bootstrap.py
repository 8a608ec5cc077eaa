import json

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

from fedelta.models.metrics.bootstrap import (
    BadResamplingError,
    Interval,
    MissingCustomerError,
    Resampling,
    paired_difference,
    replicate,
)
from fedelta.models.metrics.metrics import CHURN_METRICS, VALUE_METRICS, auc, base_rate, brier, ece, log_loss, mae
from fedelta.models.metrics.ranking import LengthMismatchError

law = settings(max_examples=25, derandomize=True)
FEW = Resampling(n=50)


def customers(n, seed=1):
    """Churn labels and the true probabilities they were drawn with."""
    rng = np.random.default_rng(seed)
    probability = rng.beta(2, 3, size=n)
    return (rng.random(n) < probability).astype(float), probability


def test_the_interval_of_a_mean_is_the_one_statistics_teaches():
    churned, probability = customers(4_000)
    interval = replicate(churned, {"m": probability}, {"rate": base_rate}, resampling=Resampling(n=2_000)).intervals()[
        "m"
    ]["rate"]
    half = 1.96 * churned.std() / np.sqrt(4_000)
    assert interval.value == churned.mean()
    assert (interval.low, interval.high) == pytest.approx((churned.mean() - half, churned.mean() + half), abs=half / 10)


def test_a_resample_is_the_metric_of_the_drawn_rows():
    churned, probability = customers(60)
    figures = replicate(churned, {"m": probability}, CHURN_METRICS, resampling=Resampling(n=1, seed=4)).figures["m"]
    drawn = np.random.default_rng(4).integers(60, size=60)
    for name, metric in CHURN_METRICS.items():
        assert figures[name] == pytest.approx(
            [metric(churned, probability), metric(churned[drawn], probability[drawn])], rel=1e-6
        )


def test_a_customer_seen_at_many_cutoffs_counts_as_one():
    churned, probability = customers(500)
    once = replicate(churned, {"m": probability}, {"brier": brier}, resampling=FEW).intervals()
    nine_times = [np.tile(column, 9) for column in (churned, probability, np.arange(500))]
    again = replicate(
        nine_times[0], {"m": nine_times[1]}, {"brier": brier}, customer=nine_times[2], resampling=FEW
    ).intervals()
    assert again["m"]["brier"].as_dict() == pytest.approx(once["m"]["brier"].as_dict())
    as_if_independent = replicate(nine_times[0], {"m": nine_times[1]}, {"brier": brier}, resampling=FEW).intervals()
    width = {
        name: i["m"]["brier"].high - i["m"]["brier"].low
        for name, i in (("rows", as_if_independent), ("customers", again))
    }
    assert width["rows"] < width["customers"] / 2


def test_customers_may_be_named_in_any_column():
    churned, probability = customers(40)
    names = [f"c{k % 20}" for k in range(40)]
    expected = replicate(churned, {"m": probability}, customer=names, resampling=FEW).intervals()
    assert replicate(churned, {"m": probability}, customer=pl.Series(names), resampling=FEW).intervals() == expected
    assert replicate(churned, {"m": probability}, customer=np.arange(40) % 20, resampling=FEW).intervals() == expected


def test_a_better_model_wins_by_an_interval_that_excludes_zero():
    churned, probability = customers(2_000)
    noise = np.random.default_rng(2).normal(0, 0.2, size=2_000)
    difference = paired_difference(log_loss, churned, probability, np.clip(probability + noise, 0.01, 0.99))
    assert difference.value < 0
    assert difference.excludes_zero


def test_pairing_sees_what_separate_intervals_cannot():
    churned, probability = customers(2_000)
    slightly_worse = np.clip(probability + 0.05 * np.sin(40 * probability), 0.001, 0.999)
    both = replicate(churned, {"a": probability, "b": slightly_worse}, {"log_loss": log_loss})
    assert both.interval("a", "log_loss").high > both.interval("b", "log_loss").low  # they overlap
    assert both.difference("log_loss", "a", "b").excludes_zero
    assert both.difference("log_loss", "a", "b") == paired_difference(log_loss, churned, probability, slightly_worse)


@pytest.mark.parametrize("name", [*CHURN_METRICS, *VALUE_METRICS])
@law
@given(st.integers(0, 1_000), st.integers(20, 60))
def test_equal_predictions_differ_by_exactly_nothing(name, seed, n):
    churned, probability = customers(n, seed)
    metric = {**CHURN_METRICS, **VALUE_METRICS}[name]
    difference = paired_difference(metric, churned, probability, probability.copy(), resampling=Resampling(n=5))
    assert difference == Interval(0.0, 0.0, 0.0)


@law
@given(st.integers(0, 1_000), st.integers(30, 200))
def test_swapping_two_models_turns_their_difference_round(seed, n):
    churned, probability = customers(n, seed)
    other = np.sqrt(probability)
    there = paired_difference(brier, churned, probability, other, resampling=FEW)
    back = paired_difference(brier, churned, other, probability, resampling=FEW)
    assert (back.value, back.low, back.high) == pytest.approx((-there.value, -there.high, -there.low))


@law
@given(st.integers(0, 1_000))
def test_the_interval_of_a_near_perfect_calibration_holds_its_value_and_no_less_than_zero(seed):
    churned, probability = customers(2_000, seed)
    interval = replicate(churned, {"m": probability}, {"ece": ece}, resampling=FEW).intervals()["m"]["ece"]
    assert 0 <= interval.low < interval.value <= interval.high


def test_noise_does_not_make_a_good_calibration_look_bad():
    """Plain percentiles of a calibrated model's error all lie above its own, noisy value; ours reach below it."""
    churned, probability = customers(2_000)
    held = replicate(churned, {"m": probability}, {"ece": ece})
    plain = np.quantile(held.figures["m"]["ece"][1:], [0.025, 0.975])
    assert held.interval("m", "ece").low < plain[0]
    assert held.interval("m", "ece").high < plain[1]


def test_of_two_models_equally_wrong_few_are_called_significantly_worse_calibrated():
    """At 95% it should be 1 of 20; it is 11 of 100 here, and 31 by reflected percentiles."""
    significant = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        log_odds = rng.normal(0, 2, 1_500)
        left = rng.random(log_odds.size) < expit(log_odds)
        predicted = {"high": expit(log_odds + 0.1), "low": expit(log_odds - 0.1)}
        held = replicate(left, predicted, {"ece": ece}, resampling=Resampling(60))
        significant += held.difference("ece", "high", "low").excludes_zero
    assert 1 <= significant <= 12


def test_the_same_seed_gives_the_same_interval_and_another_seed_another():
    churned, probability = customers(300)
    first, again, other = (
        replicate(churned, {"m": probability}, {"auc": auc}, resampling=Resampling(n=50, seed=seed)).intervals()["m"][
            "auc"
        ]
        for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other


def test_a_model_is_measured_the_same_alone_and_in_company():
    churned, probability = customers(200)
    company = replicate(churned, {"b": probability**2, "m": probability}, resampling=FEW).intervals()
    assert replicate(churned, {"m": probability}, resampling=FEW).intervals()["m"] == company["m"]


def test_a_wider_level_gives_a_wider_interval():
    churned, probability = customers(300)
    narrow, wide = (
        replicate(churned, {"m": probability}, {"mae": mae}, resampling=Resampling(level=level)).intervals()["m"]["mae"]
        for level in (0.8, 0.99)
    )
    assert wide.low < narrow.low < narrow.value < narrow.high < wide.high


def test_a_metric_without_meaning_has_no_interval_and_is_null_in_json():
    interval = replicate([1, 1, 1], {"m": [0.2, 0.5, 0.9]}, {"auc": auc}, resampling=FEW).intervals()["m"]["auc"]
    assert json.dumps(interval.as_dict(), allow_nan=False) == '{"value": null, "low": null, "high": null}'
    assert not interval.excludes_zero


def test_resamples_without_a_churner_are_left_out():
    churned = np.arange(12) == 0  # a third of the resamples miss the only one
    interval = replicate(churned, {"m": 1 - np.arange(12) / 12}, {"auc": auc}).intervals()["m"]["auc"]
    assert interval == Interval(1.0, 1.0, 1.0)


def test_rows_must_have_customers():
    with pytest.raises(MissingCustomerError, match="got 1 without"):
        replicate([1, 0], {"m": [0.2, 0.5]}, customer=["ann", None]).intervals()
    with pytest.raises(LengthMismatchError, match="got 1 for 2 rows"):
        replicate([1, 0], {"m": [0.2, 0.5]}, customer=["ann"]).intervals()


@pytest.mark.parametrize("wrong", [{"n": 0}, {"level": 1.0}, {"level": 0}])
def test_impossible_bootstrap_settings_are_refused(wrong):
    with pytest.raises(BadResamplingError, match="correct the bootstrap settings"):
        Resampling(**wrong)
