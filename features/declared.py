"""Outcomes that the company itself declares, beside the rows of a feature table."""

import polars as pl

from fedelta.features.labels import DECLARED

KNOWN_AT = "declared_known_at"  # when the label was known; null where there is none, or with the end of the horizon


def with_declared(outcomes: pl.DataFrame, declared: pl.DataFrame) -> pl.DataFrame:
    """Add the labels that stand at each row's cutoff to a table of outcomes.

    Parameters
    ----------
    outcomes : DataFrame of shape (n_rows, 2 + n_outcomes)
        `customer_id`, `cutoff` and what was counted in the horizon.
    declared : DataFrame with the columns of ``features.contract.LABELS``
        One row per customer and date.

    Returns
    -------
    DataFrame of shape (n_rows, 4 + n_outcomes)
        In the same order, with `DECLARED` and `KNOWN_AT`; `horizon_spend` is the label's where it gives one.
    """
    labels = declared.select(
        "customer_id",
        pl.col("as_of").cast(pl.Datetime("us")).dt.replace_time_zone("UTC").alias("cutoff"),
        pl.col("churned").cast(pl.Float64).alias(DECLARED),
        pl.col("known_at").alias(KNOWN_AT),
        pl.col("spend").cast(pl.Float64).alias("declared_spend"),
    )
    found = outcomes.join(labels, on=["customer_id", "cutoff"], how="left", maintain_order="left", validate="m:1")
    return found.with_columns(horizon_spend=pl.coalesce("declared_spend", "horizon_spend")).drop("declared_spend")
