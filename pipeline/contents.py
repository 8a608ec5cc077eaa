"""What the files of a project hold: columns of its tables, entries of its reports."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import NoneType
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import TypeAdapter, ValidationError

from fedelta.features.contract import INTERACTIONS, LABELS, SCORES, TREATMENTS
from fedelta.features.errors import FedeltaError
from fedelta.features.registry import FEATURES
from fedelta.pipeline import paths
from fedelta.pipeline.buckets.shuffle import HASH
from fedelta.pipeline.stages import deps_of_stages

Types = Mapping[str, pl.DataType | None]  # None: any

_CUSTOMER: Types = {"customer_id": pl.String()}
_ROW: Types = {**_CUSTOMER, "cutoff": pl.Datetime("us", "UTC")}
_OF_CUTOFF: Types = {
    "horizon_days": pl.Int32(), "lead_days": pl.Int32(), "role": pl.String(), "refit": pl.Boolean(),
    "status": pl.String(),
}  # fmt: skip
# What models of purchases answer, as `models.btyd.purchase_prior.COLUMNS` has it, which is slow to import.
_PRIOR: Types = {
    f"{model}_{answer}": pl.Float64()
    for model in ("pareto", "bg")
    for answer in ("p_alive", "p_any", "expected_orders", "expected_spend")
}
_EXPERIENCE: Types = {  # of a history; complaints that a table counts have none of them
    "kind": pl.String(), "rules": pl.List(pl.String()), "pillar": pl.String(), "level": pl.String(),
    "severity": pl.Float64(), "number": pl.Int32(), "resolved": pl.Boolean(),
}  # fmt: skip
_OUTCOMES: Types = {
    f"horizon_{name}": pl.Float64() for name in ("purchase_count", "purchase_day_count", "spend", "cancellation_count")
}


@dataclass(frozen=True)
class Table:
    """What a table must hold; it may hold more."""

    columns: Types
    keys: tuple[str, ...] = ("customer_id",)  # null in no row
    some: bool = False  # whether it has rows in any project
    together: Types = field(default_factory=dict)  # columns of which it has all or none

    def mistake(self, files: list[Path]) -> str:
        """What is wrong with the table that these files are, in words; nothing if it is as it must be."""
        rows = 0
        for file in files:
            try:
                found, whole = pl.read_parquet_schema(file), pq.read_metadata(file)
            except (pl.exceptions.PolarsError, pa.ArrowException, OSError):
                return f"{file} is cut short or damaged otherwise"
            needed = {**self.columns, **(self.together if self.together.keys() & found.keys() else {})}
            if lacking := [name for name in needed if name not in found]:
                return f"{file} lacks {_listed(lacking)}"
            other = [n for n, kind in needed.items() if kind is not None and not _like(found[n], kind)]
            if other:
                return f"{file} has {_listed(f'{n} as {found[n]} instead of {needed[n]}' for n in other)}"
            if empty := [name for name in self.keys if _nulls(whole, name)]:
                return f"{file} has rows without {_listed(empty)}"
            rows += whole.num_rows
        return f"{files[0].parent if len(files) > 1 else files[0]} has no rows" if self.some and not rows else ""


TABLES: Mapping[Path, Table] = {
    paths.INTERACTIONS: Table({**INTERACTIONS, HASH: pl.UInt64()}, ("customer_id", "occurred_at", "kind", HASH)),
    paths.CUSTOMERS: Table(
        {**_CUSTOMER, "signed_up_at": pl.Datetime("us", "UTC"), "opted_out": pl.Boolean()}, some=True
    ),
    paths.DECLARED_LABELS: Table(LABELS),
    paths.SOURCE_TREATMENTS: Table(TREATMENTS),
    paths.FEATURES: Table(
        {**_ROW, **_OF_CUTOFF},
        ("customer_id", "cutoff", *_OF_CUTOFF),
        some=True,
        together={feature.name: feature.dtype for feature in FEATURES},
    ),
    paths.LABELS: Table(_ROW, ("customer_id", "cutoff"), together=_OUTCOMES),
    paths.PRIOR: Table({**_ROW, **_PRIOR}, ("customer_id", "cutoff")),
    paths.VALUE_FEATURES: Table({**_ROW, **_OF_CUTOFF}, ("customer_id", "cutoff", *_OF_CUTOFF)),
    paths.VALUE_LABELS: Table(_ROW, ("customer_id", "cutoff"), together=_OUTCOMES),
    paths.VALUE_PRIOR: Table({**_ROW, **_PRIOR}, ("customer_id", "cutoff")),
    paths.EXPERIENCES: Table(
        {**_CUSTOMER, "interaction_id": pl.String(), "occurred_at": pl.Datetime("us", "UTC"), "rule": pl.String()},
        together=_EXPERIENCE,
    ),
    paths.PILLARS: Table(_CUSTOMER),
    paths.EVALUATION: Table({**_ROW, "churned": pl.Float64(), "churn_chosen": pl.Float64()}, ("customer_id", "cutoff")),
    paths.SCORES: Table(SCORES, ("customer_id", "as_of", "horizon_days", "status"), some=True),
}
# Entries of reports and their types; an entry may also be null.
_REPORTS: Mapping[Path, Mapping[str, type]] = {
    paths.EVALUATION_REPORT: {
        "cutoff": str, "horizon_days": int, "rows": int, "churn_rate": float, "clv_horizon_days": int, "clv_rows": int,
        "churn": dict, "churn_against": dict, "clv": dict, "clv_against": dict, "clv_interval": dict, "segments": dict,
        "deciles": dict,
    },
    paths.EXPERIENCE_REPORT: {"as_of": str, "rules": dict, "pillars": dict, "levels": dict, "segments": dict},
    paths.LOYALTY_REPORT: {"horizon_days": int, "attitude": dict, "classes": list, "personas": dict},
    paths.SAVES_REPORT: {"epochs": list, "comparisons": list, "says": str, "uplift": dict},
    paths.FAIRNESS_REPORT: {"attributes": dict, "warnings": list},
    paths.LEAKAGE_REPORT: {"rows": int, "leaks": list, "accepted": list},
    paths.DRIFT_REPORT: {"as_of": str, "alarms": list, "checks": list, "features": list, "performance": list},
}  # fmt: skip


# What commands read that are no stages; those say in dvc.yaml what they read.
_READS: Mapping[str, tuple[Path, ...]] = {
    **dict.fromkeys(("at-risk", "lineage", "plan", "saves"), (paths.SCORES,)),
    "explain": (paths.SCORES, paths.INTERACTIONS, paths.CUSTOMERS),
    "backtest": (paths.INTERACTIONS, paths.CUSTOMERS),
    "churn-window": (paths.INTERACTIONS,),
    "tune": (paths.FEATURES, paths.LABELS, paths.PRIOR),
}


def tables_of_stage(name: str) -> tuple[Path, ...]:
    """The tables among the ``deps`` of a stage of dvc.yaml."""
    return tuple(path for path in map(Path, deps_of_stages().get(name, ())) if path in TABLES)


def tables_of_command(name: str) -> tuple[Path, ...]:
    """The tables that a command reads which is no stage."""
    return _READS[name]


class WrongContent(FedeltaError):
    """A file of the project is not the table that it must be."""


def tables_must_hold(*tables: Path) -> None:
    """Refuse tables of the project that are not what this version writes, before anything is computed of them.

    Raises
    ------
    WrongContent
        If one lacks a column or has one of another type, a key is null, or it has no rows.
    """
    for path in tables:
        if mistake := next(mistakes_in_tables(only=frozenset({path})), ""):
            raise WrongContent(f"{mistake}: remove it and run `dvc repro`, which makes it anew.")


def mistakes_in_tables(folder: Path = Path(), *, only: frozenset[Path] = frozenset(TABLES)) -> Iterator[str]:
    """What is wrong with the tables of a project, by what their files say of themselves: no row is read."""
    for path, table in TABLES.items():
        place = folder / path
        files = sorted(place.glob("*.parquet")) if place.is_dir() else [place] if place.is_file() else []
        if path in only and files and (mistake := table.mistake(files)):
            yield mistake


def mistakes_in_reports(folder: Path = Path()) -> Iterator[str]:
    """What is wrong with the reports of a project."""
    for path, entries in _REPORTS.items():
        if (folder / path).is_file() and (mistake := _of_report(json.loads((folder / path).read_bytes()), entries)):
            yield f"{folder / path} {mistake}"
    if (folder / paths.DATA_REPORT).is_file() and (mistake := _of_data((folder / paths.DATA_REPORT).read_bytes())):
        yield f"{folder / paths.DATA_REPORT} {mistake}"


def _of_report(document: Any, entries: Mapping[str, type]) -> str:
    if not isinstance(document, dict):
        return f"is no JSON object but {_kind(document)}"
    if lacking := [name for name in entries if name not in document]:
        return f"lacks {_listed(lacking)}"
    other = [n for n, kind in entries.items() if not isinstance(document[n], (kind, NoneType, *_WIDER.get(kind, ())))]
    return (
        "has " + _listed(f"{n} as {_kind(document[n])} instead of {_NAMES[entries[n]]}" for n in other) if other else ""
    )


def _of_data(content: bytes) -> str:
    from fedelta.pipeline.intake.usability import DataReport  # noqa: PLC0415 - as the loaders

    try:
        TypeAdapter(DataReport).validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        if first["type"] == "missing":
            return f"lacks {place}"
        if not place:
            return f"is no JSON object but {_kind(first['input'])}"
        return f"has {place} as {_kind(first['input'])}: {first['msg'][0].lower()}{first['msg'][1:]}"
    return ""


_WIDER: Mapping[type, tuple[type, ...]] = {float: (int,)}
_NAMES: Mapping[type, str] = {
    dict: "an object", list: "a list", str: "text", int: "a number", float: "a number", bool: "true or false",
    NoneType: "null",
}  # fmt: skip


def _kind(value: object) -> str:
    return _NAMES.get(type(value), type(value).__name__)


def _like(found: pl.DataType, wanted: pl.DataType) -> bool:
    """Whether a column is of a type; what lists and structs are of is not looked at."""
    return found == wanted or (found.is_nested() and type(found) is type(wanted))


def _nulls(metadata: pq.FileMetaData, name: str) -> bool:
    """Whether a column has nulls, as far as the file says."""
    place = metadata.schema.names.index(name)
    for group in range(metadata.num_row_groups):
        statistics = metadata.row_group(group).column(place).statistics
        if statistics is not None and statistics.has_null_count and statistics.null_count:
            return True
    return False


def _listed(names: Any) -> str:
    """Names as a list for people, the first few where there are many."""
    all_of_them = list(names)
    more = f" and {len(all_of_them) - 8} more" if len(all_of_them) > 8 else ""
    return ", ".join(all_of_them[:8]) + more
