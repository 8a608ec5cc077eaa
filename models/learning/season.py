"""The time of the year: what the model missed at the same weeks a year before, it will miss again.

A model of all seasons has one level, and customers buy more before a feast. A season is a change of clock: where demand
is s times the usual, so are orders and spend, and a chance p of no purchase becomes p**s: those who have left hardly
move. The errors at the training cutoffs, in log s, are split into a wave of one year and what is irregular; the wave is
drawn towards 0 as far as the irregular could have made it, and forecasts are shifted by it.

The errors are those of two models on customers held out: one knew others at the same cutoff, one did not. Trees tell a
cutoff by what is usual at it (so many purchases of late), so the first shows less of the season than the future will
miss. The second shows more: it has seen that time of the year in no year.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.optimize import brentq

from fedelta.models.encoding import MissingFeatures
from fedelta.models.metrics.calibration_line import clip_probability
from fedelta.models.panel import Panel
from fedelta.models.rounding import FINEST, FITTED, probabilities, significant
from fedelta.models.table import AnyTable

Floats = npt.NDArray[np.float64]
Times: TypeAlias = pd.Series | npt.NDArray[np.datetime64]

YEAR_DAYS = 365.25
NEAR_DAYS = 30.0  # so far before the first cutoff or after the last the wave is still known
FEWEST_CUTOFFS = 5  # two more than a wave has parameters
_MOST = 5.0  # log of the factor by which a rate can be wrong


@dataclass(frozen=True)
class Season:
    """A wave of one year in the log of a rate, known from `first` to `last` (days since 1970) and whole years on.

    The rate is that of purchases or spend, of which churn is the absence; with `event` it is that of leaving itself.
    """

    first: float = 0.0
    last: float = 0.0
    cosine: float = 0.0
    sine: float = 0.0
    note: str = ""
    event: bool = False

    def shift(self, cutoff: Times) -> Floats:
        """What the season adds to the log of each row's rate (n_rows,): 0 where its time of the year was not seen."""
        if self.cosine == self.sine == 0:
            return np.zeros(len(cutoff))
        day = _days(cutoff)
        return np.where(_seen(day, self.first, self.last), _wave(day) @ (self.cosine, self.sine), 0.0)

    def apply(self, probability: Floats, cutoff: Times) -> Floats:
        """Probabilities (n_rows,), those of a later cutoff shifted by the wave where its season was seen.

        Rows of one cutoff keep their order.
        """
        shift = self.shift(cutoff)
        shifted = _probability(_log_rate(probability, self.event) + shift, self.event)
        return np.where(shift == 0, probability, clip_probability(shifted))

    def to_dict(self) -> dict[str, object]:
        """As JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, held: Mapping[str, Any]) -> "Season":
        """Back from JSON."""
        return cls(**held)


NO_SEASON = Season(note="No season: it takes complete horizons at cutoffs a year before those to come.")


def fit_season(happened: Floats, predicted: Sequence[Floats], cutoff: pd.Series, *, event: bool = False) -> Season:
    """The yearly wave in the errors of models at their training cutoffs, as far as it stands out from the irregular.

    Least squares of the errors, averaged over the models, on a constant, a cosine and a sine of one year; the wave is
    kept by the share 1 - 1/F, F its mean square over that of the remainder (positive-part empirical Bayes: Efron &
    Morris 1973).

    Parameters
    ----------
    happened : ndarray of shape (n,)
        What came true, 0 or 1. Horizons are of equal length.
    predicted : sequence of ndarrays of shape (n,)
        What each model predicted of rows held out.
    cutoff : Series of shape (n,)
    event : bool
        Whether what happens is an event; otherwise it is that none came.
    """
    row = np.unique(_days(cutoff), return_inverse=True)[1]
    error = np.mean([_levels(happened, probability, row, event) for probability in predicted], axis=0)
    return _of_errors(np.unique(_days(cutoff)), error, "cancellations" if event else "purchases", event=event)


def fit_value_season(cutoffs: Sequence[pd.Timestamp], errors: Sequence[Floats], what: str) -> Season:
    """The yearly wave in totals of orders or spend, as in `fit_season`.

    Parameters
    ----------
    cutoffs : sequence of n Timestamps, ascending
    errors : sequence of ndarrays of shape (n,)
        What each model missed: by what its total at each cutoff must be multiplied to be what came, in a horizon of
        equal length.
    what : str
        The name of what is counted, for the note.
    """
    return _of_errors(_days(pd.Series(cutoffs)), np.mean(np.log(errors), axis=0), what)


def totals_right(actual: Floats, expected: Floats, cutoff: npt.NDArray[np.intp]) -> Floats:
    """For each cutoff, by what expectations (n,) must be multiplied for their total to be what came (n_cutoffs,)."""
    ratio = np.bincount(cutoff, actual) / np.bincount(cutoff, expected)
    return np.asarray(np.clip(ratio, np.exp(-_MOST), np.exp(_MOST)), np.float64)


def _of_errors(day: Floats, error: Floats, rate: str, *, event: bool = False) -> Season:
    if len(day) < FEWEST_CUTOFFS:
        return Season(note=f"No season: it takes {FEWEST_CUTOFFS} cutoffs to tell one.", event=event)
    design = np.column_stack([np.ones(len(day)), _wave(day)])
    level, cosine, sine = np.linalg.lstsq(design, error, rcond=None)[0]
    fitted = design @ (level, cosine, sine)
    irregular = float(((error - fitted) ** 2).sum()) / (len(day) - 3)
    wave = float(((fitted - fitted.mean()) ** 2).sum()) / 2
    kept = max(0.0, 1 - irregular / wave) if wave else 0.0
    if kept == 0:
        return Season(note="No season: errors of the cutoffs follow no yearly wave.", event=event)
    height = float(np.exp(kept * np.hypot(cosine, sine)))
    seen = f"{height:.2f} times the usual at the height of the year: {kept:.0%} of the wave seen"
    note = f"The rate of {rate} is {seen}. Forecasts follow it."
    cosine, sine = (significant(kept * float(part), FITTED, FINEST) for part in (cosine, sine))
    return Season(float(day[0]), float(day[-1]), cosine, sine, note, event)


def levelled(happened: Floats, probability: Floats, cutoff: npt.NDArray[np.intp], *, event: bool = False) -> Floats:
    """Probabilities (n,) shifted at each cutoff to its share of what came true: what is left is their order and spread.

    So models are compared where a season sets their level.
    """
    shift = _levels(happened, probability, cutoff, event)
    return clip_probability(probabilities(_probability(_log_rate(probability, event) + shift[cutoff], event)))


def seasonal(panel: Panel, horizon_days: int, lead_days: int) -> bool:
    """Whether a season can set the level: horizons are complete, and the time of the next was seen a year ago."""
    complete = bool((panel.table["horizon_days"] == horizon_days).all())
    return complete and season_seen(panel.table["cutoff"], horizon_days + lead_days)


def cutoff_of(table: AnyTable) -> Times:
    """The column `cutoff` of a table (n_rows,).

    Raises
    ------
    MissingFeatures
        If there is none.
    """
    if "cutoff" not in table:
        raise MissingFeatures("The table lacks `cutoff`, the time as of which each row's features were computed.")
    return table["cutoff"]


def season_seen(cutoff: pd.Series, ahead_days: float) -> bool:
    """Whether the season `ahead_days` after the last cutoff was seen a whole number of years before."""
    day = np.unique(_days(cutoff))
    return len(day) >= FEWEST_CUTOFFS and bool(_seen(day[-1:] + ahead_days, day[0], day[-1])[0])


def _days(cutoff: Times) -> Floats:
    if isinstance(cutoff, np.ndarray):  # of few rows pandas takes longer than a model to predict
        return np.asarray((cutoff - np.datetime64(0, "D")) / np.timedelta64(1, "D"), np.float64)
    return np.asarray((pd.to_datetime(cutoff, utc=True) - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(days=1), np.float64)


def _seen(day: Floats, first: float, last: float) -> npt.NDArray[np.bool_]:
    """Whether a day lies one or more whole years after the known span."""
    years = np.maximum(1, np.ceil((day - last - NEAR_DAYS) / YEAR_DAYS))
    return np.asarray(day - years * YEAR_DAYS >= first - NEAR_DAYS)


def _wave(day: Floats) -> Floats:
    """Cosine and sine of the time of the year, shape (n, 2)."""
    phase = 2 * np.pi * day / YEAR_DAYS
    return np.column_stack([np.cos(phase), np.sin(phase)])


def _log_rate(probability: Floats, event: bool) -> Floats:
    """Log of the expected number of events in the horizon, of a chance that there is one, or that there is none."""
    p = clip_probability(probability)
    return np.asarray(np.log(-np.log1p(-p) if event else -np.log(p)), np.float64)


def _probability(log_rate: Floats, event: bool) -> Floats:
    none = np.exp(-np.exp(log_rate))
    return np.asarray(1 - none if event else none, np.float64)


def _levels(happened: Floats, probability: Floats, cutoff: npt.NDArray[np.intp], event: bool) -> Floats:
    """For each cutoff, what must be added to log rates for the mean probability to be the share of what came true."""
    log_rate = _log_rate(probability, event)
    rows = [cutoff == k for k in range(cutoff.max() + 1)]
    return np.array([_level(log_rate[at], float(happened[at].mean()), event) for at in rows])


def _level(log_rate: Floats, share: float, event: bool) -> float:
    """The same for one cutoff, at most 5 either way."""

    def off(shift: float) -> float:
        return float(_probability(log_rate + shift, event).mean()) - share

    low, high = off(-_MOST), off(_MOST)
    if low * high >= 0:
        return float(np.copysign(_MOST, -off(0.0) if event else off(0.0)))
    return float(brentq(off, -_MOST, _MOST, xtol=1e-14))
