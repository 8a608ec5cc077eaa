"""A project that has run `ingest` and nothing else: its interactions lie in bucket order, its models are not made."""

from pathlib import Path

import polars as pl
from tiny_project import HERE, PARAMS, inside, interactions

from fedelta.pipeline import paths
from fedelta.pipeline.buckets.shuffle import HASH


def make(folder: Path, *, customers: int = 300, num_iterations: int = 10) -> Path:
    """Some hundred customers over 480 days, most with a rhythm of a month, and a horizon of 90 days."""
    folder.mkdir(parents=True)
    (folder / "sources").symlink_to(HERE / "sources")
    (folder / "params.yaml").write_text(
        PARAMS.replace("TREES", str(num_iterations)).replace("source: demo", "source: cdnow")
    )
    events = interactions(customers).with_columns(pl.col("customer_id").hash(seed=1).alias(HASH))
    with inside(folder):
        paths.INTERACTIONS.mkdir(parents=True)
        events.sort(HASH, "customer_id", "occurred_at", "interaction_id").write_parquet(
            paths.INTERACTIONS / "part-00000.parquet"
        )
        events.select("customer_id").unique().sort("customer_id").write_parquet(paths.CUSTOMERS)
    return folder
