"""How much a single column tells of the outcome, at every cutoff and over all.

A state written at the moment of leaving had an AUC of .925 to .970 at training cutoffs and .997 at the last, and yet
.9525 over all: so each cutoff is judged by itself.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from fedelta.models.leakage.leaky_bins import Binned, Floats, Mask, Rows, binnings, ordered

TELLING_AUC = 0.97  # no single column of a clean history orders churners and stayers so well
AGREEMENT = 0.9  # Matthews correlation of one column's guess with the outcome
HONEST_AUC = 0.93  # that of one cutoff must lie above it by three standard errors: some sixty of each outcome
LEAST = 30  # of each outcome; with fewer, what looks like a pattern may be chance
_ERRORS = 3.0


@dataclass(frozen=True)
class Telling:
    """How much a column alone tells of the outcome."""

    area: Mapping[str, float]  # AUC by the name of the cutoff, "" for all together; of 30 and more of each outcome
    agreed: Mapping[str, float]  # Matthews correlation of its guess with the outcome, the same way
    high: Collection[str]  # the cutoffs at which the AUC is significantly above HONEST_AUC, and ""

    def exceeding(self, silence: "Telling | None") -> str | None:
        """The cutoff at which it tells most, if that is too much; None if it is not.

        With `silence`, it must also leave open less than half of what days of silence and tenure leave open: where
        customers come daily, who was silent for a week has left, honestly.
        """
        over = {
            name: max(self.area[name], self.agreed[name])
            for name in self.high
            if self.area[name] > _limit(TELLING_AUC, silence.area.get(name, 0) if silence else 0)
            or self.agreed[name] > _limit(AGREEMENT, silence.agreed.get(name, 0) if silence else 0)
        }
        return max(over, key=lambda name: over[name], default=None)


def telling(column: pd.Series, rows: Rows) -> Telling:
    """How much a column tells at each cutoff that has enough of both outcomes, and over all."""
    score, tables = ordered(column), [_counts(held, rows) for held in binnings(column)]
    area: dict[str, float] = {}
    agreed: dict[str, float] = {}
    high = []
    for name, mask in rows.groups():
        leavers = rows.churned[mask].sum()
        stayers = mask.sum() - leavers
        if min(leavers, stayers) < LEAST:
            continue
        at = [rows.names.index(name)] if name else slice(None)
        area[name], agreed[name] = _area(rows.churned[mask], score[mask]), 0.0
        for count, left in tables:
            n, gone = count[at].sum(axis=0), left[at].sum(axis=0)
            rate = (gone[::-1] + leavers / mask.sum()) / (n[::-1] + 1)  # among the other half
            area[name] = max(area[name], _area_of_bins(rate, gone, n - gone))
            agreed[name] = max(agreed[name], _matthews(rate > 0.5, gone, n - gone))
        if not name or _significantly_high(area[name], leavers, stayers):
            high.append(name)
    return Telling(area, agreed, high)


def strongest(columns: pd.DataFrame, rows: Rows) -> Telling:
    """The most that any one of some columns tells, at each cutoff."""
    found = [telling(columns[name], rows) for name in columns]
    names = [name for name, _ in rows.groups()]
    area = {name: max((evidence.area.get(name, 0) for evidence in found), default=0) for name in names}
    agreed = {name: max((evidence.agreed.get(name, 0) for evidence in found), default=0) for name in names}
    return Telling(area, agreed, names)


def _counts(held: Binned, rows: Rows) -> tuple[Floats, Floats]:
    """How many rows, and how many that left, by cutoff, half of the customers and bin (n_cutoffs, 2, n_codes)."""
    shape = (len(rows.names), 2, held.size)
    key = (rows.cutoff * 2 + rows.half) * held.size + held.codes
    size = len(rows.names) * 2 * held.size
    count = np.bincount(key, minlength=size).astype(np.float64)
    left = np.bincount(key, weights=rows.churned, minlength=size).astype(np.float64)
    return count.reshape(shape), left.reshape(shape)


def _limit(limit: float, silence: float) -> float:
    return max(limit, (1 + silence) / 2)


def _area(churned: Floats, score: Floats) -> float:
    """AUC of a score in the direction in which it orders better."""
    rank, leavers = rankdata(score), churned.sum()
    pairs = leavers * (len(churned) - leavers)
    area = float((rank[churned > 0].sum() - leavers * (leavers + 1) / 2) / pairs)
    return max(area, 1 - area)


def _area_of_bins(score: Floats, left: Floats, stayed: Floats) -> float:
    """AUC of bins that share a score, of which so many left and stayed."""
    _, place = np.unique(score, return_inverse=True)
    gone = np.bincount(place.ravel(), weights=left.ravel())
    here = np.bincount(place.ravel(), weights=stayed.ravel())
    below = np.cumsum(here) - here / 2
    return float((gone * below).sum() / (gone.sum() * here.sum()))


def _significantly_high(area: float, leavers: float, stayers: float) -> bool:
    """Whether an AUC lies above HONEST_AUC by three of its standard errors (Hanley and McNeil 1982, equation 1)."""
    a = HONEST_AUC
    error = a * (1 - a) + (leavers - 1) * (a / (2 - a) - a**2) + (stayers - 1) * (2 * a**2 / (1 + a) - a**2)
    return bool(area - a > _ERRORS * np.sqrt(error / (leavers * stayers)))


def _matthews(guessed: Mask, left: Floats, stayed: Floats) -> float:
    """Matthews correlation of a guess for each bin with what its rows did, whatever its sign."""
    tp, fp, fn, tn = left[guessed].sum(), stayed[guessed].sum(), left[~guessed].sum(), stayed[~guessed].sum()
    sides = (tp + fp) * (fn + tn) * (tp + fn) * (fp + tn)
    return float(abs(tp * tn - fp * fn) / np.sqrt(sides)) if sides else 0.0
