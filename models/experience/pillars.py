"""Six pillars and three levels of experience as an index of 0 to 100: of a customer, of a group, and its trend.

The index is good touchpoints out of a hundred. A customer's is shrunk to the base by exposure; a group's is its share.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl
from scipy.special import ndtri

from fedelta.features.contract import LEVELS, PILLARS
from fedelta.models.experience.exposure import DIMENSIONS, EXPERIENCE, Tally
from fedelta.models.experience.shrinkage import TAIL, Floats, Integers, Prior, beta_interval, fit_prior, shrunk

COLUMNS: dict[str, str] = {
    EXPERIENCE: "experience_index",
    **{name: f"pillar_{name}" for name in PILLARS},
    **{name: f"level_{name}" for name in LEVELS},
}

FEWEST = 30  # touchpoints in either period below which no trend is reported

Counts = pl.DataFrame | Mapping[str, pl.Series | Integers]  # columns by name
Trend = Literal["better", "worse", "no change", "too few touchpoints"]


@dataclass(frozen=True)
class Change:
    """The index of the last 90 days, that of the 90 before, and their difference with a 90% interval, in points."""

    recent: float | None
    before: float | None
    change: float | None
    low: float | None
    high: float | None
    says: Trend


@dataclass(frozen=True)
class GroupIndex:
    """Good touchpoints out of a hundred in a group, with a 90% interval that minds how customers differ."""

    customers: int
    touchpoints: int
    index: float
    low: float
    high: float
    trend: Change


def priors(counts: Counts) -> dict[str, Prior]:
    """What the base expects of each pillar and level that was exercised at all, and of experience as a whole."""
    held = {name: _held(counts, name) for name in DIMENSIONS}
    return {name: fit_prior(*_known(n, good)) for name, (n, good) in held.items() if n.any()}


def customer_indexes(counts: Counts, base: Mapping[str, Prior], *, intervals: bool = True) -> pl.DataFrame:
    """`index_columns` as a table with `customer_id`; null where never exercised."""
    columns = index_columns(counts, base, intervals=intervals)
    return pl.DataFrame({"customer_id": counts["customer_id"], **columns}, nan_to_null=True)


def index_columns(counts: Counts, base: Mapping[str, Prior], *, intervals: bool = True) -> dict[str, Floats]:
    """Index of every customer: `COLUMNS`, each with `_low` and `_high`; NaN where never exercised.

    `counts` are those of `models.experience.exposure.customer_counts`. Without `intervals` there are the indexes alone.

    A pillar's index is the posterior mean given the base's prior and the customer's own touchpoints; the interval holds
    90% of the posterior. The experience index is the mean of the pillars' weighted by the customer's touchpoints in
    each; its interval is that of the Beta distribution of its mean and variance, the pillars taken as independent.
    """
    columns: dict[str, Floats] = {}
    weighted = np.zeros((3, len(counts["customer_id"])))  # touchpoints; times the mean; squared times the variance
    for name in (*PILLARS, *LEVELS):
        n, good = _held(counts, name)
        if name not in base:
            columns |= _columns(COLUMNS[name], np.full((3, len(n)), np.nan))
            continue
        mean, weight = shrunk(base[name], n, good)
        ends = beta_interval(mean, weight) if intervals else ()
        columns |= _columns(COLUMNS[name], np.where(n > 0, [mean, *ends], np.nan))
        if name in PILLARS:
            weighted += np.array([n, n * mean, n**2 * mean * (1 - mean) / (weight + 1)])
    with np.errstate(invalid="ignore", divide="ignore"):
        mean, variance = weighted[1] / weighted[0], weighted[2] / weighted[0] ** 2
        weight = mean * (1 - mean) / variance - 1
    columns |= _columns(COLUMNS[EXPERIENCE], np.array([mean, *(beta_interval(mean, weight) if intervals else ())]))
    order = [f"{name}{end}" for name in COLUMNS.values() for end in (("", "_low", "_high") if intervals else ("",))]
    return {name: np.round(columns[name], 2) for name in order}


def group_index(held: Tally, prior: Prior) -> GroupIndex:
    """Index of a group with at least one touchpoint, and its trend.

    The interval is Jeffreys' for as many independent touchpoints as the group's are worth: their number over the design
    effect (Korn & Graubard 1998, Survey Methodology 24(2)), the larger of the one measured with customers as clusters
    and the one that the prior's correlation implies, so that a small group without a bad touchpoint is not taken for
    certain.
    """
    n, good = held.sums[:2]
    share = float(good / n)
    implied = 1 + (held.products[0, 0] / n - 1) * prior.correlation
    binomial = share * (1 - share) / n
    measured = _variance(held, np.array([-share, 1, 0, 0, 0, 0]) / n) / binomial if binomial else 1.0
    worth = np.array([n / max(implied, measured, 1.0)])
    low, high = beta_interval((share * worth + 0.5) / (worth + 1), worth + 1)
    return GroupIndex(
        customers=held.customers,
        touchpoints=int(n),
        index=100 * share,
        low=100 * float(low[0]) if good else 0.0,
        high=100 * float(high[0]) if good < n else 100.0,
        trend=_change(held, prior),
    )


def _change(held: Tally, prior: Prior) -> Change:
    n, good = held.sums[2::2], held.sums[3::2]
    recent, before = (100 * float(g / k) if k else None for g, k in zip(good, n, strict=True))
    if recent is None or before is None or n.min() < FEWEST:
        return Change(recent, before, None, None, None, "too few touchpoints")
    shares = good / n
    measured = _variance(held, np.array([0, 0, -shares[0] / n[0], 1 / n[0], shares[1] / n[1], -1 / n[1]]))
    # As the prior implies it: every customer's own share is the same in both periods.
    uneven = np.array([0, 0, 1 / n[0], 0, -1 / n[1], 0])
    together = (good.sum() + 0.5) / (n.sum() + 1)
    within = (1 - prior.correlation) * (1 / n).sum()
    implied = together * (1 - together) * (within + prior.correlation * (uneven @ held.products @ uneven))
    change = recent - before
    margin = -100 * float(ndtri(TAIL)) * float(np.sqrt(max(measured, implied)))
    says: Trend = "no change" if abs(change) <= margin else "better" if change > 0 else "worse"
    return Change(recent, before, change, change - margin, change + margin, says)


def _variance(held: Tally, weights: Floats) -> float:
    """Sampling variance of a sum over customers of weighted counts whose expectation is zero."""
    m = held.customers
    return float(weights @ held.products @ weights) * (m / (m - 1) if m > 1 else 1.0)


def _held(counts: Counts, name: str) -> tuple[Integers, Integers]:
    """Touchpoints and good ones of every customer."""
    names = PILLARS if name == EXPERIENCE else (name,)
    n, good = (sum(np.asarray(counts[f"{each}_{kind}"], np.int64) for each in names) for kind in ("n", "good"))
    return np.asarray(n, np.int64), np.asarray(good, np.int64)


def _known(n: Integers, good: Integers) -> tuple[Integers, Integers]:
    return n[n > 0], good[n > 0]


def _columns(name: str, shares: Floats) -> dict[str, Floats]:
    """Index and interval in points."""
    return {f"{name}{end}": 100 * share for end, share in zip(("", "_low", "_high"), shares, strict=False)}
