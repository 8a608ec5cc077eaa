"""Features and labels of interactions at cutoffs, bucket by bucket in a pool of processes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from uuid import uuid4

import polars as pl

from fedelta.features.attributes import Attribute, attributes_at
from fedelta.features.cutoffs import Cutoff
from fedelta.features.declared import with_declared
from fedelta.features.kernel import KernelSettings, columns_read, features_at
from fedelta.pipeline import paths
from fedelta.pipeline.buckets.engine import processes
from fedelta.pipeline.buckets.pool import Pool, followed
from fedelta.pipeline.buckets.shuffle import Bucket
from fedelta.pipeline.intake.sources import load_source
from fedelta.pipeline.params import Params


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
    unfinished: Path | None = None  # where parts are written first, if a bucket may be worked on twice at once

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
        for part, folder in ((table, self.features), (labels, self.labels)):
            place = folder / name if self.unfinished is None else self.unfinished / uuid4().hex
            part.write_parquet(place, compression="lz4", statistics=False)
            place.replace(folder / name)
        return table.height


class Work(Protocol):
    """What a worker does with a bucket."""

    def run(self, bucket: Bucket) -> int:
        """Do it; return a number of rows."""


def build(job: Work, work: Iterable[Bucket], workers: int, says: str = "build_features") -> int:
    """Run the job on every bucket in a pool of processes; return the number of rows. Memory: a bucket per worker."""
    work = list(work)
    with processes(workers, len(work)) as pool:
        return build_by(pool, job, work, says)


def build_by(pool: Pool, job: Work, work: Sequence[Bucket], says: str = "build_features") -> int:
    """Run the job on every bucket by workers; return the number of rows."""
    return sum(followed(pool.map(job.run, work), len(work), says))


def job_for(params: Params, cutoffs: Sequence[Cutoff], features: Path, labels: Path) -> Job:
    """The project's features at `cutoffs`, to be written to two folders."""
    source = load_source(params.source)
    params.churn.relationship.check(source.all_kinds)
    digital = tuple(name for name, touch in source.all_channels.items() if touch == "digital")
    settings = KernelSettings(source.experience(params.experience), digital, relationship=params.churn.relationship)
    declared = paths.DECLARED_LABELS if params.churn.definition == "declared" else None
    attributes = source.for_models(params.fairness.allow)
    return Job(tuple(cutoffs), settings, paths.CUSTOMERS, attributes, features, labels, declared)
