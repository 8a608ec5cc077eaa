"""Intervals that cover as often as they say: quantiles of what forecasts of held-out rows missed by, and the proof."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

Floats = npt.NDArray[np.float64]

NOMINAL = 0.9
DECILES = 10
SHARED = 0.03  # by which intervals that reach above 0 may miss more than their share, where others never miss
FEWEST = 100  # held-out rows in a bin; with fewer of them, bins are wider
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Decile:
    """Rows of about equal expectation."""

    rows: int
    expected: float
    covered: float


@dataclass(frozen=True)
class Coverage:
    """Share of rows whose outcome lay within its interval, overall and from the lowest tenth of expectations up.

    Where more than nine in ten spend nothing, even the interval of nothing but 0 holds more than it should:
    ``covered_above_0`` leaves such intervals out.
    """

    nominal: float
    rows: int
    covered: float
    covered_above_0: float | None  # of rows whose interval reaches above 0; None if there are none
    deciles: tuple[Decile, ...]

    def to_dict(self) -> dict[str, object]:
        """As JSON."""
        return {**asdict(self), "deciles": [asdict(decile) for decile in self.deciles]}

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> "Coverage":
        """Back from JSON."""
        return cls(**{**document, "deciles": tuple(Decile(**decile) for decile in document["deciles"])})


@dataclass(frozen=True)
class Intervals:
    """Ends of an interval as multiples of the expectation, by how much is expected.

    Split conformal prediction (Vovk, Gammerman & Shafer 2005) of the ratio of outcome to expectation, by bins of the
    expectation (Mondrian: Vovk et al. 2003), so that coverage holds for small customers and for large ones.
    """

    edges: tuple[float, ...]  # expectations between bins, ascending
    low: tuple[float, ...]  # one more than edges
    high: tuple[float, ...]
    note: str
    coverage: Coverage | None = None  # of rows held out, each by intervals from other cutoffs; None: not measured

    def of(self, expected: Floats) -> tuple[Floats, Floats]:
        """Lower and upper ends, each of shape (n,), of outcomes whose expectations are given."""
        at = np.searchsorted(self.edges, expected, side="right")
        return expected * np.asarray(self.low)[at], expected * np.asarray(self.high)[at]

    def to_dict(self) -> dict[str, object]:
        """As JSON."""
        ends = {name: list(getattr(self, name)) for name in ("edges", "low", "high")}
        return {**ends, "note": self.note, "coverage": self.coverage and self.coverage.to_dict()}

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> "Intervals":
        """Back from JSON."""
        ends = {name: tuple(document[name]) for name in ("edges", "low", "high")}
        coverage = document["coverage"]
        return cls(**ends, note=document["note"], coverage=coverage and Coverage.from_dict(coverage))


def fit_intervals(
    actual: Floats, expected: Floats, group: npt.ArrayLike, *, widened: bool, nominal: float = NOMINAL
) -> Intervals | None:
    """Intervals from rows that the forecasts did not know; None where there are too few of them.

    Rows of cutoffs and customers that were learned from show less error than the future will: then the intervals are
    widened, to miss half as often as they may.

    Parameters
    ----------
    actual, expected : ndarray of shape (n,)
        Outcomes of at least 0, and expectations above 0.
    group : array-like of shape (n,)
        What rows are left out together to measure coverage: the cutoff, or a group of customers. Rows to come are taken
        to expect what those of the last in order do.
    widened : bool
    """
    if len(actual) < FEWEST:
        return None
    allowed = (1 - nominal) / 2 if widened else 1 - nominal
    codes = pd.factorize(np.asarray(group), sort=True)[0]
    found = _fit(actual, expected, codes, allowed)
    low, high = np.full(len(actual), np.nan), np.full(len(actual), np.nan)
    for code in range(codes.max() + 1):
        rest, rows = codes != code, codes == code
        if rest.sum() >= FEWEST:
            low[rows], high[rows] = _fit(actual[rest], expected[rest], codes[rest], allowed).of(expected[rows])
    known = np.isfinite(low)
    if not known.any():
        return replace(found, note=f"{found.note} Their coverage is not measured: there was a single group of rows.")
    measured = coverage(actual[known], low[known], high[known], expected[known], nominal)
    why = " Widened to miss half as often, as no row was later than what was learned from." if widened else ""
    return replace(found, note=found.note + why, coverage=measured)


def coverage(actual: Floats, low: Floats, high: Floats, expected: Floats, nominal: float = NOMINAL) -> Coverage:
    """How often intervals of shape (n,) hold what happened; both ends belong to them."""
    inside = (low <= actual) & (actual <= high)
    order = np.argsort(expected, kind="stable")
    deciles = tuple(
        Decile(len(rows), float(expected[rows].mean()), float(inside[rows].mean()))
        for rows in np.array_split(order, min(DECILES, len(order)))
    )
    above = high > 0
    return Coverage(
        nominal, len(actual), float(inside.mean()), float(inside[above].mean()) if above.any() else None, deciles
    )


def _fit(actual: Floats, expected: Floats, group: npt.NDArray[np.intp], allowed: float) -> Intervals:
    """Ends for each bin such that the share ``allowed`` of its ratios lies outside.

    A bin in which more than nine in ten spend nothing gets the interval [0, 0], which covers more than it should. The
    other bins therefore cover less, by `SHARED` at most, so that coverage is right overall and intervals are narrower.
    How many lie in which bin is taken from the last group: the older a base, the more of it has left.
    """
    bins = int(np.clip(len(actual) // FEWEST, 1, DECILES))
    edges = np.unique(np.quantile(expected, np.arange(1, bins) / bins, method="higher"))
    edges = edges[edges > expected.min()]  # each is the least expectation of its bin, so that none is empty
    at = np.searchsorted(edges, expected, side="right")
    ratios = [(actual / expected)[at == number] for number in range(len(edges) + 1)]
    ends = [_ends(own, allowed) for own in ratios]
    held = np.array([((low <= own) & (own <= high)).mean() for own, (low, high) in zip(ratios, ends, strict=True)])
    newest = at[group == group.max()]
    to_come = np.bincount(newest, minlength=len(ratios)) / len(newest)
    reaching = to_come[[high > 0 for _, high in ends]].sum()
    shared = min(SHARED, max(0.0, to_come @ held - (1 - allowed)) / reaching) if reaching else 0.0
    ends = [_ends(own, allowed + shared) if end[1] > 0 else end for own, end in zip(ratios, ends, strict=True)]
    low, high = zip(*ends, strict=True)
    return Intervals(
        tuple(edges.tolist()), low, high, f"From {len(actual):,} rows held out, in {len(ends)} bins of expected spend."
    )


def _ends(ratio: Floats, allowed: float) -> tuple[float, float]:
    """Where nothing is spent often enough, the lower end is 0 and all misses are allowed above."""
    ratio, n = np.sort(ratio), len(ratio)
    below = int(np.floor((n + 1) * allowed / 2 + _ROUNDING))
    low = float(ratio[below - 1]) if below else 0.0
    above = int(np.ceil((n + 1) * (1 - (allowed / 2 if low else allowed)) - _ROUNDING))
    return low, float(ratio[min(above, n) - 1])
