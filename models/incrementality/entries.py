"""Entries into the arms of a comparison: who counts, since when, and what was not as planned.

Intention to treat: a customer counts in the arm of their first entry, reached or not, whatever was done later.
"""

from dataclasses import dataclass
from datetime import datetime
from math import log

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.stats import chi2, chi2_contingency

Floats = npt.NDArray[np.float64]
Booleans = npt.NDArray[np.bool_]

COVARIATE = "x_"  # begins the name of a column that was known before entry
_ERRORS = 0.01  # share of arms that may be recorded otherwise than the control group was drawn
_SURE = log(1e6)  # how much likelier a change must be than none
_LEAST_A_MONTH = 20


@dataclass(frozen=True)
class Epochs:
    """Since when the arms are those of the present control group."""

    drawn: bool  # whether they are at all; if not, each campaign draws its own
    begins: datetime | None  # entries before were of another control group; None: all are of this one


def first_entries(rows: pl.DataFrame, by: str | None = None) -> pl.DataFrame:
    """The first entry of each customer, or of each customer in each group of the column `by` that is not null."""
    keys = ["customer_id"] if by is None else ["customer_id", by]
    kept = rows if by is None else rows.filter(pl.col(by).is_not_null())
    return kept.sort("treated_at", "customer_id", "arm", maintain_order=True).unique(
        keys, keep="first", maintain_order=True
    )


def epochs_of(rows: pl.DataFrame, share: float) -> Epochs:
    """Find where a new control group began, as a new salt or share of `policy.holdout` draws one.

    Until then the recorded arms agree with the present draw as often as chance has it, from then on (nearly) always: a
    likelihood ratio over every time of change, since a comparison across two draws would mix their customers.

    Parameters
    ----------
    rows : DataFrame with `treated_at`, `arm` and `drawn_held_out`
        All entries; the last says whether the present control group holds the customer.
    share : float
        The share of customers held out now.
    """
    if not rows.height or not share:
        return Epochs(drawn=False, begins=None)
    held = rows["arm"] == "held_out"
    recorded = int(held.sum()) / rows.height
    by_chance = min(max(recorded * share + (1 - recorded) * (1 - share), 1e-6), 1 - 1e-6)
    gain, loss = log((1 - _ERRORS) / by_chance), log(_ERRORS / (1 - by_chance))
    agrees = held == rows["drawn_held_out"]
    if agrees.all() and not held.any():  # nobody held out: nothing tells one draw from another
        return Epochs(drawn=True, begins=None)
    by_time = (
        rows.select("treated_at")
        .with_columns(pl.when(agrees).then(gain).otherwise(loss).alias("evidence"))
        .group_by("treated_at")
        .agg(pl.col("evidence").sum())
        .sort("treated_at")
    )
    since = by_time["evidence"].reverse().cum_sum().reverse()
    best = int(since.arg_max() or 0)
    if since[best] < min(_SURE, 0.9 * gain * rows.height):
        return Epochs(drawn=False, begins=None)
    return Epochs(drawn=True, begins=by_time["treated_at"][best] if best else None)


def ratio_varies_p(rows: pl.DataFrame) -> float:
    """Probability that the share held out differs so much between months by chance; 1 where there is one month only."""
    months = (
        rows.group_by(pl.col("treated_at").dt.truncate("1mo").alias("month"))
        .agg(held_out=(pl.col("arm") == "held_out").sum(), treated=(pl.col("arm") == "treated").sum())
        .filter(pl.col("held_out") + pl.col("treated") >= _LEAST_A_MONTH)
        .sort("month")
    )
    table = months.select("held_out", "treated").to_numpy()
    if len(table) < 2 or not table.sum(axis=0).all():
        return 1.0
    return float(chi2_contingency(table, correction=False).pvalue)


def imbalance_p(covariates: Floats, treated: Booleans) -> float:
    """Probability of arms so unlike before entry by chance: Hotelling's test of all covariates, as a chi-square."""
    n = np.array([(~treated).sum(), treated.sum()])
    if n.min() < 2:
        return 1.0
    varying = covariates[:, covariates.std(axis=0) > 0]
    if not varying.shape[1]:
        return 1.0
    scaled = (varying - varying.mean(axis=0)) / varying.std(axis=0)
    difference = scaled[treated].mean(axis=0) - scaled[~treated].mean(axis=0)
    spread = np.atleast_2d(np.cov(scaled, rowvar=False)) * (1 / n).sum()
    rank = int(np.linalg.matrix_rank(spread))
    return float(chi2.sf(difference @ np.linalg.pinv(spread, hermitian=True) @ difference, rank))


def covariates_of(rows: pl.DataFrame) -> Floats:
    """What was known before entry, the most telling first: (n, k); unknown values at their mean, marked once."""
    columns: list[Floats] = []
    for name in (name for name in rows.columns if name.startswith(COVARIATE)):
        values = rows[name].cast(pl.Float64).fill_nan(None)
        if values.null_count() == len(values):
            continue
        columns.append(values.fill_null(values.mean()).to_numpy())
        if values.null_count():
            columns.append(values.is_null().cast(pl.Float64).to_numpy())
    return np.column_stack(columns) if columns else np.empty((rows.height, 0))
