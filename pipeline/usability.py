"""What the data is good for: counts, spans and silences of the tables written, and what there is too little of."""

# ruff: noqa: S608 - the SQL is ours, around a SELECT the source's author wrote to be run

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import duckdb

from features.relationship import REVENUE
from models.settings import Minimum
from pipeline.quarantine import Column, customer_columns
from pipeline.raw_files import FileCount, identifier, literal
from pipeline.reconciliation import Equation
from pipeline.sources import Source
from pipeline.staging import Judged, Staged
from pipeline.table_source import warnings_of

LEAST_CUSTOMERS = 500
LEAST_HORIZONS = 2  # one to learn from, one to be judged by
MOST_QUARANTINED = 0.01


@dataclass(frozen=True)
class Account:
    """Where the rows of one table went, and why."""

    equation: Equation
    malformed_lines: int  # part of rows in, and of quarantined
    quarantined_for: dict[str, int]
    out_of_scope_for: dict[str, int]
    conflicting_duplicates: int  # duplicates that differ from the row kept


@dataclass(frozen=True)
class Declared:
    """The company's own labels at one date."""

    as_of: str
    customers: int
    churned: int
    unknown: int  # of customers without an interaction before it, from whom nothing can be learned


@dataclass(frozen=True)
class DataReport:
    """reports/data.json: what came in, what was kept, what it can be used for."""

    source: str
    currency: str
    files: tuple[FileCount, ...]
    interactions: Account
    customers: Account | None
    customer_count: int
    customers_without_a_row: int  # customers known from interactions only
    first_at: str
    last_at: str
    span_days: int  # first to last, both counted
    kinds: dict[str, int]
    channels: dict[str, int]
    nulls: dict[str, int]
    customer_nulls: dict[str, int]
    warnings: tuple[str, ...]
    labels: dict[str, int] | None = None  # of a table: customers who churned, stayed, and without a label
    declared_labels: Account | None = None  # where the rows of labels.sql went
    declared: tuple[Declared, ...] = ()  # the company's own labels, by date

    def as_json(self) -> dict[str, object]:
        return asdict(self)

    @property
    def line(self) -> str:
        """The figures in one line."""
        if self.labels is not None and self.customers is not None:
            told = ", ".join(f"{n:,} {what}" for what, n in self.labels.items())
            return f"{self.source}: {self.customers.equation}; customers: {told}, as of {self.last_at[:10]}"
        customers = f"; customers: {self.customers.equation}" if self.customers else ""
        labels = f"; labels: {self.declared_labels.equation}" if self.declared_labels else ""
        return (
            f"{self.source}: {self.interactions.equation}{customers}{labels}; {self.customer_count:,} customers, "
            f"{self.first_at[:10]} to {self.last_at[:10]}"
        )


@dataclass(frozen=True)
class Written:
    """The tables ingest made."""

    interactions: Path  # a glob
    customers: Path
    customers_without_a_row: int
    labels: Path


def measure(source: Source, stage: Staged, accounts: Mapping[str, Account], written: Written) -> DataReport:
    """Read the written tables and say what they are good for; `accounts` says where the rows of each table went."""
    connection = stage.connection
    interactions_table, customers_table = parquet(written.interactions), parquet(written.customers)
    first, last, days, rows = _row(
        connection,
        "SELECT strftime(min(\"at\"), '%Y-%m-%dT%H:%M:%SZ'), strftime(max(\"at\"), '%Y-%m-%dT%H:%M:%SZ'), "
        'date_diff(\'day\', min("at")::DATE, max("at")::DATE) + 1, count(*) '
        f"FROM (SELECT timezone('UTC', occurred_at) AS \"at\" FROM {interactions_table})",
    )
    customer_count = int(str(_row(connection, f"SELECT count(*) FROM {customers_table}")[0]))
    report = DataReport(
        source=source.name,
        currency=source.currency,
        files=stage.files,
        interactions=accounts["interactions"],
        customers=accounts.get("customers"),
        customer_count=customer_count,
        customers_without_a_row=written.customers_without_a_row,
        first_at=str(first),
        last_at=str(last),
        span_days=int(str(days)),
        kinds=counts(connection, f"SELECT kind FROM {interactions_table}"),
        channels=counts(connection, f"SELECT channel FROM {interactions_table} WHERE channel IS NOT NULL"),
        nulls=_nulls(connection, interactions_table, stage.interactions.columns),
        customer_nulls=_nulls(connection, customers_table, customer_columns(source)),
        warnings=(),
        declared_labels=accounts.get("labels"),
        declared=_declared(connection, written),
    )
    return DataReport(**{**report.__dict__, "warnings": tuple(_warnings(report, source, int(str(rows))))})


def measure_table(
    source: Source, stage: Staged, customers: Account, written: Path, labels: Mapping[str, int]
) -> DataReport:
    """The account of a table of customers, which has neither interactions nor a span."""
    connection = stage.connection
    day = f"{source.as_of:%Y-%m-%d}T00:00:00Z"
    return DataReport(
        source=source.name,
        currency=source.currency,
        files=stage.files,
        interactions=account(connection, stage.interactions, Equation(0, 0, 0, 0, 0)),
        customers=customers,
        customer_count=customers.equation.valid,
        customers_without_a_row=0,
        first_at=day,
        last_at=day,
        span_days=0,
        kinds={},
        channels={},
        nulls={},
        customer_nulls=_nulls(connection, parquet(written), customer_columns(source)),
        warnings=(*warnings_of(labels, Minimum()), *_set_aside_warnings(customers)),
        labels=dict(labels),
    )


def _set_aside_warnings(entry: Account) -> list[str]:
    equation = entry.equation
    checks = (
        (
            equation.quarantined > MOST_QUARANTINED * equation.rows_in,
            f"{equation.quarantined / max(equation.rows_in, 1):.1%} of the rows are quarantined: see data/quarantine.",
        ),
        (
            entry.conflicting_duplicates > 0,
            f"{entry.conflicting_duplicates:,} duplicates differ from the row kept with their id: is the id unique?",
        ),
    )
    return [words for holds, words in checks if holds]


def _declared(connection: duckdb.DuckDBPyConnection, written: Written) -> tuple[Declared, ...]:
    rows = connection.execute(
        "SELECT strftime(as_of, '%Y-%m-%d'), count(*), count(*) FILTER (WHERE churned), "
        "count(*) FILTER (WHERE first_at IS NULL OR first_at >= timezone('UTC', as_of::TIMESTAMP)) "
        f"FROM {parquet(written.labels)} LEFT JOIN (SELECT customer_id, min(occurred_at) AS first_at "
        f"FROM {parquet(written.interactions)} GROUP BY customer_id) USING (customer_id) GROUP BY as_of ORDER BY as_of"
    ).fetchall()
    return tuple(Declared(str(at), int(n), int(churned), int(unknown)) for at, n, churned, unknown in rows)


def counts(connection: duckdb.DuckDBPyConnection, select: str) -> dict[str, int]:
    """How often each value of a SELECT of one column occurs, the most frequent first."""
    rows = connection.execute(
        f"SELECT columns(*)::VARCHAR AS value, count(*) AS n FROM ({select}) GROUP BY 1 ORDER BY n DESC, value"
    ).fetchall()
    return {str(value): int(n) for value, n in rows}


def account(connection: duckdb.DuckDBPyConnection, judged: Judged, equation: Equation) -> Account:
    """Where the rows of a judged table went, with the reasons counted."""
    conflicting = _row(connection, f"SELECT count(*) FROM ({judged.duplicates}) WHERE reason LIKE 'differs%'")
    return Account(
        equation,
        judged.malformed,
        counts(connection, f"SELECT rule FROM ({judged.quarantined})"),
        counts(connection, judged.out_of_scope),
        int(str(conflicting[0])),
    )


def parquet(path: Path) -> str:
    """A Parquet file or glob as it can stand after FROM."""
    return f"read_parquet({literal(str(path))})"


def _warnings(report: DataReport, source: Source, rows: int) -> list[str]:
    horizon = source.recommends.horizon_days + source.recommends.lead_days
    entry = report.interactions
    contradicting = report.declared_labels.conflicting_duplicates if report.declared_labels else 0
    checks = (
        (
            report.customer_count < LEAST_CUSTOMERS,
            f"{report.customer_count} customers are too few to learn from: at least {LEAST_CUSTOMERS} are needed.",
        ),
        (
            report.span_days < LEAST_HORIZONS * horizon,
            f"{report.span_days} days are too few for a horizon of {horizon} days: at least {LEAST_HORIZONS * horizon} "
            "are needed, one horizon to learn from and one to be judged by.",
        ),
        (
            source.recommends.churn_definition == "inactivity" and not {*source.recommends.activity} & {*report.kinds},
            f"No {' or '.join(source.recommends.activity)}: churn by inactivity cannot be predicted. Set "
            f"churn.activity to kinds that the data have ({', '.join(report.kinds)}), or churn.definition to event.",
        ),
        (
            not {*REVENUE} & {*report.kinds},
            f"No {' or '.join(REVENUE)}: customer value cannot be predicted.",
        ),
        (
            bool({*REVENUE} & {*report.kinds}) and report.nulls["amount"] == rows,
            "No amounts: orders can be predicted, money cannot.",
        ),
        (
            source.recommends.churn_definition == "event" and "cancellation" not in report.kinds,
            "No cancellations: churn by event cannot be learned.",
        ),
        (
            all(report.nulls[c] == rows for c in ("rating", "resolved", "delay_hours", "effort")),
            "No ratings, outcomes, delays or efforts: of experiences only the kinds of interactions can tell.",
        ),
        (
            contradicting > 0,
            f"{contradicting:,} labels contradict the one kept of their customer and date: a customer has one outcome.",
        ),
        (
            any(at.unknown for at in report.declared),
            f"{sum(at.unknown for at in report.declared):,} of {sum(at.customers for at in report.declared):,} labels "
            "are of customers without an interaction before as_of: nothing is learned from them. Do their ids match?",
        ),
    )
    return [*(words for holds, words in checks if holds), *_set_aside_warnings(entry)]


def _nulls(connection: duckdb.DuckDBPyConnection, table: str, columns: Sequence[Column]) -> dict[str, int]:
    listed = ", ".join(f"count(*) - count({identifier(column.name)})" for column in columns)
    values = _row(connection, f"SELECT {listed} FROM {table}")
    return {column.name: int(str(value)) for column, value in zip(columns, values, strict=True)}


def _row(connection: duckdb.DuckDBPyConnection, sql: str) -> tuple[object, ...]:
    row = connection.execute(sql).fetchone()
    assert row is not None, "an aggregate yields a row"
    return tuple(row)
