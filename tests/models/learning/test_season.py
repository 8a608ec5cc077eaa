"""The level of a time of the year: found where it returns, none where it is chance or does not return."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from fedelta.models.learning.season import Season, fit_season, fit_value_season, levelled, season_seen, totals_right

ROWS = 4_000
FIRST = pd.Timestamp("2023-01-05", tz="UTC")


def history(
    courses: list[list[float]], days: int = 60, *, event: bool = False
) -> tuple[np.ndarray, list[np.ndarray], pd.Series]:
    """What happened, what a model without seasons predicted, and when: a course of true logs of rates for each year.

    That nothing comes has the power s of its usual chance, where the rate is s times the usual.
    """
    rng = np.random.default_rng(5)
    happened, predicted, cutoff = [], [], []
    for year, course in enumerate(courses):
        for k, shift in enumerate(course):
            probability = expit(rng.normal(size=ROWS))
            truth = 1 - (1 - probability) ** np.exp(shift) if event else probability ** np.exp(shift)
            happened.append(rng.random(ROWS) < truth)
            predicted.append(probability)
            cutoff.append(pd.Series([FIRST + pd.Timedelta(days=365 * year + days * k)] * ROWS))
    return np.concatenate(happened).astype(float), [np.concatenate(predicted)], pd.concat(cutoff, ignore_index=True)


COURSE = (0.8 * np.cos(2 * np.pi * np.arange(6) * 60 / 365.25)).tolist()


def at(season: Season, day: str, probability: float = 0.5) -> float:
    """What a season makes of one forecast."""
    return float(season.apply(np.array([probability]), pd.Series([pd.Timestamp(day, tz="UTC")]))[0])


def test_a_forecast_is_shifted_by_what_was_missed_a_year_before():
    season = fit_season(*history([COURSE]))
    assert at(season, "2024-01-05") == pytest.approx(0.5 ** np.exp(0.8), abs=0.02)
    assert at(season, "2024-07-03") == pytest.approx(0.5 ** np.exp(-0.8), abs=0.02)
    assert at(season, "2024-01-05", 0.99) == pytest.approx(0.99 ** np.exp(0.8), abs=0.005)  # who has left hardly moves
    assert at(season, "2024-04-04") == pytest.approx(0.5, abs=0.02)
    assert at(season, "2026-07-03") == pytest.approx(at(season, "2025-07-03"), abs=1e-3)


def test_of_leaving_itself_the_rate_is_the_other_way_round():
    season = fit_season(*history([COURSE], event=True), event=True)
    assert at(season, "2024-01-05") == pytest.approx(1 - 0.5 ** np.exp(0.8), abs=0.02)
    assert at(season, "2024-07-03", 0.01) == pytest.approx(1 - 0.99 ** np.exp(-0.8), abs=0.002)


def test_of_two_models_the_errors_are_averaged():
    happened, (predicted,), cutoff = history([COURSE])
    right = levelled(happened, predicted, pd.factorize(cutoff)[0])  # it errs at no cutoff
    one, both = fit_season(happened, [predicted], cutoff), fit_season(happened, [predicted, right], cutoff)
    assert both.cosine == pytest.approx(one.cosine / 2, abs=1e-6)
    assert fit_season(happened, [predicted, predicted], cutoff) == one


@pytest.mark.parametrize("event", [False, True])
def test_levelled_each_cutoff_has_its_share_and_rows_keep_their_order(event: bool):
    happened, (predicted,), cutoff = history([COURSE], event=event)
    number = pd.factorize(cutoff)[0]
    right = levelled(happened, predicted, number, event=event)
    for k in range(6):
        rows = number == k
        assert right[rows].mean() == pytest.approx(happened[rows].mean(), abs=1e-6)
        assert (np.diff(right[rows][np.argsort(predicted[rows])]) >= 0).all()


def test_a_time_of_the_year_that_nobody_saw_is_left_alone():
    season = fit_season(*history([COURSE[:5]], days=30))
    assert season.cosine != 0
    assert at(season, "2024-05-01", 0.3) != 0.3
    assert at(season, "2024-09-01", 0.3) == 0.3
    assert at(season, "2023-06-01", 0.3) == 0.3  # there is no year before


def test_it_is_known_beforehand_whether_a_season_was_seen():
    cutoffs = history([COURSE])[2]
    assert season_seen(cutoffs, 90)
    assert not season_seen(cutoffs, 10)
    assert not season_seen(history([COURSE[:4]])[2], 280)  # four cutoffs show no wave


def test_customers_of_one_cutoff_keep_their_order_and_stay_probabilities():
    season = fit_season(*history([COURSE]))
    predicted = np.linspace(0, 1, 101)
    shifted = season.apply(predicted, pd.Series([pd.Timestamp("2024-01-05", tz="UTC")] * 101))
    assert (np.diff(shifted) > 0).all()
    assert 0 < shifted[0] < shifted[-1] < 1


def test_errors_without_a_yearly_wave_are_no_season():
    assert fit_season(*history([[0.1, -0.1, 0.1, -0.1, 0.1, -0.1]])) == Season(
        note="No season: errors of the cutoffs follow no yearly wave."
    )
    assert abs(at(fit_season(*history([[0.0] * 6])), "2024-01-05") - 0.5) < 0.02
    assert fit_season(*history([COURSE[:4]])).cosine == 0


def test_a_course_that_did_not_return_is_not_used():
    assert at(fit_season(*history([COURSE, COURSE])), "2025-01-05") == pytest.approx(0.5 ** np.exp(0.8), abs=0.02)
    turned = fit_season(*history([COURSE, [-shift for shift in COURSE]]))
    assert at(turned, "2025-01-05") == pytest.approx(0.5, abs=0.03)


def test_everybody_leaving_at_one_cutoff_is_a_finite_shift():
    happened, predicted, cutoff = history([COURSE])
    happened[:ROWS] = 1  # whatever the rate, nobody was expected to stay
    assert np.isfinite(at(fit_season(happened, predicted, cutoff), "2024-01-05"))


def test_a_season_comes_back_from_json_as_it_was():
    season = fit_season(*history([COURSE]))
    assert Season.from_dict(json.loads(json.dumps(season.to_dict()))) == season


def test_totals_are_put_right_at_each_cutoff():
    actual, expected, cutoff = np.array([1.0, 3, 0, 6]), np.array([1.0, 1, 2, 1]), np.array([0, 0, 1, 1])
    assert totals_right(actual, expected, cutoff).tolist() == [2, 2]
    assert totals_right(np.zeros(4), expected, cutoff).min() > 0  # nothing spent at a cutoff is no reason to expect 0


def test_totals_that_were_missed_a_year_ago_are_missed_no_more():
    cutoffs = [FIRST + pd.Timedelta(days=60 * k) for k in range(6)]
    wave = np.exp(np.array(COURSE))
    season = fit_value_season(cutoffs, [wave, wave], "spend")
    a_year_on = pd.Series([cutoff + pd.Timedelta(days=365.25) for cutoff in cutoffs])
    assert season.shift(a_year_on) == pytest.approx(COURSE, abs=0.02)
    assert "rate of spend is 2.2" in season.note
    assert fit_value_season(cutoffs, [wave, np.ones(6)], "spend").cosine == pytest.approx(season.cosine / 2, abs=0.01)
    assert fit_value_season(cutoffs[:4], [wave[:4]], "spend").shift(a_year_on).tolist() == [0] * 6
