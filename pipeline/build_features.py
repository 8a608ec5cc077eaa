"""DVC stage ``build_features``: interactions in; features and labels at every cutoff out."""

import multiprocessing
import os
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

import duckdb
import polars as pl
from tqdm import tqdm

from fedelta.features.attributes import Attribute, attributes_at
from fedelta.features.customer_table import table_features
from fedelta.features.cutoffs import Cutoff, believed_times, calendar, value_calendar
from fedelta.features.declared import with_declared
from fedelta.features.errors import FedeltaError
from fedelta.features.kernel import KernelSettings, columns_read, features_at
from fedelta.pipeline import paths
from fedelta.pipeline.atomic_write import whole
from fedelta.pipeline.buckets.shuffle import Bucket, buckets
from fedelta.pipeline.declared import cutoff_settings
from fedelta.pipeline.intake.sources import Source, load_source
from fedelta.pipeline.intake.table_source import cutoff_of, read_customers
from fedelta.pipeline.params import Params, load_params


class NoInteractions(FedeltaError):
    """There is nothing to compute features of."""


@dataclass(frozen=True)
class Job:
    """What every worker needs to turn its buckets into tables."""

    cutoffs: tuple[Cutoff, ...]
    settings: KernelSettings
    customers: Path | None
    attributes: Sequence[Attribute]
    features: Path
    labels: Path
    declared: Path | None = None  # the company's own labels, if they are learned from

    def run(self, bucket: Bucket) -> int:
        """Write the features and labels of one bucket; return the number of rows."""
        table, labels = features_at(bucket.read(columns_read(self.settings)), self.cutoffs, self.settings)
        if self.customers is not None and self.attributes:
            known = pl.scan_parquet(self.customers).filter(
                pl.col("customer_id").is_in(table["customer_id"].unique().implode())
            )
            table = table.hstack(attributes_at(table, known.collect(), self.attributes))
        if self.declared is not None:
            mine = pl.col("customer_id").is_in(labels["customer_id"].unique().implode())
            labels = with_declared(labels, pl.scan_parquet(self.declared).filter(mine).collect())
        name = f"part-{bucket.number:05}.parquet"
        table.write_parquet(self.features / name, compression="lz4", statistics=False)
        labels.write_parquet(self.labels / name, compression="lz4", statistics=False)
        return table.height


class Work(Protocol):
    """What a worker does with a bucket."""

    def run(self, bucket: Bucket) -> int:
        """Do it; return a number of rows."""


def build(job: Work, work: Iterable[Bucket], workers: int, says: str = "build_features") -> int:
    """Run the job on every bucket in a pool of processes; return the number of rows. Memory: a bucket per worker."""
    work = list(work)
    # One Polars thread per process: the pool is the parallelism. Spawned, because threads do not survive a fork.
    os.environ["POLARS_MAX_THREADS"] = "1"
    # The memory of one bucket serves the next: giving it back and asking again took a quarter of the kernel's CPU.
    os.environ["MALLOC_TRIM_THRESHOLD_"] = os.environ["MALLOC_MMAP_THRESHOLD_"] = str(2**32)
    context = multiprocessing.get_context("spawn")
    rows, terminal = 0, sys.stderr.isatty()
    with (
        ProcessPoolExecutor(min(workers, len(work)), mp_context=context) as pool,
        tqdm(total=len(work), desc=says, unit="bucket", mininterval=1 if terminal else 15) as progress,
    ):
        for done in as_completed([pool.submit(job.run, bucket) for bucket in work]):
            rows += done.result()
            progress.set_postfix_str(f"{rows:,} rows")
            progress.update()
    return rows


def span(folder: Path) -> tuple[datetime, datetime]:
    """Time of the first and of the last interaction, but for stray dates (`features.cutoffs.believed_span`).

    Raises
    ------
    NoInteractions
        If the folder holds none.
    """
    days: list[tuple[int, int, datetime, datetime]] = []
    if files := [str(path) for path in folder.glob("*.parquet")]:
        with duckdb.connect() as connection:
            days = connection.execute(
                "SELECT epoch_us(occurred_at) // 86_400_000_000 AS day, count(*), "
                "make_timestamp(min(epoch_us(occurred_at))), make_timestamp(max(epoch_us(occurred_at))) "
                "FROM read_parquet(?) GROUP BY day ORDER BY day",
                [files],
            ).fetchall()
    if not days:
        raise NoInteractions(
            f"{folder} holds no interactions. Run `dvc repro ingest` first. A source of kind: table has none: what "
            "needs a history (backtest, churn-window) cannot be asked of it."
        )
    return believed_times(days)


def job_for(params: Params, cutoffs: Sequence[Cutoff], features: Path, labels: Path) -> Job:
    """The project's features at `cutoffs`, to be written to two folders."""
    source = load_source(params.source)
    params.churn.relationship.check(source.all_kinds)
    digital = tuple(name for name, touch in source.all_channels.items() if touch == "digital")
    settings = KernelSettings(source.experience(params.experience), digital, relationship=params.churn.relationship)
    declared = paths.DECLARED_LABELS if params.churn.definition == "declared" else None
    attributes = source.for_models(params.fairness.allow)
    return Job(tuple(cutoffs), settings, paths.CUSTOMERS, attributes, features, labels, declared)


def cutoffs_now(params: Params, source: Source) -> tuple[Cutoff, ...]:
    """The cutoffs that the project's interactions (or table) and settings ask for."""
    if source.kind == "table":
        return (cutoff_of(source, params.cutoffs, horizon_days=params.horizon_days),)
    first, last = span(paths.INTERACTIONS)
    return calendar(first, last, cutoff_settings(params), horizon_days=params.horizon_days, lead_days=params.lead_days)


def value_cutoffs_now(params: Params, cutoffs: Sequence[Cutoff]) -> tuple[Cutoff, ...]:
    """The cutoffs at which value is learned and evaluated; none where they are `cutoffs`, those of churn."""
    first, last = span(paths.INTERACTIONS)
    found = value_calendar(first, last, cutoff_settings(params), cutoffs, days=params.value_days)
    return () if found == tuple(cutoffs) else tuple(cutoff for cutoff in found if cutoff.role != "score")


def _build_table(params: Params, source: Source) -> None:
    """Features and labels of a table of customers, as of its one cutoff."""
    (cutoff,) = cutoffs_now(params, source)
    attributes = source.for_models(params.fairness.allow)
    table, labels = table_features(read_customers(paths.CUSTOMERS, source), cutoff, attributes)
    with whole(paths.FEATURES) as features, whole(paths.LABELS) as outcomes, whole(paths.VALUE) as value:
        value.mkdir()
        for folder, part in ((features, table), (outcomes, labels)):
            folder.mkdir()
            part.write_parquet(folder / "part-00000.parquet", compression="lz4", statistics=False)
    print(
        f"build_features: {(table['role'] == 'score').sum():,} customers of a table as of {cutoff.at:%Y-%m-%d}, "
        f"{len(labels):,} of them labelled: {len(attributes)} attributes, no history"
    )


def main() -> None:
    """Build the features of the project's interactions."""
    params = load_params()
    source = load_source(params.source)
    if source.kind == "table":
        _build_table(params, source)
        return
    cutoffs = cutoffs_now(params, source)
    of_value = value_cutoffs_now(params, cutoffs)
    with whole(paths.FEATURES) as features, whole(paths.LABELS) as labels, whole(paths.VALUE) as value:
        value.mkdir()
        _build(params, cutoffs, features, labels)
        if of_value:
            _build(params, of_value, value / paths.VALUE_FEATURES.name, value / paths.VALUE_LABELS.name, " of value")


def _build(params: Params, cutoffs: Sequence[Cutoff], features: Path, labels: Path, what: str = "") -> None:
    """Write features and labels at cutoffs to two new folders, and print what was written."""
    features.mkdir()
    labels.mkdir()
    job = job_for(params, cutoffs, features, labels)
    rows = build(job, buckets(paths.INTERACTIONS, params.engine.buckets), params.engine.workers)
    roles = ", ".join(f"{c.at:%Y-%m-%d} ({c.role}, {c.horizon_days} d)" for c in cutoffs)
    figures = f"{rows:,} rows of {len(job.settings.computed)} features at {len(cutoffs)} cutoffs{what}"
    print(f"build_features: {figures}: {roles}")
