"""How many leave by how many bad experiences they had, where a table holds counts and no times.

A curve of what is recorded, not of an effect: customers with more bad experiences may differ in other ways.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

Floats = npt.NDArray[np.float64]

LAST = 6  # a count that stands for higher ones too
FEWEST = 20  # customers of a step; a step of fewer is joined with the one below it
_LEVEL = 0.95


@dataclass(frozen=True)
class Step:
    """Customers of one number of bad experiences (or of several numbers), and the share of them that left."""

    least: int
    most: int | None  # None: or more
    customers: int
    churned: int
    share: float
    low: float  # low to high: a 95% interval
    high: float

    @property
    def name(self) -> str:
        """The number in words."""
        if self.most is None:
            return f"{self.least} or more"
        return f"{self.least}" if self.least == self.most else f"{self.least} to {self.most}"


@dataclass(frozen=True)
class Curve:
    """The steps of one column, fewest first; `unknown` customers have no value in it. `says` is the curve in words."""

    steps: tuple[Step, ...]
    unknown: int
    difference: float | None  # of all later steps minus the first, with a 95% interval; None with a single step
    low: float | None
    high: float | None
    says: str


def outcome_by_count(count: Floats, churned: Floats, what: str) -> Curve:
    """The curve of one column over labelled customers.

    Parameters
    ----------
    count : ndarray of shape (n,)
        How many bad experiences, or 1 for any; NaN where unknown. What is below 1 is none: a delivery may be early.
    churned : ndarray of shape (n,)
        1 for customers who left.
    what : str
        What is counted, in words.
    """
    known = ~np.isnan(count)
    number = np.clip(np.floor(count[known]), 0, LAST).astype(np.intp)
    left = churned[known]
    edges = _edges(np.bincount(number, minlength=LAST + 1))
    highest = int(np.floor(count[known].max())) if known.any() else 0
    steps = []
    for i, least in enumerate(edges):
        following = edges[i + 1] if i + 1 < len(edges) else None
        rows = (number >= least) & (number < (LAST + 1 if following is None else following))
        most = int(number[rows].max()) if following is not None or highest <= least else None
        steps.append(_step(least, most, int(rows.sum()), int(left[rows].sum())))
    unknown = int((~known).sum())
    if len(steps) < 2:
        return Curve(tuple(steps), unknown, None, None, None, f"Too few customers differ in {what} to compare them.")
    first, later = steps[0], steps[1:]
    most = later[0].most if len(later) == 1 else None
    more = _step(later[0].least, most, sum(s.customers for s in later), sum(s.churned for s in later))
    value, low, high = _difference(more, first)
    verdict = "significantly more" if low > 0 else "significantly fewer" if high < 0 else "no significant difference"
    between = f"({100 * value:+.1f} points [{100 * low:+.1f}, {100 * high:+.1f}])"
    says = (
        f"{what[:1].upper()}{what[1:]}: {more.share:.1%} of customers with {more.name} left, {first.share:.1%} of "
        f"those with {first.name}: {verdict} {between}.{_from(steps)}"
    )
    return Curve(tuple(steps), unknown, value, low, high, says)


def _from(steps: list[Step]) -> str:
    """From which number on significantly more, or fewer, left than at the lowest; empty if from none or from all."""
    first, last = steps[0], steps[-1]
    signs = [int(low > 0) - int(high < 0) for _, low, high in (_difference(step, first) for step in steps[1:])]
    start = next((i for i in range(len(signs)) if signs[i] and len(set(signs[i:])) == 1), None)
    if not start:
        return ""
    word = "more" if signs[start] > 0 else "fewer"
    return (
        f" From {steps[start + 1].least} on significantly {word} left than of those with {first.name}: "
        f"{last.share:.1%} of those with {last.name}."
    )


def _edges(customers: npt.NDArray[np.intp]) -> list[int]:
    """The least number of each step: numbers of too few customers are joined with those below."""
    met = np.flatnonzero(customers).tolist()
    edges: list[int] = met[:1]
    for number in met[1:]:
        if customers[number:].sum() >= FEWEST and customers[edges[-1] : number].sum() >= FEWEST:
            edges.append(number)
    return edges


def _step(least: int, most: int | None, customers: int, churned: int) -> Step:
    low, high = wilson(churned, customers)
    return Step(least, most, customers, churned, churned / max(customers, 1), low, high)


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """The 95% interval of a share (Wilson 1927, J. Am. Stat. Assoc. 22)."""
    if not trials:
        return 0.0, 1.0
    z, p = float(ndtri(0.5 + _LEVEL / 2)), successes / trials
    centre, root = p + z**2 / (2 * trials), z * np.sqrt(p * (1 - p) / trials + z**2 / (4 * trials**2))
    scale = 1 + z**2 / trials
    return float(max((centre - root) / scale, 0.0)), float(min((centre + root) / scale, 1.0))


def _difference(one: Step, other: Step) -> tuple[float, float, float]:
    """Difference of two shares with its 95% interval (Newcombe 1998, Stat. Med. 17, method 10)."""
    value = one.share - other.share
    low = value - np.hypot(one.share - one.low, other.high - other.share)
    high = value + np.hypot(one.high - one.share, other.share - other.low)
    return value, float(low), float(high)
