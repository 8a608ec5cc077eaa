"""What lies around entries into campaigns, bucket by bucket: features before each, outcomes after it."""

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from fedelta.features.entries import KEYS, features_before, outcomes_after
from fedelta.features.kernel import KernelSettings
from fedelta.pipeline.buckets.shuffle import Bucket


@dataclass(frozen=True)
class Job:
    """What every worker needs to look at the entries of its buckets."""

    entries: pl.DataFrame  # KEYS
    settings: KernelSettings
    horizon_days: int
    folder: Path

    def run(self, bucket: Bucket) -> int:
        """Write features before and outcomes after the entries of a bucket's customers; return how many."""
        events = bucket.read()
        mine = self.entries.filter(pl.col("customer_id").is_in(events["customer_id"].unique().implode()))
        if mine.is_empty():
            return 0
        events = events.filter(pl.col("customer_id").is_in(mine["customer_id"].unique().implode()))
        outcomes = outcomes_after(events, mine, self.settings, self.horizon_days)
        features = features_before(events, mine, self.settings, self.horizon_days)
        outcomes.join(features.drop(set(outcomes.columns) - {*KEYS}, strict=False), on=KEYS, how="left").write_parquet(
            self.folder / f"part-{bucket.number:05}.parquet"
        )
        return mine.height
