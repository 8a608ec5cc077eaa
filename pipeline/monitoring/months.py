"""A project's history in months of four weeks, counted back from the scoring cutoff: its data, customers and scores."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
import polars as pl

from fedelta.features.contract import INTERACTIONS, REQUIRED
from fedelta.features.cutoffs import Cutoff, midnight_after, score_cutoff
from fedelta.models.btyd.purchase_prior import PurchasePrior, prior_columns
from fedelta.models.churn.model import ChurnModel
from fedelta.models.monitoring.data_drift import Track, tracks
from fedelta.models.monitoring.drift import LEAST_PAST
from fedelta.models.monitoring.population_drift import MONTH_DAYS, YEAR, Month, Watch
from fedelta.models.panel import feature_columns, to_pandas
from fedelta.pipeline import paths
from fedelta.pipeline.buckets.shuffle import buckets
from fedelta.pipeline.feature_job import build, job_for
from fedelta.pipeline.panel import read_sorted
from fedelta.pipeline.params import Params
from fedelta.pipeline.span import span

MOST = 2 * YEAR  # a year to compare with, and a year that tells what is usual
_MONTH = timedelta(days=MONTH_DAYS)
_COLUMNS = tuple(name for name in INTERACTIONS if name not in (*REQUIRED, "channel", "known_at"))


@dataclass(frozen=True)
class Calendar:
    """The instants looked from, newest first: ends of whole months of data, and cutoffs with enough history behind."""

    first: datetime
    score_at: datetime
    months: int  # of data
    cutoffs: tuple[datetime, ...]


def calendar(params: Params) -> Calendar:
    """The months of the project's interactions.

    Cutoffs have a year behind them, the longest window of a feature, where that leaves enough of them to tell what is
    usual; otherwise `cutoffs.min_history_days`, and what looks back further grows with the history itself.
    """
    first, last = span(paths.INTERACTIONS)
    score_at = min(score_cutoff(params.cutoffs, last), midnight_after(last))
    return calendar_of(first, score_at, params.cutoffs.min_history_days)


def calendar_of(first: datetime, score_at: datetime, min_history_days: int) -> Calendar:
    """The months between the first interaction and a scoring cutoff."""

    def back_to(days: int) -> int:
        return max((score_at - first - timedelta(days=days)) // _MONTH, 0)

    full = back_to(YEAR * MONTH_DAYS)
    number = full if full > LEAST_PAST else back_to(min_history_days)
    return Calendar(
        first,
        score_at,
        min(back_to(0), MOST),
        tuple(score_at - _MONTH * k for k in range(min(number, MOST) + 1)),
    )


def data_tracks(interactions: pl.LazyFrame, bad: pl.LazyFrame, calendar: Calendar) -> list[Track]:
    """What came in each month, of interactions and of the bad experiences among them."""
    if not calendar.months:
        return []
    volumes = _monthly(interactions, calendar).group_by("month", "kind", "channel")
    counted = volumes.agg(pl.len().alias("n"), *(pl.col(name).count() for name in _COLUMNS))
    rules = _monthly(bad, calendar).group_by("month", "kind", "rule").agg(pl.len().alias("n"))
    of_all, of_bad = (table.collect(engine="streaming") for table in (counted, rules))
    return tracks(of_all, of_bad, calendar.months, _COLUMNS)


def sampled_features(params: Params, calendar: Calendar, customers: int) -> pd.DataFrame:
    """Features of about so many customers at the calendar's cutoffs, sorted; those that are scored.

    Buckets are cut by a hash of the customer, so one of them is a random sample, the same in every run.
    """
    known = pl.scan_parquet(paths.CUSTOMERS).select(pl.len()).collect().item()
    number = max(ceil(known / customers), 1) * params.engine.workers
    at = [Cutoff(cutoff, params.horizon_days, params.lead_days, "score") for cutoff in calendar.cutoffs]
    with TemporaryDirectory(prefix="fedelta-") as scratch:
        features, labels = Path(scratch) / "features", Path(scratch) / "labels"
        features.mkdir()
        labels.mkdir()
        job = job_for(params, at, features, labels)
        build(job, buckets(paths.INTERACTIONS, number)[: params.engine.workers], params.engine.workers)
        table = to_pandas(read_sorted(features).collect())
    return table[table["status"] == "scored"].reset_index(drop=True)


def months_of(
    table: pd.DataFrame, prior: PurchasePrior | None, model: ChurnModel, watch: Watch, cutoffs: Sequence[datetime]
) -> list[Month]:
    """The customers at each cutoff, newest first, as the model sees them, back to the first without any.

    The purchase models are the scoring cutoff's throughout, so that no change of theirs looks like one of customers.
    """
    found = []
    for cutoff in cutoffs:
        rows = table[table["cutoff"] == pd.Timestamp(cutoff).tz_convert(None)]
        if rows.empty:
            break
        rows = rows.join(prior_columns(prior, rows))
        found.append(Month(watch.encoding.matrix(rows), model.churn_probability(rows)))
    return found


def watched(table: pd.DataFrame, probability: pd.Series, importance: dict[str, float]) -> Watch:
    """What to watch of a model that learned from these rows and predicts this of them: every feature, and what else it
    reads.
    """
    names = feature_columns(table)
    learned = table[[*names, *(name for name in importance if name not in names)]]
    return Watch.of(learned, probability.to_numpy(), importance)


def _monthly(events: pl.LazyFrame, calendar: Calendar) -> pl.LazyFrame:
    """The events of the calendar's months, with the month they fall in: 0 is the newest."""
    begin = calendar.score_at - _MONTH * calendar.months
    back = (pl.lit(calendar.score_at) - pl.col("occurred_at")).dt.total_microseconds() - 1
    within = events.filter(pl.col("occurred_at").is_between(begin, calendar.score_at, closed="left"))
    return within.with_columns(month=back // (MONTH_DAYS * 86_400_000_000))
