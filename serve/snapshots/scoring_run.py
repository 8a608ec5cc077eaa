"""A scoring run on disk: the scores file, checked against the contract before a row of it is published."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from io import BufferedReader
from pathlib import Path
from typing import Any, get_args

import polars as pl
from polars.exceptions import PolarsError

from fedelta.features.contract import RISK_TIERS, SCORES, Status
from fedelta.features.errors import FedeltaError

ONE_PER_RUN = ("as_of", "horizon_days", "model_version")
_READ_AT_ONCE = 100_000  # rows: a row group is decoded anew for each part of it that is read
DOCUMENT_VERSION = b"6"  # raise it when the same scores would give other documents or columns

_FLOATS = [name for name, dtype in SCORES.items() if dtype == pl.Float64()]


class RunRefused(FedeltaError):
    """The run cannot be published; the message says why and what to do."""


@dataclass(frozen=True)
class RunFacts:
    """What is true of a run as a whole."""

    customers: int
    by_status: dict[str, int]
    as_of: str | None
    horizon_days: int | None
    model_version: str | None
    risk_tiers: dict[str, dict[str, float]]

    @property
    def scored(self) -> int:
        """How many customers have a score."""
        return self.by_status.get("scored", 0)


@dataclass(frozen=True)
class ScoringRun:
    """The scores file of one run. Making one reads nothing; ``facts`` checks it whole."""

    path: Path
    erased: frozenset[str] = frozenset()  # who is in the file and must not be in the run

    def snapshot_id(self) -> str:
        """The run's name: a digest of the file, so that the same scores are the same snapshot."""
        with _opened(self.path) as file:
            digest = hashlib.file_digest(file, lambda: hashlib.sha256(DOCUMENT_VERSION))
        for customer_id in sorted(self.erased):
            digest.update(b"\0" + customer_id.encode("utf-8", "surrogatepass"))
        return digest.hexdigest()[:16]

    @cached_property
    def facts(self) -> RunFacts:
        """Totals of the run.

        Raises
        ------
        RunRefused
            If the file is no parquet file, is empty or breaks the contract of scores.
        """
        try:
            table = self._table()
            checks = table.select(_checks()).collect(engine="streaming").row(0, named=True)
            _refuse_broken(self.path, checks)
            by_status = dict(table.group_by("status").len().sort("status").collect(engine="streaming").iter_rows())
            tiers = (
                table.filter(status="scored")
                .group_by("risk_tier")
                .agg(
                    pl.len().alias("customers"),
                    pl.col("churn_probability").min().alias("min_probability"),
                    pl.col("churn_probability").max().alias("max_probability"),
                )
            )
            by_tier = {row.pop("risk_tier"): row for row in tiers.collect(engine="streaming").to_dicts()}
        except (PolarsError, OSError) as error:
            raise _unreadable(self.path, error) from error
        return RunFacts(
            customers=checks["rows"],
            by_status=by_status,
            as_of=checks["as_of"] and f"{checks['as_of']:%Y-%m-%dT%H:%M:%S}Z",
            horizon_days=checks["horizon_days"],
            model_version=checks["model_version"],
            risk_tiers={tier: by_tier[tier] for tier in RISK_TIERS if tier in by_tier},
        )

    def columns(self, names: Sequence[str]) -> pl.DataFrame:
        """Some columns of the whole run, in file order."""
        try:
            return self._table().select(names).collect(engine="streaming")
        except (PolarsError, OSError) as error:
            raise _unreadable(self.path, error) from error

    def chunks(self, rows: int) -> Iterator[pl.DataFrame]:
        """The run as frames of at most ``rows`` rows in file order.

        Memory holds some chunks (``_READ_AT_ONCE`` rows) and one row group.
        """
        try:
            table = self._file()
            for start in range(0, table.select(pl.len()).collect().item(), _READ_AT_ONCE):
                for some in table.slice(start, _READ_AT_ONCE).collect().iter_slices(rows):
                    yield some.filter(self._kept()) if self.erased else some
        except (PolarsError, OSError) as error:
            raise _unreadable(self.path, error) from error

    def _table(self) -> pl.LazyFrame:
        return self._file().filter(self._kept()) if self.erased else self._file()

    def _kept(self) -> pl.Expr:
        return ~pl.col("customer_id").is_in(sorted(self.erased)).fill_null(value=False)

    def _file(self) -> pl.LazyFrame:
        table = pl.scan_parquet(self.path, glob=False)
        _refuse_columns(self.path, table.collect_schema())
        return _conformed(table)


def read_document(path: Path) -> dict[str, Any] | None:
    """A JSON object that goes with a run, None when there is no such file; NaN and infinities become null.

    Raises
    ------
    RunRefused
        If it is not a JSON object.
    """
    try:
        document = json.loads(path.read_text("utf-8"), parse_constant=lambda _: None)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise RunRefused(f"{path} cannot be read as JSON ({error}): repeat the stage that writes it.") from error
    if not isinstance(document, dict):
        raise RunRefused(f"{path} should hold one JSON object: repeat the stage that writes it.")
    return document


def _opened(path: Path) -> BufferedReader:
    try:
        return path.open("rb")
    except FileNotFoundError:
        raise RunRefused(f"There is no scores file {path}: make one with `dvc repro score`.") from None
    except OSError as error:
        raise RunRefused(f"The scores file {path} cannot be read: {error.strerror}.") from error


def _unreadable(path: Path, error: Exception) -> RunRefused:
    reason = next(iter(str(error).splitlines()), type(error).__name__).rstrip(". ")
    return RunRefused(f"{path} is no readable parquet file ({reason}): write it again with `dvc repro score`.")


def _conformed(table: pl.LazyFrame) -> pl.LazyFrame:
    """The columns of the contract in its order and types; NaN, which is how pandas spells it, becomes null."""
    return table.select(pl.col(name).cast(dtype) for name, dtype in SCORES.items()).with_columns(
        pl.col(_FLOATS).fill_nan(None)
    )


def _refuse_columns(path: Path, found: pl.Schema) -> None:
    faults = []
    if missing := [name for name in SCORES if name not in found]:
        faults.append(f"lacks {', '.join(missing)}")
    if unknown := [name for name in found if name not in SCORES]:
        faults.append(f"has the unknown {', '.join(map(repr, unknown))}")
    faults += [
        f"has {name} as {found[name]} where {dtype} is due"
        for name, dtype in SCORES.items()
        if name in found and not _fits(found[name], dtype)
    ]
    if faults:
        raise RunRefused(f"{path} {'; '.join(faults)}: scores must have the columns of the contract of scores.")


def _fits(found: pl.DataType, wanted: pl.DataType) -> bool:
    """Whether every value of type ``found`` has a place in ``wanted``."""
    if found == wanted or found == pl.Null():
        return True
    if isinstance(wanted, pl.List) and isinstance(found, pl.List):
        return found.inner == pl.Null() or _same_fields(found.inner, wanted.inner)
    if isinstance(wanted, pl.Datetime):
        return isinstance(found, pl.Datetime) and found.time_zone == wanted.time_zone
    if isinstance(wanted, pl.String):
        return isinstance(found, pl.Categorical | pl.Enum)
    if wanted.is_float():
        return found.is_numeric()
    return wanted.is_integer() and found.is_integer()


def _same_fields(found: object, wanted: object) -> bool:
    if not (isinstance(found, pl.Struct) and isinstance(wanted, pl.Struct)):
        return False
    have, need = pl.Schema(found), pl.Schema(wanted)
    return list(have) == list(need) and all(_fits(have[name], need[name]) for name in need)


def _checks() -> list[pl.Expr]:
    scored = pl.col("status") == "scored"
    probability = pl.col("churn_probability")
    return [
        pl.len().alias("rows"),
        (pl.col("customer_id").is_null() | (pl.col("customer_id") == "")).sum().alias("nameless"),
        pl.col("customer_id").n_unique().alias("unique"),
        pl.col("status").is_in(get_args(Status)).not_().fill_null(value=True).sum().alias("strange_status"),
        (scored & ~probability.is_between(0, 1).fill_null(value=False)).sum().alias("no_probability"),
        (scored & pl.col("risk_tier").is_in(RISK_TIERS).not_()).sum().alias("strange_tier"),
        pl.any_horizontal(pl.col(_FLOATS).is_infinite()).sum().alias("infinite"),
        *(pl.col(name).drop_nulls().n_unique().alias(f"{name}_values") for name in ONE_PER_RUN),
        *(pl.col(name).drop_nulls().first().alias(name) for name in ONE_PER_RUN),
    ]


def _refuse_broken(path: Path, checks: dict[str, Any]) -> None:
    rows: int = checks["rows"]
    faults = {
        "has no rows": rows == 0,
        f"has {checks['nameless']} rows without a customer_id": checks["nameless"],
        f"has {rows - checks['unique']} rows that repeat a customer_id": rows - checks["unique"],
        f"has {checks['strange_status']} rows whose status is none of {', '.join(get_args(Status))}": checks[
            "strange_status"
        ],
        f"has {checks['no_probability']} scored rows without a churn_probability from 0 to 1": checks["no_probability"],
        f"has {checks['strange_tier']} rows whose risk_tier is none of {', '.join(RISK_TIERS)}": checks["strange_tier"],
        f"has {checks['infinite']} rows with an infinite number": checks["infinite"],
    } | {
        f"holds {checks[f'{name}_values']} values of {name}, where a run has one": checks[f"{name}_values"] > 1
        for name in ONE_PER_RUN
    }
    if found := [fault for fault, broken in faults.items() if broken]:
        raise RunRefused(f"{path} {'; '.join(found)}: nothing was published. Write it again with `dvc repro score`.")
