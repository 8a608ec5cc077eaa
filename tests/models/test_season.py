"""The level of a time of the year: found where it returns, left alone where it is chance or does not return."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit

from models.season import Season, fit_season, foreseeable

ROWS = 4_000
FIRST = pd.Timestamp("2023-01-05", tz="UTC")


def history(courses: list[list[float]], days: int = 60) -> tuple[np.ndarray, np.ndarray, pd.Series]:
    """What happened, what a model without seasons said, and when: a course of true shifts for each year of cutoffs."""
    rng = np.random.default_rng(5)
    happened, said, cutoff = [], [], []
    for year, course in enumerate(courses):
        for k, shift in enumerate(course):
            probability = expit(rng.normal(size=ROWS))
            happened.append(rng.random(ROWS) < expit(logit(probability) + shift))
            said.append(probability)
            cutoff.append(pd.Series([FIRST + pd.Timedelta(days=365 * year + days * k)] * ROWS))
    return np.concatenate(happened).astype(float), np.concatenate(said), pd.concat(cutoff, ignore_index=True)


COURSE = (0.8 * np.cos(2 * np.pi * np.arange(6) * 60 / 365.25)).tolist()


def at(season: Season, day: str, probability: float = 0.5) -> float:
    """What a season makes of one forecast."""
    return float(season.apply(np.array([probability]), pd.Series([pd.Timestamp(day, tz="UTC")]))[0])


def test_a_forecast_is_shifted_by_what_was_missed_a_year_before():
    season = fit_season(*history([COURSE]))
    assert at(season, "2024-01-05") == pytest.approx(expit(0.8), abs=0.02)
    assert at(season, "2024-07-03") == pytest.approx(expit(-0.8), abs=0.02)
    assert at(season, "2024-04-04") == pytest.approx(0.5, abs=0.02)
    assert at(season, "2026-07-03") == pytest.approx(at(season, "2025-07-03"), abs=1e-3)


def test_a_time_of_the_year_that_nobody_saw_is_left_alone():
    season = fit_season(*history([COURSE[:5]], days=30))
    assert season.cosine != 0
    assert at(season, "2024-05-01", 0.3) != 0.3
    assert at(season, "2024-09-01", 0.3) == 0.3
    assert at(season, "2023-06-01", 0.3) == 0.3  # there is no year before


def test_it_is_known_beforehand_whether_a_season_was_seen():
    cutoffs = history([COURSE])[2]
    assert foreseeable(cutoffs, 90)
    assert not foreseeable(cutoffs, 10)
    assert not foreseeable(history([COURSE[:4]])[2], 280)  # four cutoffs show no wave


def test_customers_of_one_cutoff_keep_their_order_and_stay_probabilities():
    season = fit_season(*history([COURSE]))
    said = np.linspace(0, 1, 101)
    shifted = season.apply(said, pd.Series([pd.Timestamp("2024-01-05", tz="UTC")] * 101))
    assert (np.diff(shifted) > 0).all()
    assert 0 < shifted[0] < shifted[-1] < 1


def test_errors_without_a_yearly_wave_are_no_season():
    assert fit_season(*history([[0.1, -0.1, 0.1, -0.1, 0.1, -0.1]])) == Season(
        note="No season: errors of the cutoffs follow no yearly wave."
    )
    assert abs(at(fit_season(*history([[0.0] * 6])), "2024-01-05") - 0.5) < 0.02
    assert fit_season(*history([COURSE[:4]])).cosine == 0


def test_a_course_that_did_not_return_is_not_used():
    assert at(fit_season(*history([COURSE, COURSE])), "2025-01-05") == pytest.approx(expit(0.8), abs=0.02)
    turned = fit_season(*history([COURSE, [-shift for shift in COURSE]]))
    assert at(turned, "2025-01-05") == pytest.approx(0.5, abs=0.03)


def test_everybody_leaving_at_one_cutoff_is_a_finite_shift():
    happened, said, cutoff = history([COURSE])
    happened[:ROWS] = 1
    assert np.isfinite(at(fit_season(happened, said, cutoff), "2024-01-05"))


def test_a_season_comes_back_from_json_as_it_was():
    season = fit_season(*history([COURSE]))
    assert Season.from_dict(json.loads(json.dumps(season.to_dict()))) == season
