"""The treatments on disk: what was done to customers, read and checked; and who must not be contacted for it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import get_args

import polars as pl
from polars.exceptions import PolarsError

from fedelta.features.contract import (
    TREATMENTS,
    TREATMENTS_NEEDED,
    TREATMENTS_OPTIONAL,
    Arm,
    SuppressionReason,
)
from fedelta.features.errors import FedeltaError
from fedelta.models.policy.actions import suppressed_customers
from fedelta.models.policy.settings import PolicySettings
from fedelta.pipeline import paths

_TIMES = (datetime(1970, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))  # in which a treatment may lie
_FAR = timedelta(days=366)  # after the scores: from here on a treatment is mentioned


class BadTreatments(FedeltaError):
    """A file of treatments cannot be read as such."""


def suppressed_at(as_of: datetime, policy: PolicySettings) -> dict[str, SuppressionReason]:
    """The project's customers who must not be contacted now, and why.

    Raises
    ------
    BadTreatments
        If a file cannot be read as such, or no treated customer is one of the source's.
    """
    customers, treatments = pl.read_parquet(paths.CUSTOMERS), read_treatments()
    treated = treatments["customer_id"].unique().sort()
    if strange := treated.filter(~treated.is_in(customers["customer_id"].implode())).to_list():
        message = f"{len(strange):,} of {len(treated):,} customers in {paths.TREATMENTS}/ are not in the source, "
        message += f"such as {strange[0]!r}. Ids are written as in the source."
        if len(strange) == len(treated):
            raise BadTreatments(message)
        print(f"treatments: {message}")
    late = treatments.filter(pl.col("treated_at") > as_of + _FAR)
    if late.height:
        example = late["treated_at"].dt.to_string("%Y-%m-%d")[0]
        print(
            f"treatments: {late.height:,} of {treatments.height:,} are dated more than a year after the scores, such "
            f"as {example}: until then their customers get no action. Check the dates."
        )
    return suppressed_customers(customers, treatments, as_of, policy)


def read_treatments(folder: Path = paths.TREATMENTS, of_source: Path = paths.SOURCE_TREATMENTS) -> pl.DataFrame:
    """Every treatment: of the folder's parquet files, and of the source, which `ingest` wrote to `of_source`.

    In the columns of the contract; none where there is neither. Rows that are equal in everything are one.

    Raises
    ------
    BadTreatments
        If a file is no parquet file, has other columns or types, or rows that the contract does not allow.
    """
    files = [*sorted(folder.glob("*.parquet")), *([of_source] if of_source.is_file() else [])]
    return pl.concat([TREATMENTS.to_frame(), *(_read(path) for path in files)]).unique(maintain_order=True)


def _read(path: Path) -> pl.DataFrame:
    try:
        found = pl.read_parquet(path, glob=False)
    except (PolarsError, OSError) as error:
        raise BadTreatments(f"{path} is no readable parquet file. Write it anew, or take it away.") from error
    lacking = [pl.lit(None).alias(name) for name in TREATMENTS_OPTIONAL if name not in found.columns]
    found = found.with_columns(lacking)
    if wrong := [name for name, dtype in TREATMENTS.items() if not _fits(found.schema.get(name), dtype)]:
        differences = ", ".join(
            f"{name} as {found.schema.get(name, 'nothing')} instead of {TREATMENTS[name]}" for name in wrong
        )
        raise BadTreatments(f"{path} has {differences}. The columns of treatments: docs/bring-your-own-data.md.")
    table = found.select(pl.col(name).cast(dtype) for name, dtype in TREATMENTS.items())
    incomplete = table.filter(
        pl.any_horizontal(pl.col(TREATMENTS_NEEDED).is_null()) | ~pl.col("arm").is_in(get_args(Arm))
    )
    if incomplete.height:
        raise BadTreatments(
            f"{path} has {incomplete.height:,} of {table.height:,} rows without a customer_id, a treated_at, or an arm "
            f"that is {' or '.join(get_args(Arm))}. Complete them, or leave them out."
        )
    strange = table.filter(~pl.col("treated_at").is_between(*_TIMES, closed="left"))
    if strange.height:
        raise BadTreatments(
            f"{path} has {strange.height:,} of {table.height:,} rows with a treated_at such as "
            f"{strange['treated_at'].dt.to_string('%Y-%m-%d')[0]}; it must be from {_TIMES[0]:%Y} on, and before "
            f"{_TIMES[1]:%Y}."
        )
    for name, most in (("cost", float("inf")), ("expected_value", float("inf")), ("churn_probability", 1.0)):
        outside = table.filter(~(pl.col(name).is_finite() & pl.col(name).is_between(0, most)))
        if outside.height:
            raise BadTreatments(
                f"{path} has {outside.height:,} of {table.height:,} rows with a {name} such as {outside[name][0]:g}; "
                f"it must be {'between 0 and 1' if most == 1 else 'at least 0'}, or null where unknown."
            )
    return table


def _fits(found: pl.DataType | None, wanted: pl.DataType) -> bool:
    """Whether a column is of the contract's type, or as good: any precision of time, whole costs, nothing but null."""
    if isinstance(wanted, pl.Datetime):
        return found == pl.Null() or (isinstance(found, pl.Datetime) and found.time_zone == wanted.time_zone)
    if wanted.is_float():
        return found is not None and (found.is_numeric() or found == pl.Null())
    return found in (wanted, pl.Null()) or isinstance(found, pl.Categorical | pl.Enum)
