"""The Polars contender: lazy `group_by`, streaming, over events or their sums per customer and day or period."""

import polars as pl

from benchmarks.compared import (
    CHANNEL_TOTALS,
    COMPARED,
    COUNTS,
    EARLIEST,
    FORMULAS,
    LATEST,
    SUMS,
    Quotient,
    total_name,
    totals,
)
from benchmarks.task import Partial, Task, asked, instant
from fedelta.features.contract import CHANNELS, KINDS
from fedelta.features.history import DAY_US


def main(task: Task) -> None:
    """Write the features to the task's folder, one file per cutoff."""
    events = _events(task)
    measures = _measured(events) if task.partial == "events" else _partial(events, task)
    rows = measures.collect(engine="streaming").lazy()  # kept: scanning again for every cutoff takes a tenth longer
    for cutoff in task.cutoffs:
        _features(rows, cutoff, task).sink_parquet(task.table(cutoff), compression="lz4", statistics=False)


def _events(task: Task) -> pl.LazyFrame:
    """What the features read of an event, with `us`, `day`, `period` and `severity`."""
    columns = ("customer_id", "kind", "channel", "rating", "resolved", "wait_hours", "delay_hours", "effort")
    us = pl.col("occurred_at").dt.epoch("us")
    day = (us // DAY_US).cast(pl.Int32)
    begins = pl.Series([0, *task.edges], dtype=pl.Int32)
    edges = pl.Series(task.edges, dtype=pl.Int32)
    period = day if task.partial != "period" else pl.lit(begins).gather(pl.lit(edges).search_sorted(day, side="right"))
    return (
        pl.scan_parquet(task.events)
        .select(*columns, pl.col("amount").cast(pl.Float64), us=us, day=day, period=period)
        .filter(pl.col("day") < max(task.cutoffs))
        .with_columns(severity=pl.sql_expr(task.severity_sql).cast(pl.Int32))
        .with_columns(pl.col("kind").cast(pl.Enum(KINDS)), pl.col("channel").cast(pl.Enum(CHANNELS)))
    )


def _measured(events: pl.LazyFrame) -> pl.LazyFrame:
    """Every measure of the events themselves; `purchase_day` is the day of a purchase."""
    return events.select(
        "customer_id",
        "period",
        pl.lit(True).alias("interaction"),
        _only("day", COUNTS["purchase"]).alias("purchase_day"),
        *(_where(predicate).alias(name) for name, predicate in COUNTS.items()),
        *(_only(value, predicate).alias(name) for name, (value, predicate) in SUMS.items()),
        *(_only("us", predicate).alias(name) for name, predicate in (*LATEST.items(), *EARLIEST.items())),
        _only("amount", COUNTS["purchase"]).alias("max_spend"),
    )


def _partial(events: pl.LazyFrame, task: Task) -> pl.LazyFrame:
    """Every measure summed up per customer and period."""
    purchase = COUNTS["purchase"]
    days = _where(purchase).any() if task.partial == "day" else _only("day", purchase).drop_nulls().n_unique()
    return events.group_by("customer_id", "period").agg(
        pl.len().cast(pl.Int32).alias("interaction"),
        days.cast(pl.Int32).alias("purchase_day"),
        *(_where(predicate).sum().cast(pl.Int32).alias(name) for name, predicate in COUNTS.items()),
        *(_only(value, predicate).sum().alias(name) for name, (value, predicate) in SUMS.items()),
        *(_only("us", predicate).max().alias(name) for name, predicate in LATEST.items()),
        *(_only("us", predicate).min().alias(name) for name, predicate in EARLIEST.items()),
        _only("amount", purchase).max().alias("max_spend"),
    )


def _features(rows: pl.LazyFrame, cutoff: int, task: Task) -> pl.LazyFrame:
    """The features of the customers seen before one cutoff."""
    sums = (_total(measure, cutoff, days, task.partial).alias(total_name(measure, days)) for measure, days in totals())
    aggregates = (
        rows.filter(pl.col("period") < cutoff)
        .group_by("customer_id")
        .agg(*sums, pl.col(*LATEST).max(), pl.col(*EARLIEST).min(), pl.col("max_spend").max().fill_null(0))
        .with_columns(cutoff=cutoff * DAY_US)
    )
    return aggregates.select(
        "customer_id",
        pl.lit(instant(cutoff)).cast(pl.Datetime("us", "UTC")).alias("cutoff"),
        *(_value(feature.name).cast(feature.dtype).alias(feature.name) for feature in COMPARED),
    )


def _total(measure: str, cutoff: int, days: int | None, partial: Partial) -> pl.Expr:
    # when/then inside the sum takes less than half the time of `filter` before it.
    values = pl.col(measure) if days is None else pl.when(pl.col("period") >= cutoff - days).then(pl.col(measure))
    distinct = partial == "events" and measure == "purchase_day"
    return values.drop_nulls().n_unique() if distinct else values.sum()


def _value(name: str) -> pl.Expr:
    if name == "channel_count_365d":
        return pl.sum_horizontal(pl.col(*CHANNEL_TOTALS) > 0)
    if name == "channel_entropy_365d":
        shares = [_quotient(pl.col(total), pl.col("channel_known_365d")) for total in CHANNEL_TOTALS]
        terms = [pl.when(share > 0).then(-share * share.log(2)).otherwise(0) for share in shares]
        return pl.when(pl.col("channel_known_365d") > 0).then(pl.sum_horizontal(terms))
    formula = FORMULAS[name]
    if isinstance(formula, Quotient):
        return _quotient(pl.sql_expr(formula.above), pl.sql_expr(formula.below))
    return pl.col(formula)


def _quotient(above: pl.Expr, below: pl.Expr) -> pl.Expr:
    return above.cast(pl.Float64) / pl.when(below != 0).then(below.cast(pl.Float64))


def _where(predicate: str) -> pl.Expr:
    return pl.sql_expr(predicate)


def _only(column: str, predicate: str | None) -> pl.Expr:
    return pl.col(column) if predicate is None else pl.when(_where(predicate)).then(pl.col(column))


if __name__ == "__main__":
    main(asked())
