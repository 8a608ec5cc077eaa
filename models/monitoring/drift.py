"""Whether a change is out of the ordinary: distances between months, judged by those that the past showed itself."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import beta, t, wasserstein_distance

Floats = npt.NDArray[np.float64]

LEAST_PAST = 6  # changes of the past that tell what is usual; with fewer nothing is judged
RUNS = 12  # of the budget of false alarms: a year of months
_CELLS = 10
_SURE = 0.95


@dataclass(frozen=True)
class Bins:
    """Where values are counted: in cells fixed by a reference, open below and closed above, and apart where unknown."""

    edges: Floats  # ascending

    @classmethod
    def of(cls, reference: Floats) -> "Bins":
        """Its deciles, or each value a cell if it has no more than ten; NaN is unknown."""
        distinct = np.unique(reference[~np.isnan(reference)])
        if len(distinct) <= _CELLS:
            return cls(distinct[:-1])
        shares = np.arange(1, _CELLS) / _CELLS
        return cls(np.unique(np.nanquantile(reference, shares, method="inverted_cdf")))

    def counts(self, values: Floats) -> Floats:
        """How many values each cell holds, (n_edges + 2,); last the unknown ones."""
        cell = np.where(np.isnan(values), len(self.edges) + 1, np.searchsorted(self.edges, values))
        return np.bincount(cell, minlength=len(self.edges) + 2).astype(np.float64)


def psi(reference: Floats, present: Floats) -> Floats:
    """Population stability index of counts in the same cells, (..., n_cells) -> (...): 0 for equal shares.

    Sum of (q - p) ln(q / p) over the cells, in nats: the symmetric divergence of Jeffreys (1946). Half a row is added
    to every cell, so that an empty one is not infinitely far.
    """
    p, q = ((counts + 0.5) / (counts + 0.5).sum(axis=-1, keepdims=True) for counts in (reference, present))
    return np.asarray(((q - p) * np.log(q / p)).sum(axis=-1))


def psi_noise(reference: Floats, present: Floats) -> Floats:
    """What the index comes to by chance between two samples of one population: (cells - 1)(1/n + 1/m).

    Yurdakul (2018), Statistical Properties of Population Stability Index. Of samples that share customers it is less.
    A constant counts as two cells, so that the noise is never 0 and a change can be divided by it.
    """
    used = np.maximum(((reference + present) > 0).sum(axis=-1), 2)
    return np.asarray((used - 1) * (1 / reference.sum(axis=-1) + 1 / present.sum(axis=-1)))


def shift(reference: Floats, present: Floats) -> float | None:
    """Wasserstein distance of the known values, in standard deviations of the reference; None where it has none."""
    before, now = (values[~np.isnan(values)] for values in (reference, present))
    if not (before.size and now.size and before.std() > 0):
        return None
    return float(wasserstein_distance(before, now) / before.std())


def times_record(steps: Floats, noise: Floats) -> Floats:
    """Each step over the largest of the other past steps of its own row, (n_rows, n_steps), newest first.

    The newest is measured by the past, a past one by the rest of it, as many of them, so that all are measured in the
    same way. A row with rare bursts has them in its record. ``noise``, (n_rows,), is what a step comes to by chance
    alone: steps as small as that are equal.
    """
    floor = noise[:, None]
    return np.asarray((steps + floor) / (_others(steps).max(axis=2) + floor))


def standard_errors(steps: Floats, noise: Floats) -> Floats:
    """How far each signed step lies from the mean of the other past steps of its row, in standard errors.

    Shapes and order as `times_record`; ``noise``, (n_rows, n_steps), is the variance of a step by chance alone, below
    which no error is believed.
    """
    others = _others(steps)
    variance = np.maximum(others.var(axis=2, ddof=1) * (1 + 1 / others.shape[2]), noise)
    return np.asarray((steps - others.mean(axis=2)) / np.sqrt(variance))


@dataclass(frozen=True)
class Judged:
    """A figure and the limit that the past sets to it; without a limit (None) there was too little past to tell."""

    value: float
    usual: float | None  # median of the past
    limit: float | None
    past: int  # figures of the past

    @property
    def alarm(self) -> bool | None:
        """Whether the figure is beyond its limit; None where that is unknown."""
        return None if self.limit is None else self.value > self.limit


def judge(figures: Floats, chance: float) -> Judged:
    """The newest of positive figures, (n,), newest first, judged by the others.

    The limit is what one more figure of the same log-normal distribution exceeds with this chance (prediction interval:
    Hahn & Meeker 1991, chapter 4), and never below the highest that has been seen.
    """
    value, past = float(figures[0]), figures[1:]
    if len(past) < LEAST_PAST:
        return Judged(value, float(np.median(past)) if len(past) else None, None, len(past))
    logs = np.log(np.maximum(past, np.finfo(float).tiny))
    reach = t.ppf(1 - chance, len(past) - 1) * logs.std(ddof=1) * np.sqrt(1 + 1 / len(past))
    limit = max(float(np.exp(logs.mean() + reach)), float(past.max()))
    return Judged(value, float(np.median(past)), limit, len(past))


def chance_per_check(false_alarms: int, checks: int) -> float:
    """Chance of a false alarm that each of a run's checks may have, for the year's budget to hold.

    More than `false_alarms` of 12 runs are alarmed falsely in one year of twenty (Clopper & Pearson 1934), if the
    checks of a run never agree (Bonferroni).
    """
    return float(beta.ppf(1 - _SURE, false_alarms + 1, RUNS - false_alarms)) / checks


def _others(steps: Floats) -> Floats:
    """Per step the past steps but itself, (n_rows, n_steps, n_past - 1); of the newest, the past bar the oldest."""
    past = np.arange(1, steps.shape[1])
    chosen = [past[:-1], *(past[past != k] for k in past)]
    return np.asarray(steps[:, np.array(chosen)])
