"""How well churn can be predicted at a horizon: a cheap model of recency, frequency and money, out of time."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fedelta.models.metrics.bootstrap import Interval, Resampling, replicate
from fedelta.models.metrics.metrics import auc

Floats = npt.NDArray[np.float64]

_CUTOFFS = 3  # at most: the last to test on, the first to learn from, those between for both


@dataclass(frozen=True)
class Sample:
    """Customers drawn by hash, with all they did, in days since 1970."""

    purchases: pl.DataFrame  # customer_id, day, spend (models.spells.activity_days)
    memberships: pl.DataFrame | None  # models.spells.memberships; None where leaving is to stop buying
    earliest: int  # the first day with history enough before it
    end: int  # the first day not watched


@dataclass(frozen=True)
class Test:
    """A cutoff (days since 1970) whose horizon is over, predicted by a model of earlier cutoffs only."""

    cutoff: int
    customers: int
    churners: int
    auc: Interval  # NaN where all left or nobody did

    @property
    def churn_rate(self) -> float:
        """Share of the customers that left."""
        return self.churners / self.customers


def predictability(sample: Sample, horizon_days: int, lead_days: int, resampling: Resampling) -> list[Test]:
    """Up to two tests, the latest first; none if two whole horizons do not fit into the history.

    Cutoffs step back by whole horizons from the last one whose horizon is over, so that what a model learned from was
    over when it was tested. Everyone who ever bought (or is a member) at the cutoff takes part.
    """
    steps = (sample.end - (horizon_days + lead_days) * k for k in range(1, _CUTOFFS + 1))
    panels = [_panel(sample, at, horizon_days, lead_days) for at in steps if at >= sample.earliest]
    tests = []
    for number in range(len(panels) - 1):
        learned = panels[number + 1 :]
        if len(panels[number].churned) and any(len(panel.churned) for panel in learned):
            tests.append(_test(panels[number], learned, resampling))
    return tests


@dataclass(frozen=True)
class _Panel:
    cutoff: int
    features: Floats
    churned: Floats


def _test(present: _Panel, learned: Sequence[_Panel], resampling: Resampling) -> Test:
    churned = np.concatenate([panel.churned for panel in learned])
    found = Interval(np.nan, np.nan, np.nan)
    if churned.min() < churned.max() and present.churned.min() < present.churned.max():
        model = make_pipeline(StandardScaler(), LogisticRegression())
        model.fit(np.concatenate([panel.features for panel in learned]), churned)
        score = model.predict_proba(present.features)[:, 1]
        found = replicate(present.churned, {"rfm": score}, {"auc": auc}, resampling=resampling).interval("rfm", "auc")
    return Test(present.cutoff, present.churned.size, int(present.churned.sum()), found)


def _panel(sample: Sample, at: int, horizon_days: int, lead_days: int) -> _Panel:
    """Log of days since the last purchase, purchase days, spend and tenure of those in scope; and who left."""
    day = pl.col("day")
    within = day.is_between(at + lead_days, at + lead_days + horizon_days, closed="left")
    bought = sample.purchases.group_by("customer_id").agg(
        last=day.filter(day < at).max(),
        first=day.filter(day < at).min(),
        count=(day < at).sum(),
        spend=pl.col("spend").filter(day < at).sum(),
        churned=~within.any(),
    )
    if sample.memberships is None:
        rows = bought.filter(pl.col("count") > 0)
    else:
        left = pl.when("cancelled").then(pl.col("end") - (at + lead_days))
        members = sample.memberships.filter(
            pl.col("start") < at, pl.col("end").is_null() | (pl.col("end") >= at)
        ).select("customer_id", "start", churned=(left.is_between(0, horizon_days - 1)).fill_null(value=False))
        rows = members.join(bought.drop("churned"), on="customer_id", how="left").with_columns(
            pl.col("last").fill_null(pl.col("start")), pl.col("count", "spend").fill_null(0), first="start"
        )
    rows = rows.sort("customer_id")
    silent, tenure = (at - pl.col(name) for name in ("last", "first"))
    features = rows.select(pl.col("count"), pl.col("spend").clip(0), silent=silent, tenure=tenure)
    return _Panel(at, np.log1p(features.to_numpy().astype(np.float64)), rows["churned"].to_numpy().astype(np.float64))
