"""The time of the year: what the model missed at the same weeks a year before, it will miss again.

A model of all seasons has one level, and customers buy more before a feast. Its errors at the training cutoffs, in
log-odds, are split into a wave of one year and what is irregular; the wave is drawn towards 0 as far as the irregular
could have made it, and forecasts are shifted by it.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.optimize import brentq
from scipy.special import expit

from models.calibration_line import clipped_logit

Floats = npt.NDArray[np.float64]

YEAR_DAYS = 365.25
NEAR_DAYS = 30.0  # so far before the first cutoff or after the last the wave is still known
FEWEST_CUTOFFS = 5  # two more than a wave has parameters
_MOST = 5.0  # log-odds by which a level can be wrong


@dataclass(frozen=True)
class Season:
    """A wave of one year in log-odds, known from `first` to `last` (days since 1970) and at whole years from there."""

    first: float = 0.0
    last: float = 0.0
    cosine: float = 0.0
    sine: float = 0.0
    note: str = ""

    def apply(self, probability: Floats, cutoff: pd.Series) -> Floats:
        """Probabilities (n_rows,), those of a later cutoff shifted by the wave where its season was seen.

        Rows of one cutoff keep their order.
        """
        if self.cosine == self.sine == 0:
            return probability
        day = _days(cutoff)
        shift = np.where(_seen(day, self.first, self.last), _wave(day) @ (self.cosine, self.sine), 0.0)
        return np.where(shift == 0, probability, expit(clipped_logit(probability) + shift))

    def to_dict(self) -> dict[str, object]:
        """As JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, held: Mapping[str, Any]) -> "Season":
        """Back from JSON."""
        return cls(**held)


def fit_season(happened: Floats, probability: Floats, cutoff: pd.Series) -> Season:
    """The yearly wave in the errors of a model at its training cutoffs, as far as it stands out from the irregular.

    Least squares of the errors on a constant, a cosine and a sine of one year; the wave is kept by the share 1 - 1/F,
    F its mean square over that of the remainder (positive-part empirical Bayes: Efron & Morris 1973).

    Parameters
    ----------
    happened, probability : ndarray of shape (n,)
        What came true (0 or 1), and what was said of rows held out. Horizons are of equal length.
    cutoff : Series of shape (n,)
    """
    day, row = np.unique(_days(cutoff), return_inverse=True)
    if len(day) < FEWEST_CUTOFFS:
        return Season(note=f"No season: it takes {FEWEST_CUTOFFS} cutoffs to tell one.")
    logit = clipped_logit(probability)
    error = np.array([_level(logit[row == k], happened[row == k]) for k in range(len(day))])
    design = np.column_stack([np.ones(len(day)), _wave(day)])
    level, cosine, sine = np.linalg.lstsq(design, error, rcond=None)[0]
    fitted = design @ (level, cosine, sine)
    irregular = float(((error - fitted) ** 2).sum()) / (len(day) - 3)
    wave = float(((fitted - fitted.mean()) ** 2).sum()) / 2
    kept = max(0.0, 1 - irregular / wave) if wave else 0.0
    if kept == 0:
        return Season(note="No season: errors of the cutoffs follow no yearly wave.")
    size = kept * float(np.hypot(cosine, sine))
    note = f"Log-odds follow a yearly wave of ±{size:.2f}, {kept:.0%} of the one seen at {len(day)} cutoffs."
    return Season(float(day[0]), float(day[-1]), kept * float(cosine), kept * float(sine), note)


def levelled(happened: Floats, probability: Floats, cutoff: npt.NDArray[np.intp]) -> Floats:
    """Probabilities (n,) shifted at each cutoff to its share of what came true: what is left is their order and spread.

    So models are compared where a season sets their level.
    """
    logit = clipped_logit(probability)
    shift = np.array([_level(logit[cutoff == k], happened[cutoff == k]) for k in range(cutoff.max() + 1)])
    return np.asarray(expit(logit + shift[cutoff]), np.float64)


def foreseeable(cutoff: pd.Series, ahead_days: float) -> bool:
    """Whether the season `ahead_days` after the last cutoff was seen a whole number of years before."""
    day = np.unique(_days(cutoff))
    return len(day) >= FEWEST_CUTOFFS and bool(_seen(day[-1:] + ahead_days, day[0], day[-1])[0])


def _days(cutoff: pd.Series) -> Floats:
    return np.asarray((pd.to_datetime(cutoff, utc=True) - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(days=1), np.float64)


def _seen(day: Floats, first: float, last: float) -> npt.NDArray[np.bool_]:
    """Whether a day lies one or more whole years after the known span."""
    years = np.maximum(1, np.ceil((day - last - NEAR_DAYS) / YEAR_DAYS))
    return np.asarray(day - years * YEAR_DAYS >= first - NEAR_DAYS)


def _wave(day: Floats) -> Floats:
    """Cosine and sine of the time of the year, shape (n, 2)."""
    phase = 2 * np.pi * day / YEAR_DAYS
    return np.column_stack([np.cos(phase), np.sin(phase)])


def _level(logit: Floats, happened: Floats) -> float:
    """What must be added to log-odds, at most 5, for their mean probability to be the share of what came true."""

    def off(shift: float) -> float:
        return float(expit(logit + shift).mean() - happened.mean())

    if off(-_MOST) >= 0 or off(_MOST) <= 0:
        return float(np.copysign(_MOST, off(0.0)) * -1)
    return float(brentq(off, -_MOST, _MOST))
