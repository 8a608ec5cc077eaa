"""What each group of customers gets: calibration, error rates and contacts, with intervals; and which differ.

Customers are resampled; every figure is a function of sums by group and stratum of risk, so a resample is a few sums.
A difference is significant by a normal test on the resamples' spread, at 5% over all tests together (Holm 1979): with
many groups one of twenty would otherwise seem unfair by chance.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import norm

from fedelta.models.fairness.groups import Groups
from fedelta.models.fairness.settings import FairnessSettings
from fedelta.models.metrics.bootstrap import Interval, Resampling
from fedelta.models.rounding import FIGURE, FINEST, significant

Floats = npt.NDArray[np.float64]
Booleans = npt.NDArray[np.bool_]

_STRATA = 10  # of risk, of equally many customers each
_LEAST_OUTCOMES = 20  # customers that left, or stayed, behind an error rate
_SUMS = ("customers", "probability", "churned", "contacted", "contacted_leaver", "profit")


@dataclass(frozen=True, eq=False)
class Decided:
    """Rows of one cutoff: what was predicted, what happened, and who would be contacted (all of shape (n_rows,))."""

    probability: Floats
    churned: Floats
    contacted: Booleans
    profit: Floats | None  # expected of the contacts, 0 where there is none; None where money is unknown


@dataclass(frozen=True)
class Figure:
    """A figure of a group, its interval and how likely so large a difference would be by chance; NaN where unknown."""

    interval: Interval
    p: float = float("nan")


@dataclass(frozen=True)
class GroupFigures:
    """What a group gets."""

    label: str
    customers: int
    figures: Mapping[str, Figure]


def measured(rows: Decided, groups: Groups, resampling: Resampling) -> list[GroupFigures]:
    """The figures of every group.

    `predicted`, `observed` and their `miscalibration` (predicted − observed); `false_positive_rate` (contacted of those
    who stay) and `false_negative_rate` (not contacted of those who leave); `contacted_share`; `contact_gap`, that share
    minus the others' at equal risk (in tenths of the probability, each weighted by the group's customers), and
    `contact_ratio`, of the two shares; `expected_profit` of contacts per customer of the group.
    """
    drawn = np.stack([_sums(rows, groups, weight) for weight in _weights(len(rows.churned), resampling)], axis=1)
    found = _figures(dict(zip(_SUMS, drawn, strict=True)), money=rows.profit is not None)
    sizes = np.bincount(groups.code[groups.code >= 0], minlength=len(groups.labels))
    return [
        GroupFigures(
            label,
            int(sizes[number]),
            {name: _figure(values[:, number], resampling.level) for name, values in found.items()},
        )
        for number, label in enumerate(groups.labels)
    ]


def _weights(n: int, resampling: Resampling) -> Iterator[Floats]:
    """How often each customer counts: once, then by each resample."""
    yield np.ones(n)
    rng = np.random.default_rng(resampling.seed)
    for _ in range(resampling.n):
        yield np.bincount(rng.integers(n, size=n), minlength=n).astype(np.float64)


def _sums(rows: Decided, groups: Groups, weight: Floats) -> Floats:
    """Weighted sums by group and stratum of risk: (n_sums, n_groups, n_strata)."""
    strata = _stratum(rows.probability)
    judged = groups.code >= 0
    cell = groups.code[judged] * _STRATA + strata[judged]
    size = len(groups.labels) * _STRATA
    contacted = rows.contacted.astype(np.float64)
    profit = np.zeros(len(weight)) if rows.profit is None else rows.profit
    columns = (
        np.ones(len(weight)), rows.probability, rows.churned, contacted, contacted * rows.churned, profit,
    )  # fmt: skip
    sums = [np.bincount(cell, (weight * column)[judged], size) for column in columns]
    return np.asarray(sums, np.float64).reshape(len(_SUMS), len(groups.labels), _STRATA)


def _stratum(probability: Floats) -> npt.NDArray[np.intp]:
    edges = np.quantile(probability, np.linspace(0, 1, _STRATA + 1)[1:-1])
    return np.asarray(np.searchsorted(edges, probability, side="right"), np.intp)


def _figures(sums: Mapping[str, Floats], *, money: bool) -> dict[str, Floats]:
    """Every figure of every group on all rows and on each resample: (1 + n_resamples, n_groups)."""
    total = {name: held.sum(axis=-1) for name, held in sums.items()}
    n, left = total["customers"], total["churned"]
    stayed = n - left
    predicted, observed = _over(total["probability"], n), _over(left, n)
    own, others = _at_equal_risk(sums)
    return {
        "predicted": predicted,
        "observed": observed,
        "miscalibration": predicted - observed,
        "false_positive_rate": _over(total["contacted"] - total["contacted_leaver"], stayed, _LEAST_OUTCOMES),
        "false_negative_rate": _over(left - total["contacted_leaver"], left, _LEAST_OUTCOMES),
        "contacted_share": _over(total["contacted"], n),
        "contact_gap": own - others,
        "contact_ratio": _over(own, others),
        **({"expected_profit": _over(total["profit"], n)} if money else {}),
    }


def _at_equal_risk(sums: Mapping[str, Floats]) -> tuple[Floats, Floats]:
    """Share contacted in a group, and among the others at the group's own mix of risks; where both have customers."""
    n, contacted = sums["customers"], sums["contacted"]
    rest, rest_contacted = (held.sum(axis=1, keepdims=True) - held for held in (n, contacted))
    weight = np.where(rest > 0, n, 0.0)
    whole = weight.sum(axis=-1)
    own = _over(np.where(rest > 0, contacted, 0.0).sum(axis=-1), whole)
    share = np.divide(rest_contacted, rest, out=np.zeros_like(rest), where=rest > 0)
    return own, _over((weight * share).sum(axis=-1), whole)


def _over(above: Floats, below: Floats, least: float = 0.0) -> Floats:
    return np.divide(above, below, out=np.full_like(below, np.nan), where=below > least)


def _figure(values: Floats, level: float) -> Figure:
    """Percentiles of the resamples, and the p-value of a normal test that the figure is 0."""
    values = significant(values, FIGURE, FINEST)
    value, draws = float(values[0]), values[1:][np.isfinite(values[1:])]
    if not np.isfinite(value) or not draws.size:
        return Figure(Interval(np.nan, np.nan, np.nan))
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    spread = float(draws.std())
    p = float(2 * norm.sf(abs(value) / spread)) if spread else float(value == 0)
    return Figure(Interval(value, float(low), float(high)), float(significant(p, FIGURE, FINEST)))


def rejected(p_values: Sequence[float], level: float = 0.05) -> list[bool]:
    """Which hypotheses are rejected at a level over all of them (Holm 1979); NaN never is, and does not count."""
    p = np.array(p_values, np.float64)
    known = np.flatnonzero(np.isfinite(p))
    out = np.zeros(len(p), bool)
    for step, place in enumerate(known[np.argsort(p[known], kind="stable")]):
        if p[place] > level / (len(known) - step):
            break
        out[place] = True
    return [bool(one) for one in out]


def judged(found: Mapping[str, Sequence[GroupFigures]], settings: FairnessSettings) -> tuple[list[dict[str, Any]], int]:
    """The warnings, and the number of tests they were chosen from.

    A group is miscalibrated if its mean probability differs significantly from the share that left, by at least
    `tolerance`; it is contacted less if significantly fewer are contacted than others of equal risk, less than
    `least_ratio` of them.
    """
    tests = [
        (attribute, group, test)
        for attribute, groups in found.items()
        for group in groups
        for test in ("miscalibration", "contact_gap")
        if np.isfinite(group.figures[test].p)
    ]
    significant_ones = rejected([group.figures[test].p for _, group, test in tests])
    warnings = []
    for (attribute, group, test), sure in zip(tests, significant_ones, strict=True):
        figures = {name: figure.interval.value for name, figure in group.figures.items()}
        relevant = (
            abs(figures[test]) >= settings.tolerance
            if test == "miscalibration"
            else figures[test] < 0 and figures["contact_ratio"] < settings.least_ratio
        )
        if sure and relevant:
            warnings.append(
                {"attribute": attribute, "group": group.label, "test": test, "says": _says(attribute, group, test)}
            )
    return warnings, len(tests)


def _says(attribute: str, group: GroupFigures, test: str) -> str:
    who = f"{attribute.replace('_', ' ')} {group.label}"
    f = {name: figure.interval for name, figure in group.figures.items()}
    if test == "miscalibration":
        way = "more" if f["miscalibration"].value > 0 else "less"
        return (
            f"{who}: {way} churn was predicted than came ({f['predicted'].value:.1%} against "
            f"{f['observed'].value:.1%}, difference {_points(f['miscalibration'])})."
        )
    return (
        f"{who}: contacted less than others of equal risk ({f['contacted_share'].value:.1%} of them, "
        f"{f['contact_ratio'].value:.0%} of the others' share, difference {_points(f['contact_gap'])})."
    )


def _points(interval: Interval) -> str:
    low, value, high = (100 * one for one in (interval.low, interval.value, interval.high))
    return f"{value:+.1f} points [{low:+.1f}, {high:+.1f}]"
