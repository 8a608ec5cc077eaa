"""A data frame that somebody has, as interactions of the contract: completed, sorted, and refused where it is wrong."""

from collections.abc import Collection

import polars as pl

from fedelta.features.contract import CHANNELS, INTERACTIONS, KINDS, REQUIRED
from fedelta.features.errors import FedeltaError, meant
from fedelta.features.visibility import KNOWN_AT

_NEEDED = [name for name in REQUIRED if name != "interaction_id"]
_SHARES = ("rating", "effort")  # from 0 to 1
_NOT_NEGATIVE = ("amount", "wait_hours", "reach")
_MOST_MONEY = 1e14  # what a decimal of the contract holds
_WORDS = {
    "interaction_id": "text",
    "customer_id": "text or whole numbers",
    "occurred_at": "times (pandas.to_datetime makes them of text)",
    "kind": "text",
    "channel": "text",
    "amount": "numbers",
    "rating": "numbers from 0 to 1",
    "resolved": "true or false",
    "wait_hours": "numbers",
    "delay_hours": "numbers",
    "effort": "numbers from 0 to 1",
    "reach": "whole numbers",
    "topic": "text",
    "margin": "numbers",
    "known_at": "times (pandas.to_datetime makes them of text)",
}


class BadInteractions(FedeltaError, ValueError):
    """A data frame of interactions does not keep the contract."""


def interactions_of(frame: pl.DataFrame, kinds: Collection[str] = (), channels: Collection[str] = ()) -> pl.DataFrame:
    """The frame with all columns of ``features.contract.INTERACTIONS``, sorted by customer, time and id.

    Parameters
    ----------
    frame : DataFrame of shape (n_interactions, n_columns)
        `customer_id`, `occurred_at` and `kind`, and any others of the contract; those that are absent are null. Times
        without a zone are UTC. Without `interaction_id` the order of the rows decides between those of one instant.
    kinds, channels : collection of str
        Those that there may be besides the contract's.

    Raises
    ------
    BadInteractions
        If a column is missing, unknown or of another type, or a value is missing or out of range.
    """
    _check_columns(frame)
    typed = frame.select(_typed(frame, name) for name in INTERACTIONS if name in frame.columns)
    _check_values(typed, kinds, channels)
    if "interaction_id" not in typed.columns:
        digits = len(str(typed.height))
        numbers = pl.int_range(typed.height).cast(pl.String).str.zfill(digits)
        typed = typed.with_columns(interaction_id=numbers)
    elif repeated := typed.height - typed["interaction_id"].n_unique():
        raise BadInteractions(
            f"{repeated:,} rows repeat an interaction_id; it must be unique. Drop the duplicates, or leave the column "
            "out if it does not name interactions."
        )
    complete = typed.select(
        (pl.col(name) if name in typed.columns else pl.lit(None)).cast(dtype).alias(name)
        for name, dtype in INTERACTIONS.items()
    )
    return complete.sort("customer_id", "occurred_at", "interaction_id")


def _check_columns(frame: pl.DataFrame) -> None:
    if missing := [name for name in _NEEDED if name not in frame.columns]:
        raise BadInteractions(
            f"The interactions lack {', '.join(missing)}; they must have the columns {', '.join(_NEEDED)}. They have "
            f"{', '.join(frame.columns) or 'none'}: rename them."
        )
    if unknown := [name for name in frame.columns if name not in INTERACTIONS]:
        raise BadInteractions(
            f"The interactions have the unknown column {unknown[0]}.{meant(unknown[0], INTERACTIONS)} Known are "
            f"{', '.join(INTERACTIONS)}: rename the column, or leave it out."
        )
    if frame.is_empty():
        raise BadInteractions("There are no interactions: the frame has no rows.")


def _typed(frame: pl.DataFrame, name: str) -> pl.Expr:
    """A column in the type of the contract."""
    came, column = frame.schema[name], pl.col(name)
    wanted = INTERACTIONS[name]
    numbers = came.is_numeric()
    fits = {
        pl.String: came in (pl.String, pl.Categorical, pl.Enum) or (name.endswith("_id") and came.is_integer()),
        pl.Datetime: came in (pl.Datetime, pl.Date),
        pl.Boolean: came == pl.Boolean,
    }.get(type(wanted), numbers)
    if frame[name].null_count() == frame.height:
        return column.cast(wanted)
    if not fits:
        raise BadInteractions(f"The column {name} of the interactions is of type {came}; it must hold {_WORDS[name]}.")
    if wanted == pl.Datetime:
        times = column.cast(pl.Datetime("us", getattr(came, "time_zone", None)))
        zoned = getattr(came, "time_zone", None) is not None
        return times.dt.convert_time_zone("UTC") if zoned else times.dt.replace_time_zone("UTC")
    if came.is_float():
        column = column.fill_nan(None)
    return column  # numbers are cast when their values have been looked at


def _check_values(typed: pl.DataFrame, kinds: Collection[str], channels: Collection[str]) -> None:
    for name in (*_NEEDED, *(["interaction_id"] if "interaction_id" in typed.columns else [])):
        if nulls := typed[name].null_count():
            raise BadInteractions(f"{nulls:,} of {typed.height:,} rows have no {name}; drop them, or fill it in.")
    for name in typed.columns:
        column = typed[name]
        if not column.dtype.is_numeric() or name.endswith("_id"):
            continue
        low, high = column.min(), column.max()
        if low is None or high is None:
            continue
        least = 0.0 if name in (*_SHARES, *_NOT_NEGATIVE) else -_MOST_MONEY
        most = 1.0 if name in _SHARES else _MOST_MONEY
        if not (least <= float(low) and float(high) <= most):  # type: ignore[arg-type]
            value = low if not least <= float(low) else high  # type: ignore[arg-type]
            limits = "from 0 to 1" if name in _SHARES else "finite, and at least 0" if least == 0 else "finite"
            what = " What was given back is a row of kind return, with a positive amount." if name == "amount" else ""
            raise BadInteractions(f"The column {name} holds {value!r}; it must be {limits}.{what}")
        if name == "reach" and column.dtype.is_float() and (column != column.floor()).any():
            raise BadInteractions("The column reach holds fractions; it must hold whole numbers.")
    _check_names(typed, "kind", (*KINDS, *kinds))
    if "channel" in typed.columns:
        _check_names(typed, "channel", (*CHANNELS, *channels))
    if KNOWN_AT in typed.columns and (early := (typed[KNOWN_AT] < typed["occurred_at"]).sum()):
        raise BadInteractions(f"{early:,} rows have a known_at before their occurred_at; it is when one learned of it.")


def _check_names(typed: pl.DataFrame, name: str, known: Collection[str]) -> None:
    came = typed[name].cast(pl.String).drop_nulls().unique().to_list()
    if unknown := sorted({*came} - {*known}):
        rows = int((typed[name].cast(pl.String) == unknown[0]).sum())
        raise BadInteractions(
            f"{rows:,} rows have the {name} {unknown[0]!r}, which is unknown.{meant(unknown[0], known)} Known are "
            f"{', '.join(known)}; name further ones in `{name}s`."
        )
