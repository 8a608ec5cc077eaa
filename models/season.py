"""The time of the year: what the model missed at the same weeks a year before, it will miss again.

A model of all seasons has one level, and customers buy more before a feast. Its error at each training cutoff, in
log-odds, is a course over the year; a forecast is shifted by the error of a year before its own cutoff. (The trees
cannot tell the cutoffs apart, so that errors on the rows they grew from are nearly those of held out ones.)
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.optimize import brentq
from scipy.special import expit

from models.calibration_line import clipped_logit

Floats = npt.NDArray[np.float64]

YEAR_DAYS = 365.25
NEAR_DAYS = 30.0  # so far beyond the first or last cutoff its error still stands for the season
FEWEST_CUTOFFS = 3
_MOST = 5.0  # log-odds by which a level can be wrong


@dataclass(frozen=True)
class Season:
    """Shifts of log-odds at cutoffs of the past; without any, nothing is shifted. ``note`` says why."""

    day: tuple[float, ...] = ()  # of each cutoff, since 1970, ascending
    shift: tuple[float, ...] = ()
    note: str = ""

    def apply(self, probability: Floats, cutoff: pd.Series) -> Floats:
        """Probabilities (n_rows,), each shifted by what was missed a year or more before its cutoff, if that is known.

        Rows of one cutoff keep their order.
        """
        if not self.day:
            return probability
        days, row = np.unique(_days(cutoff), return_inverse=True)
        shift = np.array([_a_year_before(day, np.array(self.day), np.array(self.shift)) for day in days])
        shift = np.nan_to_num(shift, nan=0.0)[row]
        return np.where(shift == 0, probability, expit(clipped_logit(probability) + shift))

    def to_dict(self) -> dict[str, object]:
        """As JSON."""
        return {"day": list(self.day), "shift": list(self.shift), "note": self.note}

    @classmethod
    def from_dict(cls, held: Mapping[str, Any]) -> "Season":
        """Back from JSON."""
        return cls(tuple(held["day"]), tuple(held["shift"]), str(held["note"]))


def fit_season(happened: Floats, probability: Floats, cutoff: pd.Series) -> Season:
    """The errors of a model at its training cutoffs, drawn towards 0 as far as they may be chance.

    Where the history holds two years, last year's errors must foretell this year's, or they are not used.

    Parameters
    ----------
    happened, probability : ndarray of shape (n,)
        What came true (0 or 1), and what the model says of the same rows. Horizons are of equal length.
    cutoff : Series of shape (n,)
    """
    day, row = np.unique(_days(cutoff), return_inverse=True)
    if len(day) < FEWEST_CUTOFFS:
        return Season(note=f"No season: it takes {FEWEST_CUTOFFS} cutoffs to tell it from chance.")
    logit = clipped_logit(probability)
    error = np.array([_level(logit[row == k], happened[row == k]) for k in range(len(day))])
    chance = 1 / np.bincount(row, weights=probability * (1 - probability))  # of the level: inverse Fisher information
    between = max(0.0, float(error.var(ddof=1) - chance.mean()))
    if between == 0:
        return Season(note="No season: levels of the cutoffs differ by no more than chance.")
    shift = error * between / (between + chance)
    foretold = np.array([_a_year_before(at, day[:k], shift[:k]) for k, at in enumerate(day)])
    known = ~np.isnan(foretold)
    if ((error - foretold)[known] ** 2).sum() > (error[known] ** 2).sum():
        return Season(note="No season: last year's errors do not foretell this year's.")
    tested = f"they foretold those of {known.sum()} later cutoffs" if known.any() else "not tested: one year is known"
    says = f"Log-odds are shifted by the error a year before, {shift.min():+.2f} to {shift.max():+.2f} ({tested})."
    return Season(tuple(day.tolist()), tuple(shift.tolist()), says)


def levelled(happened: Floats, probability: Floats, cutoff: npt.NDArray[np.intp]) -> Floats:
    """Probabilities (n,) shifted at each cutoff to its share of what came true: what is left is their order and spread.

    So models are compared where a season sets their level.
    """
    logit = clipped_logit(probability)
    shift = np.array([_level(logit[cutoff == k], happened[cutoff == k]) for k in range(cutoff.max() + 1)])
    return np.asarray(expit(logit + shift[cutoff]), np.float64)


def foreseeable(cutoff: pd.Series, ahead_days: float) -> bool:
    """Whether the season `ahead_days` after the last cutoff is that of a cutoff a year or more before."""
    day = np.unique(_days(cutoff))
    return len(day) >= FEWEST_CUTOFFS and not np.isnan(_a_year_before(day[-1] + ahead_days, day, day))


def _days(cutoff: pd.Series) -> Floats:
    return np.asarray((pd.to_datetime(cutoff, utc=True) - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(days=1), np.float64)


def _a_year_before(day: float, known: Floats, shift: Floats) -> float:
    """The shift a whole number of years before, as few as possible; NaN where no cutoff is near."""
    if len(known):
        for years in range(1, int((day - known[0] + NEAR_DAYS) / YEAR_DAYS) + 1):
            if (before := day - years * YEAR_DAYS) <= known[-1] + NEAR_DAYS:
                return float(np.interp(before, known, shift))
    return np.nan


def _level(logit: Floats, happened: Floats) -> float:
    """What must be added to log-odds, at most 5, for their mean probability to be the share of what came true."""

    def off(shift: float) -> float:
        return float(expit(logit + shift).mean() - happened.mean())

    if off(-_MOST) >= 0 or off(_MOST) <= 0:
        return float(np.copysign(_MOST, off(0.0)) * -1)
    return float(brentq(off, -_MOST, _MOST))
