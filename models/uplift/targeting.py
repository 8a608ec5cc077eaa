"""How good an order of customers is for contacting them: the targeting curve, RATE and Qini, with bootstrap intervals.

Yadlowsky, Fleming, Shah, Brunskill & Wager (2021): TOC(u) is the mean effect among the first share u minus that of all;
AUTOC is its mean over u, Qini its mean weighted by u. Both come from doubly robust scores, so they are measured, not
modelled. An order that knows nothing has 0.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fedelta.models.metrics.bootstrap import Interval
from fedelta.models.rounding import FIGURE, FINEST, significant

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.intp]
METRICS = ("autoc", "qini")
_POINTS = 50


@dataclass(frozen=True)
class Targeting:
    """Orders of the same customers, on all of them and on resamples: ``figures[order][metric]`` of shape (1 + n,)."""

    figures: Mapping[str, Mapping[str, Floats]]

    def interval(self, order: str, metric: str, level: float = 0.95) -> Interval:
        """A metric of an order."""
        return _interval(self.figures[order][metric], level)

    def difference(self, metric: str, one: str, other: str, level: float = 0.95) -> Interval:
        """How much better an order is than another, resample by resample."""
        return _interval(self.figures[one][metric] - self.figures[other][metric], level)


def targeting(scores: Floats, orders: Mapping[str, Floats], *, draws: int = 200, seed: int = 7) -> Targeting:
    """Measure orders of customers.

    Parameters
    ----------
    scores : ndarray of shape (n,)
        Doubly robust scores, `models.uplift.learners.aipw`, from models that did not see the customer.
    orders : mapping of name to ndarray of shape (n,)
        Priorities, the highest first, that do not know the customer's outcome either. Equal ones come in random order.
    """
    placed = {name: place(priority, seed) for name, priority in orders.items()}
    rng = np.random.default_rng(seed)
    figures = np.empty((len(orders), 1 + draws, len(METRICS)))
    n = len(scores)
    for draw in range(1 + draws):
        weight = np.bincount(rng.integers(n, size=n), minlength=n).astype(np.float64) if draw else np.ones(n)
        for number, order in enumerate(placed.values()):
            figures[number, draw] = _measure(scores[order], weight[order])
    figures = significant(figures, FIGURE, FINEST)
    return Targeting(
        {name: dict(zip(METRICS, figures[i].T, strict=True)) for i, name in enumerate(orders)}
    )  # each (1 + draws,)


def curve(scores: Floats, priority: Floats, *, seed: int = 7) -> list[tuple[float, float]]:
    """What contacting the first share u brings per customer of the base, at 51 shares from 0 to 1: (u, u × effect)."""
    ordered = scores[place(priority, seed)]
    gained = np.append(0.0, np.cumsum(ordered)) / len(ordered)
    at = np.round(np.linspace(0, len(ordered), _POINTS + 1)).astype(np.intp)
    return [(float(k / len(ordered)), float(gained[k])) for k in at]


def place(priority: Floats, seed: int = 7) -> Integers:
    """Positions of the customers by falling priority, equal ones in random order (n,)."""
    shuffled = np.random.default_rng(seed).permutation(len(priority))
    return np.asarray(shuffled[np.argsort(-priority[shuffled], kind="stable")], np.intp)


def first_share(priority: Floats, share: float) -> npt.NDArray[np.bool_]:
    """Whether a customer is among the first `share` (n,)."""
    chosen = np.zeros(len(priority), np.bool_)
    chosen[place(priority)[: round(share * len(priority))]] = True
    return chosen


def _measure(scores: Floats, weight: Floats) -> tuple[float, float]:
    reached = np.cumsum(weight)
    total = reached[-1]
    mean = np.cumsum(weight * scores)
    toc = np.divide(mean, reached, out=np.zeros_like(mean), where=reached > 0) - mean[-1] / total
    return float((weight * toc).sum() / total), float((weight * toc * reached).sum() / total**2)


def _interval(figures: Floats, level: float) -> Interval:
    low, high = np.quantile(figures[1:], [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(figures[0]), float(low), float(high))
