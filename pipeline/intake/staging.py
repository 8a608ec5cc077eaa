"""Every row of a source with a verdict on it: valid, duplicate, out of scope or quarantined.

Works in a DuckDB database in a scratch folder, so memory stays bounded whatever the size of the files. Both `ingest`
and `fedelta source check` stand on it.
"""

# ruff: noqa: S608 - the SQL is ours, around a SELECT the source's author wrote to be run

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import duckdb

from fedelta.features.errors import FedeltaError
from fedelta.pipeline.intake.erased import read_erased, without_erased
from fedelta.pipeline.intake.headers import looks_like_a_row
from fedelta.pipeline.intake.id_forms import define as define_id_form
from fedelta.pipeline.intake.quarantine import judged
from fedelta.pipeline.intake.raw_files import (
    MALFORMED,
    FileCount,
    columns_of,
    file_states,
    identifier,
    literal,
    load_raw_files,
    must_be_unchanged,
    one_line,
    one_line_with_place,
)
from fedelta.pipeline.intake.repeatable import must_be_repeatable, warning_of_order
from fedelta.pipeline.intake.rules import (
    INTERACTION_COLUMNS,
    LABEL_COLUMNS,
    TREATMENT_COLUMNS,
    Column,
    Rule,
    customer_columns,
    customer_rules,
    interaction_rules,
    label_rules,
    treatment_rules,
)
from fedelta.pipeline.intake.section import SourceError
from fedelta.pipeline.intake.sources import Source
from fedelta.pipeline.intake.table_source import add_optional_columns, must_be_over, set_contradictions_aside

Tell = Callable[[str], None]

_COLUMNS_NAMED = 20
_CANNOT_WRITE = (
    "A file could not be written or read: {}. Make room on the disk, or correct its permissions, and run it again."
)


class OutOfRoom(FedeltaError):
    """The machine has too little memory or disk for the data."""


@dataclass(frozen=True)
class Judged:
    """The rows of one table of the contract, each with its verdict."""

    name: str
    columns: tuple[Column, ...]
    key: str  # columns that tell rows apart
    rows: int  # what the source's SELECT yielded
    malformed: int  # lines of raw files that never became a row
    given: tuple[str, ...]  # what the source's SELECT yields
    unordered: str | None = None  # a warning that the SELECT depends on the order of rows

    @property
    def table(self) -> str:
        return f"fedelta.{self.name}"

    @property
    def _listed(self) -> str:
        return ", ".join(identifier(column.name) for column in self.columns)

    @property
    def valid(self) -> str:
        """SELECT of the rows to keep."""
        return (
            f"SELECT {self._listed} FROM {self.table} WHERE rule IS NULL AND out_of_scope IS NULL "
            f"AND rowid NOT IN (SELECT row FROM {self.table}_dropped)"
        )

    @property
    def duplicates(self) -> str:
        """SELECT of the rows that gave way to another with the same key."""
        row = f"to_json(struct_pack({', '.join(f'{n} := t.{n}' for n in (identifier(c.name) for c in self.columns))}))"
        return (
            "SELECT 'duplicate' AS rule, CASE WHEN d.same THEN 'equal to the row kept' "
            f"ELSE {literal('differs from the row kept with this ' + self.key)} END AS reason, "
            f"source_row, {row}::VARCHAR AS source_text "
            f"FROM {self.table} t JOIN {self.table}_dropped d ON t.rowid = d.row"
        )

    @property
    def out_of_scope(self) -> str:
        """SELECT of the reasons of rows out of scope."""
        return f"SELECT out_of_scope AS reason FROM {self.table} WHERE out_of_scope IS NOT NULL"

    @property
    def quarantined(self) -> str:
        """SELECT of the rows that broke a rule, malformed lines included."""
        return (
            f"SELECT rule, reason, source_row, source_text FROM {self.table} WHERE rule IS NOT NULL UNION ALL "
            "SELECT 'malformed_line', reason, concat_ws(':', file, line), text FROM "
            f"{MALFORMED} WHERE feeds = {literal(self.name)}"
        )


@dataclass(frozen=True)
class Staged:
    """A source in its scratch database."""

    connection: duckdb.DuckDBPyConnection
    files: tuple[FileCount, ...]
    interactions: Judged
    customers: Judged | None  # None: the source has no customers.sql
    labels: Judged | None = None  # None: the source has no labels.sql
    treatments: Judged | None = None  # None: the source has no treatments.sql

    @property
    def tables(self) -> tuple[Judged, ...]:
        """All that there are."""
        return tuple(table for table in (self.interactions, self.customers, self.labels, self.treatments) if table)

    @property
    def declared(self) -> str:
        """SELECT of the company's own labels: none where the source has no labels.sql."""
        return self.labels.valid if self.labels else _no_rows(LABEL_COLUMNS)

    @property
    def treated(self) -> str:
        """SELECT of the source's treatments: none where it has no treatments.sql."""
        return self.treatments.valid if self.treatments else _no_rows(TREATMENT_COLUMNS)


def _no_rows(columns: Sequence[Column]) -> str:
    listed = ", ".join(f"NULL::{column.sql_type} AS {identifier(column.name)}" for column in columns)
    return f"SELECT {listed} WHERE false"


@contextmanager
def staged(
    source: Source, data: Path, scratch: Path, *, memory_limit: str, workers: int, now: datetime, tell: Tell
) -> Iterator[Staged]:
    """Read `source` from the folder `data` and judge every row; the database lives in `scratch` while in use.

    Raises
    ------
    SourceError
        If the raw files or the SQL cannot be read.
    OutOfRoom
        If memory or disk do not suffice.
    """
    if source.kind == "table":
        must_be_over(source, now)
    with _clear_errors(memory_limit), duckdb.connect(scratch / "staging.duckdb") as connection:
        _configure(connection, source, scratch, memory_limit, workers)
        states = file_states(source.files, data)
        files = tuple(load_raw_files(connection, source.files, data, scratch, tell))
        add_optional_columns(connection, source.files)
        stage = _judge(connection, source, files, now, tell)
        must_be_unchanged(states)
        yield stage


def _configure(
    connection: duckdb.DuckDBPyConnection, source: Source, scratch: Path, memory_limit: str, workers: int
) -> None:
    connection.execute(f"SET memory_limit = {literal(memory_limit)}")
    connection.execute(f"SET temp_directory = {literal(str(scratch / 'spill'))}")
    connection.execute(f"SET threads = {workers}")
    connection.execute("SET preserve_insertion_order = false")
    connection.execute("SET enable_progress_bar = false")
    connection.execute("CREATE SCHEMA fedelta")
    define_id_form(connection)
    try:
        connection.execute(f"SET TimeZone = {literal(source.time_zone)}")
    except duckdb.Error as error:
        raise SourceError(
            f"source {source.name}: time_zone {source.time_zone!r} is unknown. {one_line(error)}"
        ) from None


def _judge(
    connection: duckdb.DuckDBPyConnection, source: Source, files: tuple[FileCount, ...], now: datetime, tell: Tell
) -> Staged:
    scripts = {
        "interactions": source.interactions_sql,
        "customers": source.customers_sql,
        "labels": source.labels_sql,
        "treatments": source.treatments_sql,
    }
    selects = {name: _one_select(sql, f"{source.name}/{name}.sql") for name, sql in scripts.items() if sql is not None}
    _say_whom_malformed_lines_feed(connection, selects)
    tell("judging interactions")
    interactions = _judged_table(
        connection, source, "interactions", selects, INTERACTION_COLUMNS, interaction_rules(source, now)
    )
    customers = None
    if "customers" in selects:
        tell("judging customers")
        customers = _judged_table(
            connection, source, "customers", selects, customer_columns(source), customer_rules(source, now)
        )
    labels = None
    if "labels" in selects:
        tell("judging labels")
        key = "customer_id, as_of"
        labels = _judged_table(connection, source, "labels", selects, LABEL_COLUMNS, label_rules(now), key)
    treatments = None
    if "treatments" in selects:
        tell("judging treatments")
        key = "customer_id, treated_at, campaign, action, arm"
        treatments = _judged_table(
            connection, source, "treatments", selects, TREATMENT_COLUMNS, treatment_rules(now), key
        )
    return Staged(connection, files, interactions, customers, labels, treatments)


def _one_select(sql: str, what: str) -> str:
    try:
        statements = duckdb.extract_statements(sql)
    except duckdb.Error as error:
        raise SourceError(f"{what}: {one_line_with_place(error)}") from None
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        raise SourceError(f"{what} must be exactly one SELECT; it is {len(statements)} statements or something else.")
    return str(statements[0].query).rstrip().rstrip(";")


def _say_whom_malformed_lines_feed(connection: duckdb.DuckDBPyConnection, selects: dict[str, str]) -> None:
    """A malformed line counts once: with interactions, unless only the SQL of another table reads the file.

    Whether customers' SQL reads the file at all is noted too.
    """
    connection.execute(f"ALTER TABLE {MALFORMED} ADD COLUMN feeds VARCHAR DEFAULT 'interactions'")
    connection.execute(f"ALTER TABLE {MALFORMED} ADD COLUMN of_customers BOOLEAN DEFAULT false")
    seen = _tables_read(connection, selects["interactions"])
    for name in list(selects)[1:]:
        read = _tables_read(connection, selects[name])
        for table in sorted(read - seen):
            connection.execute(f"UPDATE {MALFORMED} SET feeds = ? WHERE table_name = ?", [name, table])
        if name == "customers":
            for table in sorted(read):
                connection.execute(f"UPDATE {MALFORMED} SET of_customers = true WHERE table_name = ?", [table])
        seen |= read


def _tables_read(connection: duckdb.DuckDBPyConnection, select: str) -> set[str]:
    row = connection.execute("SELECT json_serialize_sql(?)", [select]).fetchone()
    return set(re.findall(r'"type":"BASE_TABLE".*?"table_name":"(.*?)"', str(row)))


def _judged_table(
    connection: duckdb.DuckDBPyConnection,
    source: Source,
    name: str,
    selects: dict[str, str],
    columns: tuple[Column, ...],
    rules: Sequence[Rule],
    key: str = "",
) -> Judged:
    what, erased = f"{source.name}/{name}.sql", read_erased()
    with _sql_errors(connection, what, source):
        described = connection.execute(f"DESCRIBE {selects[name]}").fetchall()
    must_be_repeatable(connection, selects[name], what)
    unordered = warning_of_order(connection, selects[name], what)
    names = [str(row[0]).lower() for row in described]  # SQL does not tell Country from country
    if twice := sorted({n for n in names if names.count(n) > 1}):
        raise SourceError(f"{what} yields {', '.join(twice)} twice. Name every column once.")
    came, select = dict(zip(names, (str(row[1]) for row in described), strict=True)), selects[name]
    if erased is not None and "customer_id" in came:
        select = without_erased(connection, select, names, erased)
        came.setdefault("out_of_scope", "VARCHAR")
    sql = judged(select, came, columns, rules, what)
    with _sql_errors(connection, what, source):
        connection.execute(f"CREATE TABLE fedelta.{name} AS {sql}")
    rows = count_of(connection, f"SELECT count(*) FROM fedelta.{name}")
    malformed = count_of(connection, f"SELECT count(*) FROM {MALFORMED} WHERE feeds = {literal(name)}")
    key = key or columns[0].name
    if source.kind == "table" and name == "customers":
        set_contradictions_aside(connection, f"fedelta.{name}", [column.name for column in columns])
    _drop_duplicates(connection, f"fedelta.{name}", key, columns)
    return Judged(name, columns, key, rows, malformed, tuple(names), unordered)


def _drop_duplicates(connection: duckdb.DuckDBPyConnection, table: str, key: str, columns: Sequence[Column]) -> None:
    """Note the valid rows that give way to another with the same key: which, does not depend on the order of rows.

    Only rows whose key's hash repeats are sorted, so memory grows with the duplicates, not with the table.
    """
    every = ", ".join(identifier(column.name) for column in columns)
    values = f"row({every})"
    connection.execute(
        f"CREATE TABLE {table}_dropped AS "
        f"WITH fit AS (SELECT rowid AS row, * FROM {table} WHERE rule IS NULL AND out_of_scope IS NULL), "
        f"repeated AS (SELECT hash({key}) AS h FROM fit GROUP BY h HAVING count(*) > 1), "
        f"suspects AS (SELECT * FROM fit WHERE hash({key}) IN (SELECT h FROM repeated)), "
        f"ranked AS (SELECT row, row_number() OVER same_key AS place, "
        f"first_value({values}) OVER same_key IS NOT DISTINCT FROM {values} AS same FROM suspects "
        f"WINDOW same_key AS (PARTITION BY {key} ORDER BY {every}, source_row)) "
        f"SELECT row, same FROM ranked WHERE place > 1"
    )


def count_of(connection: duckdb.DuckDBPyConnection, sql: str) -> int:
    """The number that a query of one value gives."""
    row = connection.execute(sql).fetchone()
    return int(row[0]) if row else 0


@contextmanager
def _sql_errors(connection: duckdb.DuckDBPyConnection, what: str, source: Source) -> Iterator[None]:
    """Errors of the source's own SQL, as one line that names its file."""
    try:
        yield
    except (duckdb.CatalogException, duckdb.BinderException, duckdb.ParserException) as error:
        words = one_line_with_place(error).replace(": DESCRIBE ", ": ")
        tables = {raw.table: columns_of(connection, raw.table) for raw in source.files}
        raise SourceError(f"{what}: {words} {_tables_in_words(tables)}") from None
    except (duckdb.ConversionException, duckdb.OutOfRangeException, duckdb.InvalidInputException) as error:
        raise SourceError(
            f"{what}: {one_line(error)} Use TRY_CAST, or yield the text: what cannot be read is then quarantined."
        ) from None


def _tables_in_words(tables: Mapping[str, Sequence[str]]) -> str:
    """The tables of source.yaml with their columns, and which of them seem to have no header."""
    listed = ", ".join(
        f"{table} ({', '.join(columns[:_COLUMNS_NAMED])}{', …' if len(columns) > _COLUMNS_NAMED else ''})"
        for table, columns in tables.items()
    )
    rows = [table for table, columns in tables.items() if looks_like_a_row(columns)]
    advice = (
        f" The first line of {', '.join(rows)} looks like a row: if there is no header, say "
        "`options: {header: false, names: [...]}`."
        if rows
        else ""
    )
    return f"Tables of source.yaml: {listed}.{advice}"


@contextmanager
def _clear_errors(memory_limit: str) -> Iterator[None]:
    """Too little memory or disk, as one line."""
    try:
        yield
    except duckdb.Error as error:
        text = one_line(error)
        if isinstance(error, duckdb.OutOfMemoryException):
            raise OutOfRoom(f"{memory_limit} of memory do not suffice: raise engine.memory_limit. ({text})") from None
        if isinstance(error, duckdb.IOException) or "Could not write" in text or "No space" in text:
            raise OutOfRoom(_CANNOT_WRITE.format(text.rstrip("."))) from None
        raise SourceError(f"The data could not be read: {text}") from None
    except OSError as error:
        raise OutOfRoom(_CANNOT_WRITE.format(one_line(error).rstrip("."))) from None
