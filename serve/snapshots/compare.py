"""A scoring run beside the one before it: what the probability was, whose tier changed, and what is reported of it."""

from collections.abc import Iterator
from typing import Protocol

import orjson
import polars as pl

MOST_PER_MESSAGE = 500  # customers

BEFORE = ("customer_id", "churn_probability", "risk_tier", "tier_changed_at")


class Comparable(Protocol):
    """A snapshot that can be compared with."""

    snapshot_id: str

    def compared(self) -> pl.DataFrame:
        """The columns of ``BEFORE`` of its scored customers."""


def with_previous(customers: pl.DataFrame, before: pl.DataFrame | None) -> pl.DataFrame:
    """``customers`` with ``previous_probability``, ``delta`` and ``tier_changed_at``, in their order.

    The previous probability is that of the run ``before`` where the run does not tell it. A tier changed at the run's
    ``as_of`` where it differs from that of the run before, else when it did before.
    """
    if before is None:
        joined = customers.with_columns(pl.lit(None, pl.Float64).alias("was"), pl.lit(None, pl.String).alias("tier"))
        joined = joined.with_columns(pl.lit(None, pl.Datetime("us", "UTC")).alias("since"))
    else:
        was = before.select("customer_id", was="churn_probability", tier="risk_tier", since="tier_changed_at")
        joined = customers.join(was, on="customer_id", how="left", maintain_order="left")
    previous = pl.coalesce("previous_probability", "was")
    scored = pl.col("status") == "scored"
    return joined.with_columns(
        previous.alias("previous_probability"),
        pl.when(scored).then(pl.col("churn_probability") - previous).alias("delta"),
        pl.when(scored & (pl.col("risk_tier") != pl.col("tier")))
        .then("as_of")
        .when(scored)
        .then("since")
        .alias("tier_changed_at"),
    ).drop("was", "tier", "since")


def tier_changes(before: Comparable, after: Comparable) -> Iterator[str]:
    """What `score.tier_changed` says: JSON objects of at most ``MOST_PER_MESSAGE`` customers, most value first."""
    old = before.compared().select("customer_id", previous_tier="risk_tier", previous_probability="churn_probability")
    changed = (
        after.compared()
        .join(old, on="customer_id", how="inner", maintain_order="left")
        .filter(pl.col("risk_tier") != pl.col("previous_tier"))
        .select("customer_id", "previous_tier", "risk_tier", "previous_probability", "churn_probability")
    )
    about = orjson.dumps({"snapshot_id": after.snapshot_id, "previous_snapshot_id": before.snapshot_id}).decode()
    for some in changed.iter_slices(MOST_PER_MESSAGE):
        rows = some.select(pl.struct(pl.all()).struct.json_encode().str.join(",")).item()
        yield f'{about[:-1]},"changes":[{rows}]}}'
