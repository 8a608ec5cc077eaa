"""`fedelta fetch`: copies of a source's database tables in its data folder, one Parquet file each.

A database changes under a run, and DVC cannot know that it did. So only this command asks it; the stages read the
copies, which DVC knows like any other file. A table that did not change gives the same bytes. DuckDB's own PostgreSQL
extension is not used: it is not part of DuckDB's package and would have to be downloaded on first use; ADBC's driver is
a package of its own.
"""

# ruff: noqa: S608 - the SQL is of source.yaml, in a transaction that may only read

import importlib
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from fedelta.pipeline.intake.raw_files import identifier, insert_batches, literal, one_line
from fedelta.pipeline.intake.section import SourceError
from fedelta.pipeline.intake.sources import RawFiles, Source

# Types that Arrow holds as they are, and numeric, which arrives as text. All others are asked for as text, times among
# them: the driver would turn infinity into a date BC.
_AS_THEY_ARE = {"int2", "int4", "int8", "float4", "float8", "bool", "text", "varchar", "numeric"}
_TIMES = {"date": "DATE", "timestamp": "TIMESTAMP", "timestamptz": "TIMESTAMPTZ"}
_ON_THE_SERVER = {"money": "numeric"}  # its text depends on the server's language
_MOST_DIGITS = 38
_PATIENCE = "10"  # seconds to wait for a connection, unless PGCONNECT_TIMEOUT says otherwise


def fetch(source: Source, folder: Path, tell: Callable[[str], None] = lambda _: None) -> list[str]:
    """Copy every database table of `source` into `folder`; a line for each. All are replaced, or none.

    The tables of one database are read in one transaction: they are of the same moment.

    Raises
    ------
    SourceError
        If the database cannot be reached, a query fails, or what it yields cannot be a table.
    """
    asked = sorted((raw for raw in source.files if raw.database), key=_url)
    if not asked:
        return []
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=folder) as scratch:
        with duckdb.connect(Path(scratch) / "fetched.duckdb") as staging:
            staging.execute(f"SET temp_directory = {literal(scratch)}")
            for url, tables in groupby(asked, key=_url):
                with _database(url) as database:
                    for raw in tables:
                        tell(f"fetching {raw.table}")
                        lines.append(f"{raw.table}: {_copy(database, staging, raw, Path(scratch)):,} rows")
        for raw in asked:
            (Path(scratch) / raw.path).replace(folder / raw.path)
    return lines


def _url(raw: RawFiles) -> str:
    return raw.database.url if raw.database else ""


@contextmanager
def _database(url: str) -> Iterator[Any]:
    """A connection in a transaction that sees one moment and may not write."""
    try:
        dbapi = importlib.import_module("adbc_driver_postgresql.dbapi")  # an extra
    except ImportError:
        raise SourceError(
            "PostgreSQL is read by the package adbc-driver-postgresql, which is not installed: run "
            "`uv pip install 'fedelta[postgres]'`, or export the tables as CSV or Parquet."
        ) from None
    place = _place(url)
    os.environ.setdefault("PGCONNECT_TIMEOUT", _PATIENCE)
    try:
        connection = dbapi.connect(place)
    except dbapi.Error as error:
        hint = "Check the URL, and the password in PGPASSWORD, ~/.pgpass or the variable behind `env:NAME`."
        raise SourceError(f"The database {_shown(url)} cannot be reached: {_words(error, place)} {hint}") from None
    with connection:
        with connection.cursor() as cursor:
            for setting in (
                "TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY",
                "DateStyle = 'ISO'",
                "TimeZone = UTC",
            ):
                cursor.execute(f"SET {setting}")
        yield connection


def _place(url: str) -> str:
    if not url.startswith("env:"):
        return url
    name = url.removeprefix("env:")
    if not (place := os.environ.get(name, "").strip()):
        raise SourceError(
            f"The environment variable {name}, which source.yaml names, is not set. "
            f"Set it to postgresql://USER:PASSWORD@HOST/DATABASE, for example in the shell: export {name}=…"
        )
    if not re.match(r"postgres(ql)?://", place):
        raise SourceError(f"The environment variable {name} must begin with postgresql://; it does not.")
    return place


def _copy(database: Any, staging: duckdb.DuckDBPyConnection, raw: RawFiles, folder: Path) -> int:
    """Write one table, its rows in an order that depends on nothing but them; how many there are."""
    query = raw.database.query if raw.database else ""
    try:
        with database.cursor() as cursor:
            schema = cursor.adbc_execute_schema(query)
            _must_be_columns(raw.table, schema.names)
            cursor.execute(f"SELECT {', '.join(map(_asked, schema))} FROM (\n{query}\n) AS fetched")
            reader = cursor.fetch_record_batch()
            columns = _plain(reader.schema)
            batches = (pa.RecordBatch.from_arrays([_storage(c) for c in b.columns], schema=columns) for b in reader)
            rows = insert_batches(staging, raw.table, columns, batches)
    except (database.Error, pa.ArrowException, OSError) as error:
        raise SourceError(f"{raw.table}: the database refused its query: {_words(error, '')}") from None
    selected = ", ".join(_typed(field) for field in schema)
    try:
        staging.execute(
            f"COPY (SELECT {selected} FROM {identifier(raw.table)} ORDER BY ALL) "
            f"TO {literal(str(folder / raw.path))} (FORMAT parquet, COMPRESSION zstd)"
        )
    except duckdb.ConversionException as error:  # NaN in a numeric(12, 2)
        raise SourceError(f"{raw.table}: {one_line(error)}. Cast the column to text in a `query`.") from None
    except duckdb.Error as error:
        raise SourceError(f"{raw.table} could not be written to {folder.parent}: {one_line(error)}") from None
    staging.execute(f"DROP TABLE {identifier(raw.table)}")
    return rows


def _must_be_columns(table: str, names: list[str]) -> None:
    if not names:
        raise SourceError(f"{table}: its query yields no column. Correct `query`.")
    small = [name.lower() for name in names]
    if repeated := sorted({name for name in names if small.count(name.lower()) > 1}):
        raise SourceError(f"{table}: its query yields {', '.join(repeated)} more than once. Name every column once.")


def _type(field: pa.Field) -> str:
    return str((field.metadata or {}).get(b"POSTGRESQL:type", b"").decode())


def _asked(field: pa.Field) -> str:
    """The column in the SELECT that is sent to the server."""
    name = identifier(field.name)
    if _type(field) in _AS_THEY_ARE:
        return name
    return f"{name}::{_ON_THE_SERVER.get(_type(field), 'text')} AS {name}"


def _plain(schema: pa.Schema) -> pa.Schema:
    return pa.schema([(field.name, getattr(field.type, "storage_type", field.type)) for field in schema])


def _storage(column: pa.Array) -> pa.Array:
    return column.storage if isinstance(column, pa.ExtensionArray) else column


def _typed(field: pa.Field) -> str:
    """The column of the copy: a numeric of declared digits is a decimal, one of any digits stays text."""
    name, modifier = identifier(field.name), int((field.metadata or {}).get(b"POSTGRESQL:typmod", b"-1"))
    if _type(field) in _TIMES:
        return f"{name}::{_TIMES[_type(field)]} AS {name}"
    if _type(field) != "numeric" or modifier < 0:
        return name
    digits, scale = (modifier - 4) >> 16 & 0xFFFF, (modifier - 4) & 0x7FF  # as PostgreSQL packs them
    return f"{name}::DECIMAL({digits}, {scale}) AS {name}" if scale <= digits <= _MOST_DIGITS else name


def _shown(url: str) -> str:
    """The URL without what may be secret in it."""
    return url if url.startswith("env:") else re.sub(r"\?.*", "", url)


def _words(error: Exception, place: str) -> str:
    """What the driver says in one line, the URL it was given left out."""
    text = str(error).replace(place, "…") if place else str(error)
    if secret := re.match(r"\w+://[^@?]*?:([^@?]*)@", place):
        text = text.replace(secret[1], "…") if secret[1] else text
    text = re.split(r"\nLINE |\n*\s*Query was|\. SQLSTATE", text)[0]
    text = re.sub(r"^([A-Z_]+: )?(\[libpq\] )?(Failed to [a-z ]+: |Execution error \[\w+\]: )?(ERROR: +)?", "", text)
    return " ".join(text.split())[:400].rstrip(".") + "."
