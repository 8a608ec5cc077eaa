"""A source of ``kind: table``: one row per customer with a label, attributes and counts, and no history.

It passes through the same intake as an event log whose interactions are none. Here is what only a table needs: its
columns and rules, what its labels must be, and its account.
"""

# ruff: noqa: S608 - the SQL is ours, around a SELECT the source's author wrote to be run

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import polars as pl

from fedelta.features.cutoffs import Cutoff, CutoffSettings, score_cutoff
from fedelta.features.relationship import Definition
from fedelta.models.minimum import Minimum
from fedelta.pipeline.intake.raw_files import columns_of, identifier, literal
from fedelta.pipeline.intake.section import SourceError
from fedelta.pipeline.intake.sources import RawFiles, Source

LABEL = "churned"
MONEY = ("spend", "value")
CONTRADICTION = "two_labels"
_FIRST_LABELS = (  # what a table must have before anything can be learned
    "Map the column that says who left to `churned` (true, false, or null where unknown)"
)


class NoLabels(SourceError):
    """Nothing in a table says who left, or everybody did the same."""


def add_optional_columns(connection: duckdb.DuckDBPyConnection, files: Sequence[RawFiles]) -> None:
    """Give the raw tables the columns that source.yaml calls optional and their files lack, as nulls."""
    for raw in files:
        there = {name.lower() for name in columns_of(connection, raw.table)}
        if not (missing := [name for name in raw.optional if name.lower() not in there]):
            continue
        nulls = ", ".join(f"NULL::VARCHAR AS {identifier(name)}" for name in missing)
        inner = identifier(f"{raw.table}__as_read")
        (is_view,) = connection.execute(
            "SELECT count(*) FROM duckdb_views() WHERE NOT internal AND view_name = ?", [raw.table]
        ).fetchone() or (0,)
        connection.execute(f"ALTER {'VIEW' if is_view else 'TABLE'} {identifier(raw.table)} RENAME TO {inner}")
        connection.execute(f"CREATE VIEW {identifier(raw.table)} AS SELECT *, {nulls} FROM {inner}")


def set_contradictions_aside(connection: duckdb.DuckDBPyConnection, table: str, columns: Sequence[str]) -> None:
    """Quarantine every row of a customer for whom the judged `table` holds both labels: nobody knows which is right."""
    row = f"to_json(struct_pack({', '.join(f'{n} := {n}' for n in map(identifier, columns))}))"
    connection.execute(
        f"UPDATE {table} SET rule = {literal(CONTRADICTION)}, source_text = {row}::VARCHAR, reason = "
        f"{literal(f'one row of this customer says {LABEL}, another says not; keep the row that is right')} "
        "WHERE rule IS NULL AND out_of_scope IS NULL AND customer_id IN ("
        f"SELECT customer_id FROM {table} WHERE rule IS NULL AND out_of_scope IS NULL "
        f"GROUP BY customer_id HAVING count(DISTINCT {LABEL}) > 1)"
    )


def labels_in(connection: duckdb.DuckDBPyConnection, select: str) -> dict[str, int]:
    """How many customers of a SELECT left, stayed, and have no label."""
    row = connection.execute(
        f"SELECT count(*) FILTER ({LABEL}), count(*) FILTER (NOT {LABEL}), count(*) FILTER ({LABEL} IS NULL) "
        f"FROM ({select})"
    ).fetchone()
    left, stayed, unknown = row or (0, 0, 0)
    return {"churned": int(left), "stayed": int(stayed), "unknown": int(unknown)}


def must_be_over(source: Source, now: datetime) -> None:
    """Refuse a table that describes a day yet to come, or one before there were such tables.

    Raises
    ------
    SourceError
        If `as_of` is more than a day after `now`, or before 1970.
    """
    assert source.as_of is not None
    if source.as_of.year < 1970:
        raise SourceError(
            f"sources/{source.name}/source.yaml: as_of is {source.as_of}, before 1970. It must be the last day that "
            "the table describes."
        )
    if source.as_of > (now + timedelta(days=1)).date():
        raise SourceError(
            f"sources/{source.name}/source.yaml: as_of is {source.as_of}, which is yet to come. It must be the last "
            "day that the table describes."
        )


def must_be_declared(source: Source, definition: Definition) -> None:
    """Refuse a table whose outcome the settings would look for in a history.

    Raises
    ------
    SourceError
        If churn is not what the company declares.
    """
    if source.kind == "table" and definition != "declared":
        raise SourceError(
            f"churn.definition is {definition}, but source {source.name} is a table, which has no history: nobody "
            f"would ever leave. Set churn.definition to declared in params.yaml, as `fedelta use {source.name}` does."
        )


def check_labels(source: Source, labels: Mapping[str, int], quarantined: int) -> None:
    """Refuse a table that nothing can be learned from; `quarantined` is the number of rows set aside.

    Raises
    ------
    NoLabels
        If no row has a label, or all that have one have the same.
    """
    rows, place = sum(labels.values()), f"{source.name}/customers.sql"
    if quarantined and labels["unknown"] == rows:
        raise NoLabels(
            f"{place} yields no label that could be read: {quarantined:,} rows are quarantined, and `{LABEL}` is null "
            f"in the other {rows:,}. `fedelta source check {source.name}` shows what was wrong with them. "
            f"{_FIRST_LABELS}."
        )
    if labels["unknown"] == rows:
        raise NoLabels(
            f"{place} yields no label: `{LABEL}` is null or missing in all {rows:,} rows. {_FIRST_LABELS}. A table "
            "without labels can be scored with a bundle that has learned: `fedelta score --data DIR`."
        )
    if not (labels["churned"] and labels["stayed"]):
        what = "left" if labels["churned"] else "stayed"
        raise NoLabels(
            f"{place}: all {rows - labels['unknown']:,} labelled customers {what}, so there is nothing to tell apart. "
            f"Check how the SQL writes `{LABEL}`, or bring customers who {'stayed' if labels['churned'] else 'left'}."
        )


def check_spend(connection: duckdb.DuckDBPyConnection, source: Source, select: str) -> None:
    """Refuse a spend that is known of some labelled customers only: the others would count as if they were not there.

    Raises
    ------
    NoLabels
        If it is so.
    """
    row = connection.execute(f"SELECT count(*), count(spend) FROM ({select}) WHERE {LABEL} IS NOT NULL").fetchone()
    labelled, known = row or (0, 0)
    if 0 < known < labelled:
        raise NoLabels(
            f"{source.name}/customers.sql: spend is null for {labelled - known:,} of {labelled:,} labelled customers. "
            "Give it for all of them (0 where nothing was spent in the horizon), or leave the column out."
        )


def warnings_of(labels: Mapping[str, int], least: Minimum) -> list[str]:
    """What there is too little of to learn from."""
    counts = (
        ("churned", labels["churned"], least.positives),
        ("stayed", labels["stayed"], least.negatives),
        ("are labelled", labels["churned"] + labels["stayed"], least.customers),
    )
    return [
        f"{found:,} customers {what}: too few to learn from, at least {needed:,} are needed."
        for what, found, needed in counts
        if found < needed
    ]


def as_of(source: Source, settings: CutoffSettings) -> datetime:
    """The midnight (UTC) as of which a table describes its customers.

    `cutoffs.score_at` where it is a date; the end of the day `as_of` of source.yaml where it is `latest`.

    Raises
    ------
    SourceError
        If it is yet to come.
    """
    assert source.as_of is not None
    day = datetime(source.as_of.year, source.as_of.month, source.as_of.day, tzinfo=UTC)
    when = score_cutoff(settings, day)
    must_not_be_to_come(when, "cutoffs.score_at")
    return when


def must_not_be_to_come(when: datetime, what: str) -> None:
    """Refuse to describe customers as of a day that nobody has seen.

    Raises
    ------
    SourceError
        If `when` is more than a day ahead.
    """
    if when > datetime.now(UTC) + timedelta(days=1):
        raise SourceError(
            f"{what} is {when:%Y-%m-%d}, which is yet to come. It must be the midnight after the last day that the "
            "table describes."
        )


def cutoff_of(source: Source, settings: CutoffSettings, *, horizon_days: int) -> Cutoff:
    """The one cutoff of a table."""
    return Cutoff(as_of(source, settings), horizon_days, 0, "score")


def read_customers(path: Path, source: Source) -> pl.DataFrame:
    """The customers that ingest wrote for a table, sorted by id.

    Raises
    ------
    SourceError
        If they are of an event log: the source changed since.
    """
    customers = pl.read_parquet(path).sort("customer_id")
    if LABEL not in customers.columns:
        raise SourceError(
            f"{path} has no column {LABEL}, but source {source.name} is a table. Run `dvc repro ingest` first."
        )
    return customers
