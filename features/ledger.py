"""The ledger: every bad experience as a row, with what it harmed, where, how often before, and how it ended."""

from collections.abc import Collection

import polars as pl

from fedelta.features.annotate import annotate
from fedelta.features.contract import DIGITAL_CHANNELS
from fedelta.features.experience_rules import ExperienceSettings, broken
from fedelta.features.journeys import NEEDED, with_journeys
from fedelta.features.recovery import recoveries

LEDGER = pl.Schema(
    {
        "customer_id": pl.String(),
        "interaction_id": pl.String(),
        "occurred_at": pl.Datetime("us", "UTC"),
        "kind": pl.String(),
        "rule": pl.String(),  # the gravest it broke
        "rules": pl.List(pl.String()),  # all it broke, in the order of the settings
        "pillar": pl.String(),  # of the gravest rule, like the level
        "level": pl.String(),
        "severity": pl.Float64(),  # points
        "channel": pl.String(),
        "touch": pl.String(),  # digital or physical; null where the channel is unknown
        "topic": pl.String(),
        "journey": pl.String(),
        "journey_stage": pl.String(),
        "number": pl.Int32(),  # 1 for the customer's first bad experience, 2 for the second, ...
        "resolved": pl.Boolean(),  # recovered, or else what the interaction itself says
        "hours_to_recovery": pl.Float64(),  # null: not recovered before the end of the data
    }
)


def ledger(
    events: pl.DataFrame, settings: ExperienceSettings, digital_channels: Collection[str] = DIGITAL_CHANNELS
) -> pl.DataFrame:
    """The bad experiences of the customers of one bucket.

    Parameters
    ----------
    events : DataFrame
        Interactions of whole customers, sorted by customer, time and id, with all columns of the contract; `journey`
        and `journey_stage` are added unless they are there.

    Returns
    -------
    DataFrame of shape (n_bad_experiences, 17)
        Columns of `LEDGER`, sorted by customer, time and id. Recovery is that of `features.recovery.recoveries`: it
        looks ahead to the end of the data, so the ledger is for reading and for effects, never for features.

    Raises
    ------
    BadRule
        If a rule cannot be evaluated.
    """
    if not settings.rules:
        return LEDGER.to_frame()
    annotated = annotate(events, settings, digital_channels, named=("pillar", "level", *NEEDED))
    if "journey" not in events.columns:
        annotated = with_journeys(annotated)
    recovered = recoveries(annotated, settings.recovery_days).select("row", hours_to_recovery="hours")
    rules = broken(events, settings)
    names = [pl.when(name).then(pl.lit(name)) for name in rules.columns]
    bad = pl.col("severity") > 0
    broke = rules.filter(annotated.select(bad).to_series()).select(rules=pl.concat_list(names).list.drop_nulls())
    return (
        annotated.with_columns(row=pl.int_range(pl.len(), dtype=pl.Int64))
        .filter(bad)
        .hstack(broke)
        .join(recovered, on="row", how="left", maintain_order="left", validate="1:1")
        .with_columns(
            rule="bad_experience",
            touch=pl.when("is_digital").then(pl.lit("digital")).when(~pl.col("is_digital")).then(pl.lit("physical")),
            number=pl.int_range(1, pl.len() + 1).over("customer_id"),
            resolved=pl.col("hours_to_recovery").is_not_null() | pl.col("resolved"),
        )
        .select(pl.col(name).cast(dtype) for name, dtype in LEDGER.items())
        .sort("customer_id", "occurred_at", "interaction_id")
    )
