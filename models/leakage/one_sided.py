"""One-sided evidence: values of a column under which almost everybody, or almost nobody, left.

A flag that a third of the leavers carry and no stayer has an AUC of .65, and yet was written when they left. So each
value, missing ones and ranges of numbers are looked at by themselves: how much larger are the odds of the one outcome
there than what is honestly known explains? Explained are the odds of all, and those of customers of equal silence,
tenure and number of purchases: who bought nothing for years has left, whatever else is recorded of them.

Honest columns reach odds ratios of 26 (customers who complained, Iranian churn), 22 (the longest calls, MLC) and 12
(two-year contracts, Telco); ranges of usage in which nobody leaves are common where few leave at all. Hence the limits:
with confidence, an odds ratio of 30, or of 8 where 99.5% left; and ranges must cover half of those with
the outcome.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import beta

from fedelta.models.leakage.leaky_bins import BINS, Binned, Codes, Floats, Mask, Rows, binned, binnings

LEAST = 30  # rows; with fewer, what looks like a pattern may be chance


@dataclass(frozen=True)
class Limit:
    """How pure a cell must be, and how far beyond what is explained, to be evidence."""

    purity: float  # share of the rows that have the one outcome, at least
    chance: float  # of more exceptions than the bound on them
    odds_ratio: float  # at least, with so many exceptions


LARGE = Limit(purity=0.95, chance=1e-4, odds_ratio=30)
SPOTLESS = Limit(purity=0.995, chance=1e-2, odds_ratio=8)  # of leavers
RANGE_PURITY = 0.99
COVERED_BY_FEW, COVERED_BY_MANY, COVERED_BY_RANGE = 0.05, 0.2, 0.5  # share of those with the outcome
EXPLAINING = (
    "days_since_last_interaction",
    "days_since_last_purchase",
    "days_since_last_activity",
    "tenure_days",
    "purchase_day_count",
    "activity_day_count",
)
_FEW_BINS = 16


@dataclass(frozen=True)
class Cell:
    """Rows that share a value, or a range of values, of a column."""

    says: str
    codes: npt.NDArray[np.bool_]  # (n_codes,) which of the column's codes belong to it
    is_range: bool = False


@dataclass(frozen=True)
class Evidence:
    """A cell in which almost all rows have the same outcome."""

    cell: Cell
    cutoff: str  # "" for all cutoffs together
    outcome: str  # left or stayed
    rows: int
    share: float  # of the cell's rows that have the outcome
    covered: float  # share of all rows with the outcome that are in the cell
    elsewhere: float  # share of the rows outside the cell that have the outcome
    odds_ratio: float  # at least, with confidence

    def __str__(self) -> str:
        """In words."""
        where = f" at {self.cutoff}" if self.cutoff else ""
        return (
            f"where it is {self.cell.says}, {self.share:.1%} of {self.rows:,} customers {self.outcome}{where}, and "
            f"{self.elsewhere:.1%} of the others; that covers {self.covered:.0%} of all who {self.outcome}"
        )


def one_sided(
    column: pd.Series, rows: Rows, explained: Sequence[Floats], *, only_recent: bool = False
) -> Evidence | None:
    """The strongest one-sided evidence of a column, at any cutoff or over all; None where there is none.

    Parameters
    ----------
    column : Series of shape (n_rows,)
    rows : Rows
    explained : sequence of ndarray of shape (n_rows,)
        Chances of leaving that need no leak, see `explanations`.
    only_recent
        Look only at low numbers and at whether it is known, and only for leavers: days since an event.
    """
    found = [
        evidence
        for held in binnings(column, BINS)
        for name, mask in rows.groups()
        for outcome in (("left",) if only_recent else ("left", "stayed"))
        if (evidence := _strongest(held, _cells(held, only_recent), rows, explained, mask, name, outcome)) is not None
    ]
    return max(found, key=lambda evidence: evidence.odds_ratio, default=None)


def explanations(table: pd.DataFrame, rows: Rows) -> list[Floats]:
    """Chance of leaving of each row by its cutoff alone, and by each of a few columns of our own kernel."""
    out = [_rate(np.zeros(len(table), np.intp), rows)]
    for name in (n for n in EXPLAINING if n in table and table[n].nunique() > 1):
        held = binned(table[name])
        few = np.where(held.codes > 0, (held.codes - 1) * _FEW_BINS // max(held.size - 1, 1) + 1, 0)
        out.append(_rate(few, rows))
    return out


def _rate(codes: Codes, rows: Rows) -> Floats:
    """Share that left of the rows of the same code and cutoff, drawn to that of the cutoff by one row."""
    size = codes.max() + 1
    key = rows.cutoff * size + codes
    count = np.bincount(key, minlength=len(rows.names) * size)
    left = np.bincount(key, weights=rows.churned, minlength=len(count))
    of_cutoff = (np.bincount(rows.cutoff, weights=rows.churned) / np.bincount(rows.cutoff))[rows.cutoff]
    return np.asarray((left[key] + of_cutoff) / (count[key] + 1), np.float64)


def _cells(held: Binned, only_recent: bool) -> list[Cell]:
    codes, labels = np.arange(held.size), list(enumerate(held.labels, 1))
    up_to = [Cell(f"less than {label}", (codes > 0) & (codes < at), not only_recent) for at, label in labels[1:]]
    if only_recent:
        return [Cell("known", codes > 0), *up_to]
    cells = [Cell("missing", codes == 0), Cell("known", codes > 0)]
    if held.zero > 0:
        cells += [Cell("0", codes == held.zero), Cell("known and not 0", (codes > 0) & (codes != held.zero))]
    if held.kind != "ranges":
        cells += [Cell(label, codes == number) for number, label in labels if number != held.zero]
    if held.kind == "values":
        return [*cells, *(Cell(f"anything but {label}", codes != number) for number, label in labels)]
    return [*cells, *up_to, *(Cell(f"{label} or more", codes >= at, is_range=True) for at, label in labels[1:])]


def _strongest(
    held: Binned, cells: Sequence[Cell], rows: Rows, explained: Sequence[Floats], mask: Mask, name: str, outcome: str
) -> Evidence | None:
    """The cell of the largest odds ratio among those that pass every limit."""
    codes, has = held.codes[mask], rows.churned[mask] if outcome == "left" else 1 - rows.churned[mask]
    total, having = len(has), has.sum()
    if min(having, total - having) < LEAST:
        return None
    member = np.array([cell.codes for cell in cells], np.float64)
    counts = member @ np.bincount(codes, minlength=held.size)
    inside = member @ np.bincount(codes, weights=has, minlength=held.size)
    ranges = np.array([cell.is_range for cell in cells])
    # A value that is pure in the outcome of the fewer is much less likely to be honest.
    covered = np.where(ranges, COVERED_BY_RANGE, COVERED_BY_FEW if having < total / 2 else COVERED_BY_MANY)
    pure = inside >= np.where(ranges, RANGE_PURITY, LARGE.purity) * counts
    fit = np.flatnonzero((counts >= LEAST) & (counts < total) & pure & (inside >= covered * having))
    if not len(fit):
        return None
    expected = []
    for chance in explained:
        likely = chance[mask] if outcome == "left" else 1 - chance[mask]
        of_cell = member[fit] @ np.bincount(codes, weights=likely, minlength=held.size)
        expected.append(np.clip(of_cell / counts[fit], 1e-9, 1 - 1e-9))
    who, share, chance_inside = rows.customer[mask], inside[fit] / counts[fit], np.max(expected, axis=0)
    customers = np.array([len(np.unique(who[cells[at].codes[codes]])) for at in fit.tolist()])
    ratio = np.zeros(len(fit))
    for limit in (LARGE, SPOTLESS):
        exceptions = beta.ppf(1 - limit.chance, (1 - share) * customers + 1, share * customers)
        found = (1 - exceptions) / exceptions * (1 - chance_inside) / chance_inside
        allowed = (limit is LARGE or outcome == "left") & (share >= limit.purity)
        ratio = np.maximum(ratio, np.where(allowed & (found >= limit.odds_ratio), found, 0))
    best = int(np.argmax(ratio))
    if ratio[best] == 0:
        return None
    at = int(fit[best])
    return Evidence(
        cells[at],
        name,
        outcome,
        int(counts[at]),
        float(share[best]),
        float(inside[at] / having),
        float((having - inside[at]) / (total - counts[at])),
        float(ratio[best]),
    )
