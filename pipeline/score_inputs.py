"""What scoring needs beside features and models: purchase models of a cutoff, and the value that a company states."""

from datetime import datetime

import polars as pl

from fedelta.models.btyd.purchase_prior import PurchasePrior
from fedelta.models.btyd.storage import load_prior
from fedelta.models.scoring import KNOWN_VALUE
from fedelta.pipeline import paths


def with_known_value(table: pl.DataFrame, customers: pl.DataFrame) -> pl.DataFrame:
    """The table with `known_value`, where the source says what customers are worth."""
    if customers["value"].null_count() == len(customers):
        return table
    return table.join(customers.select("customer_id", pl.col("value").alias(KNOWN_VALUE)), on="customer_id", how="left")


def read_prior(as_of: datetime) -> PurchasePrior | None:
    """The purchase models of the scoring cutoff; None where nobody had bought."""
    return load_prior(paths.BTYD_BUNDLE, as_of)
