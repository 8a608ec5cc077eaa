"""What scoring needs beside features and models: purchase models, recorded margins, the value that a company states."""

from datetime import datetime
from pathlib import Path

import polars as pl

from fedelta.features import margins, usual_channel
from fedelta.features.margins import margins_before
from fedelta.features.usual_channel import usual_channels
from fedelta.models.btyd.purchase_prior import PurchasePrior
from fedelta.models.btyd.storage import load_prior
from fedelta.models.scoring import CHANNEL, KNOWN_VALUE, MARGIN_SHARE
from fedelta.models.value.margins import MarginShares
from fedelta.pipeline import paths


def with_known_value(table: pl.DataFrame, customers: pl.DataFrame) -> pl.DataFrame:
    """The table with `known_value`, where the source says what customers are worth."""
    if customers["value"].null_count() == len(customers):
        return table
    return table.join(customers.select("customer_id", pl.col("value").alias(KNOWN_VALUE)), on="customer_id", how="left")


def read_prior(as_of: datetime) -> PurchasePrior | None:
    """The purchase models of the scoring cutoff; None where nobody had bought."""
    return load_prior(paths.BTYD_BUNDLE, as_of)


def margin_shares(interactions: Path, as_of: datetime) -> tuple[MarginShares | None, pl.DataFrame]:
    """The shares of spend that are left after costs, learned from the purchases before a cutoff; and their sums."""
    sums = sums_of_margins(interactions, as_of)
    return MarginShares.fit(sums), sums


def sums_of_margins(interactions: Path, as_of: datetime) -> pl.DataFrame:
    """What `features.margins.margins_before` says of stored interactions."""
    purchases = pl.scan_parquet(interactions / "*.parquet").select(margins.COLUMNS)
    return margins_before(purchases, as_of).sort("customer_id").collect(engine="streaming")


def with_channel(table: pl.DataFrame, interactions: Path, as_of: datetime) -> pl.DataFrame:
    """The table with `channel`, the one that each customer mostly uses."""
    met = pl.scan_parquet(interactions / "*.parquet").select(usual_channel.COLUMNS)
    found = usual_channels(met, as_of).collect(engine="streaming").rename({"channel": CHANNEL})
    return table.join(found, on="customer_id", how="left", maintain_order="left")


def with_margin_share(table: pl.DataFrame, shares: MarginShares | None, sums: pl.DataFrame) -> pl.DataFrame:
    """The table with `margin_share`, where margins are recorded."""
    if shares is None:
        return table
    own = table.select("customer_id").join(sums, on="customer_id", how="left", maintain_order="left")
    amount, margin = (own[name].fill_null(0.0).to_numpy() for name in ("amount", "margin"))
    return table.with_columns(pl.Series(MARGIN_SHARE, shares.share(amount, margin)))
