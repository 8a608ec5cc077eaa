"""What the list of a snapshot is sorted and filtered by: a column each, in the order of value at risk.

A row of the columns is a scored customer. A position is a place in them, 0 for most value at risk.
"""

from collections.abc import Iterator

import polars as pl

# The sorts of the list, descending: ties by customer_id, nulls last. The first is the order of the columns.
SORTS = {
    "value_at_risk": "value_at_risk",
    "probability": "churn_probability",
    "delta": "delta",
    "expected_profit": "expected_profit",
}
NUMBERS = (
    "value_at_risk", "churn_probability", "clv_expected", "delta", "expected_profit", "p_here", "p_saved",
    "contact_cost", "win_back_value",
)  # fmt: skip
KINDS = ("risk_tier", "loyalty_class", "persona", "channel", "journey", "journey_stage", "action", "team")
READ = ("customer_id", "status", "as_of", "previous_probability", "open_issue", "held_out", "suppression_reason")
OF_REASONS = ("code", "theme")


class ReasonsMet:
    """Which customers have a reason of some code or theme, gathered a chunk at a time."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str], list[pl.Series]] = {}

    def add(self, rows: pl.Series, reasons: pl.Series) -> None:
        """Note the reasons of customers, given by their rows in the file. The rest of a score is no reason."""
        each = pl.DataFrame({"row": rows, "reason": reasons}).explode("reason").drop_nulls("reason")
        each = each.select("row", pl.col("reason").struct.field(*OF_REASONS)).filter(
            pl.col("code").ne_missing(pl.lit("rest"))
        )
        for kind in OF_REASONS:
            for (name,), met in each.select("row", kind).drop_nulls().unique().group_by(kind):
                self._rows.setdefault((kind, str(name)), []).append(met["row"])

    def columns(self, position_of_row: pl.Series) -> Iterator[pl.Series]:
        """A column of bits for each code and theme, named as `reason_column` has it."""
        height = len(position_of_row) - position_of_row.null_count()
        for (kind, name), rows in sorted(self._rows.items()):
            bits = pl.Series(reason_column(kind, name), [False], pl.Boolean).new_from_index(0, height)
            yield bits.scatter(position_of_row.gather(pl.concat(rows)).drop_nulls(), True)


def reason_column(kind: str, name: str) -> str:
    """The column that says who has a reason of this code or theme."""
    return f"reason {kind} {name}"


def listed(customers: pl.DataFrame) -> pl.DataFrame:
    """The columns of the scored among ``customers``, in file order there: `READ`, `NUMBERS`, `KINDS` and what a
    comparison adds. ``row`` is a customer's place in the file.
    """
    scored = customers.with_row_index("row").filter(status="scored")
    frame = _descending(scored.sort("customer_id"), "value_at_risk")
    return frame.select(
        "row",
        "customer_id",
        *NUMBERS,
        "tier_changed_at",
        *KINDS,
        "open_issue",
        held_out=pl.col("held_out").fill_null(value=False),
        suppressed=pl.col("suppression_reason").is_not_null(),
    )


def orders(frame: pl.DataFrame) -> Iterator[pl.Series]:
    """For each sort but the first ``order NAME``, positions by rank, and ``rank NAME``, ranks (0 first) by position."""
    places = frame.select("customer_id", *NUMBERS).with_row_index("position").sort("customer_id")
    for sort, column in list(SORTS.items())[1:]:
        order = _descending(places.select("position", column), column)["position"]
        yield order.alias(f"order {sort}")
        yield order.arg_sort().cast(pl.UInt32).alias(f"rank {sort}")


def names(frame: pl.DataFrame) -> dict[str, list[str]]:
    """For each of the kinds, what its numbers stand for."""
    return {kind: frame[kind].drop_nulls().unique().sort().to_list() for kind in KINDS}


def encoded(frame: pl.DataFrame) -> pl.DataFrame:
    """The frame with kinds as numbers: places in `names`."""
    return frame.with_columns(
        pl.col(kind).replace_strict(known, range(len(known)), default=None, return_dtype=_smallest(len(known)))
        if known
        else pl.lit(None, pl.UInt8).alias(kind)
        for kind, known in names(frame).items()
    )


def _smallest(count: int) -> pl.DataType:
    return pl.UInt8() if count <= 256 else pl.UInt32()


def _descending(by_id: pl.DataFrame, column: str) -> pl.DataFrame:
    return by_id.sort(column, descending=True, nulls_last=True, maintain_order=True)
