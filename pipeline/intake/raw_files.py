"""What lies in the raw files: each becomes a DuckDB table, and no line of it is lost.

A text file is loaded once, all columns, whatever the SQL reads of it: so a malformed line is met once, and counted
once. Parquet is read in place. Whoever has read the tables asks with `must_be_unchanged` whether the files stood still.
"""

# ruff: noqa: S608 - the SQL is ours, around a SELECT the source's author wrote to be run

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import duckdb
import pyarrow as pa

from fedelta.pipeline.intake.excel_files import Row, sheet_rows
from fedelta.pipeline.intake.lake_tables import delta_batches, iceberg_batches
from fedelta.pipeline.intake.reconciliation import ReconciliationError
from fedelta.pipeline.intake.section import SourceError
from fedelta.pipeline.intake.sources import RawFiles, ReadOptions
from fedelta.pipeline.intake.text_bytes import compression
from fedelta.pipeline.intake.text_files import BadLine, TextFile, survey

MALFORMED = "fedelta.malformed"  # table_name, file, line, text, reason
_UNLIKELY = "\x1f"  # separates the fields of a line that has none
_FOLDERS = {"delta": "_delta_log", "iceberg": "metadata"}  # formats whose tables are folders, and what is in each
_ROWS_AT_ONCE = 20_000
_LINES = ReadOptions(header=False, delim=_UNLIKELY, quote="", escape="")


@dataclass(frozen=True)
class FileCount:
    """What one raw file held."""

    table: str
    file: str
    rows: int
    malformed: int


def load_raw_files(
    connection: duckdb.DuckDBPyConnection,
    files: Sequence[RawFiles],
    folder: Path,
    scratch: Path,
    tell: Callable[[str], None],
) -> list[FileCount]:
    """Make a table of each of `files` found in `folder`, and one of their malformed lines; count both per file.

    Raises
    ------
    SourceError
        If a file is missing, or is not what source.yaml says.
    """
    connection.execute(
        f"CREATE TABLE {MALFORMED} (table_name VARCHAR, file VARCHAR, line BIGINT, text VARCHAR, reason VARCHAR)"
    )
    counts = []
    for raw in files:
        paths = found_files(raw, folder)
        tell(f"reading {raw.table}: {len(paths)} file{'s' if len(paths) > 1 else ''}, {_megabytes(paths)}")
        load = {
            "csv": _load_text,
            "text": _load_text,
            "jsonl": _load_json_lines,
            "json": _load_json,
            "parquet": _load_parquet,
            "xlsx": _load_excel,
            "delta": _load_lake_table,
            "iceberg": _load_lake_table,
        }
        counts += load[raw.format](connection, raw, paths, scratch)
    return counts


def found_files(raw: RawFiles, folder: Path) -> list[Path]:
    """The files of `raw` in `folder` (folders, where a table is one), sorted by name; hidden ones are not ours."""
    if raw.database is not None and not (folder / raw.path).is_file():
        raise SourceError(
            f"There is no copy of the database table {raw.table} in {folder} yet. Run `fedelta fetch`, which makes it."
        )
    if not folder.is_dir():
        if folder.is_file():
            raise SourceError(f"{folder} is a file. Give the folder that holds it, with --data {folder.parent}.")
        raise SourceError(f"There is no data folder {folder}. Put {raw.path} there, or name another with --data DIR.")
    try:
        matches = sorted(folder.glob(raw.path))
    except ValueError as error:
        raise SourceError(
            f"`path` of {raw.table} is {raw.path!r}, which finds no files: {error}. Correct it."
        ) from None
    matches = [path for path in matches if not path.name.startswith((".", "~$")) or path.name == raw.path]
    inside = _FOLDERS.get(raw.format)
    paths = [path for path in matches if (path.is_dir() if inside else path.is_file())]
    if wrong := [path for path in matches if path.is_symlink() and not path.exists()]:
        raise SourceError(f"{wrong[0]} is a link that leads to no file. Mend or remove it.")
    if paths:
        return paths
    if matches:
        wanted = "a folder that holds one table" if inside else f"a file; for all files in it say {raw.path}/*"
        raise SourceError(
            f"{matches[0]} is a {'file' if inside else 'folder'}. `path` of {raw.table} must be {wanted}."
        )
    there = ", ".join(sorted(path.name for path in folder.iterdir())[:8]) or "nothing"
    raise SourceError(
        f"No file {raw.path} in {folder} (there: {there}). Put it there, or correct `path` of {raw.table}."
    )


def file_states(files: Sequence[RawFiles], folder: Path) -> dict[Path, tuple[int, int]]:
    """Size in bytes and time of the last change of every file of `files`."""
    return {
        path: (path.stat().st_size, path.stat().st_mtime_ns)
        for raw in files
        for path in found_files(raw, folder)
        if path.is_file()
    }


def must_be_unchanged(before: Mapping[Path, tuple[int, int]]) -> None:
    """Refuse files that are not as `file_states` saw them: what was read of them may be half of one state each.

    Raises
    ------
    SourceError
        If a file has changed or is gone.
    """
    for path, state in before.items():
        found = path.stat() if path.exists() else None
        if found is None or (found.st_size, found.st_mtime_ns) != state:
            raise SourceError(f"{path} changed while it was read. Wait until it is written, then run again.")


def columns_of(connection: duckdb.DuckDBPyConnection, table: str) -> list[str]:
    """The names of a table's columns."""
    return [str(row[0]) for row in connection.execute(f"DESCRIBE {identifier(table)}").fetchall()]


def identifier(name: str) -> str:
    """`name` as a quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """`text` as a SQL string."""
    return "'" + text.replace("'", "''") + "'"


def one_line(error: Exception) -> str:
    """A DuckDB error without its excerpt of the SQL and the place in DuckDB."""
    text = str(error).split("\n\nLINE ")[0].split("\nPossible")[0].split("Stack Trace")[0]
    return " ".join(text.split())[:500]


def one_line_with_place(error: Exception) -> str:
    """A DuckDB error and the line of the SQL it is about."""
    place = re.search(r"\nLINE (\d+): (.*)", str(error))
    return one_line(error) + (f" (line {place[1]}: {place[2].strip()[:100]})" if place else "")


def _load_text(
    connection: duckdb.DuckDBPyConnection, raw: RawFiles, paths: Sequence[Path], scratch: Path
) -> list[FileCount]:
    options, columns = raw.options, tuple[str, ...]()
    if raw.format == "text":
        options = ReadOptions(**_LINES.__dict__ | {"encoding": raw.options.encoding, "skip": raw.options.skip})
        columns = ("line",)  # whatever the first line holds
    counts: list[FileCount] = []
    expected: tuple[str, ...] = ()
    for path in paths:
        file = survey(path, options, columns, scratch / f"tidy-{raw.table}.csv")
        if not counts:
            expected = file.columns
            typed = ", ".join(f"{identifier(name)} VARCHAR" for name in expected)
            connection.execute(f"CREATE TABLE {identifier(raw.table)} ({typed})")
        elif set(file.columns) != set(expected):
            raise SourceError(_other_columns(path, file.columns, paths[0], expected))
        counts.append(_load_file(connection, raw.table, path, file, options))
        if file.path != path:
            file.path.unlink()
    return counts


def _other_columns(path: Path, columns: Sequence[str], first: Path, expected: Sequence[str]) -> str:
    return (
        f"{path} has the columns {', '.join(columns)}, but {first.name} has {', '.join(expected)}. "
        "Files of one table need the same columns: give it a table of its own and join them in the SQL."
    )


def _load_file(
    connection: duckdb.DuckDBPyConnection, table: str, path: Path, file: TextFile, options: ReadOptions
) -> FileCount:
    """Append one text file to its table; its malformed lines go to their own."""
    columns = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in file.columns)
    before = {path: (path.stat().st_size, path.stat().st_mtime_ns)}
    try:
        rows = _written(
            connection,
            f"INSERT INTO {identifier(table)} BY NAME SELECT * FROM read_csv({literal(str(file.path))}, "
            f"columns={{{columns}}}, auto_detect=false, header=false, skip={file.skip}, "
            f"delim={literal(options.delim)}, quote={literal(options.quote)}, escape={literal(options.escape)}, "
            f"nullstr={literal(options.nullstr)}, compression={literal(compression(file.path))}, "
            f"parallel={not file.spans_lines}, store_rejects=true, rejects_limit=0)",
        )
        rejected = _written(
            connection,
            f"INSERT INTO {MALFORMED} SELECT {literal(table)}, {literal(path.name)}, any_value(line), "
            "trim(any_value(csv_line), chr(10) || chr(13)), "
            "arg_min(error_message, column_idx) FROM reject_errors GROUP BY line_byte_position",
        )
        connection.execute("DROP TABLE reject_errors; DROP TABLE reject_scans")
    except (duckdb.InvalidInputException, duckdb.ConversionException) as error:
        raise SourceError(f"{path} cannot be read as CSV: {one_line(error)}") from None
    _keep(connection, table, path, file.bad_lines)
    if rows + rejected != file.records:
        must_be_unchanged(before)
        raise ReconciliationError(
            f"{path} holds {file.records:,} records, but {rows:,} rows and {rejected:,} malformed lines were read. "
            "Check `delim`, `quote` and `escape` of the table in source.yaml."
        )
    return FileCount(table, path.name, rows, rejected + len(file.bad_lines))


def _keep(connection: duckdb.DuckDBPyConnection, table: str, path: Path, lines: Sequence[BadLine]) -> None:
    for bad in lines:
        connection.execute(
            f"INSERT INTO {MALFORMED} VALUES (?, ?, ?, ?, ?)", [table, path.name, bad.line, bad.text, bad.reason]
        )


def _load_json_lines(
    connection: duckdb.DuckDBPyConnection, raw: RawFiles, paths: Sequence[Path], scratch: Path
) -> list[FileCount]:
    """One JSON object a line; a line that is none is malformed."""
    lines = RawFiles(f"{raw.table}_lines", raw.path, "text", raw.options)
    counts = []
    connection.execute("CREATE TABLE fedelta.objects (object JSON)")
    for path in paths:
        (count,) = _load_text(connection, lines, [path], scratch)
        connection.execute(
            f"UPDATE {MALFORMED} SET table_name = {literal(raw.table)} WHERE table_name = {literal(lines.table)}"
        )
        broken = _written(
            connection,
            f"INSERT INTO {MALFORMED} SELECT {literal(raw.table)}, {literal(path.name)}, NULL, line, "
            f"'not a JSON object' FROM {identifier(lines.table)} "
            f"WHERE trim(line) <> '' AND NOT {_IS_OBJECT.format('line')}",
        )
        rows = _written(
            connection,
            f"INSERT INTO fedelta.objects SELECT line FROM {identifier(lines.table)} "
            f"WHERE trim(line) <> '' AND {_IS_OBJECT.format('line')}",
        )
        connection.execute(f"DROP TABLE {identifier(lines.table)}")
        counts.append(FileCount(raw.table, path.name, rows, count.malformed + broken))
    _spread_objects(connection, raw)
    return counts


def _load_json(
    connection: duckdb.DuckDBPyConnection, raw: RawFiles, paths: Sequence[Path], _scratch: Path
) -> list[FileCount]:
    """An array of JSON objects, or objects one after the other; broken JSON cannot be resumed, so it is an error."""
    counts = []
    connection.execute("CREATE TABLE fedelta.objects (object JSON)")
    for path in paths:
        try:
            rows = _written(
                connection,
                f"INSERT INTO fedelta.objects SELECT json FROM read_json_objects({literal(str(path))}, format='auto')",
            )
        except (duckdb.InvalidInputException, duckdb.IOException) as error:
            raise SourceError(f"{path} is not JSON: {one_line(error)} Export it again, or as JSON lines.") from None
        counts.append(FileCount(raw.table, path.name, rows, 0))
    (others,) = _one(connection, f"SELECT count(*) FROM fedelta.objects WHERE NOT {_IS_OBJECT.format('object')}")
    if others:
        raise SourceError(f"{raw.path}: {others} of its JSON values are not objects. Export one object a row.")
    _spread_objects(connection, raw)
    return counts


_IS_OBJECT = "(CASE WHEN json_valid({0}) THEN json_type({0}) = 'OBJECT' ELSE false END)"


def _spread_objects(connection: duckdb.DuckDBPyConnection, raw: RawFiles) -> None:
    """The table of the collected objects: a column per key that any of them has."""
    (structure,) = _one(connection, "SELECT json_group_structure(object) FROM fedelta.objects")
    if structure is None:
        raise SourceError(
            f"{raw.path} holds no JSON object at all, one a line. If it is one array or one object over several "
            "lines, say `format: json`; else bring the whole file."
            if raw.format == "jsonl"
            else f"{raw.path} holds no JSON object at all. Bring the whole file."
        )
    _must_have_distinct_keys(raw, json.loads(str(structure)))
    structure = str(structure).replace(':"JSON"', ':"VARCHAR"')  # of mixed types: text, without the quotes of JSON
    connection.execute(
        f"CREATE TABLE {identifier(raw.table)} AS "
        f"SELECT unnest(json_transform(object, {literal(structure)})) FROM fedelta.objects"
    )
    connection.execute("DROP TABLE fedelta.objects")


def _must_have_distinct_keys(raw: RawFiles, structure: object) -> None:
    """Refuse objects with keys that are no names of columns: empty, or apart only by case."""
    if isinstance(structure, list):
        for part in structure:
            _must_have_distinct_keys(raw, part)
    if not isinstance(structure, dict):
        return
    if "" in structure:
        raise SourceError(f"{raw.path}: an object has a key without a name. Name it, or leave it out of the export.")
    small = [key.lower() for key in structure]
    if twice := [key for key in structure if small.count(key.lower()) > 1]:
        raise SourceError(
            f"{raw.path}: the keys {', '.join(twice)} differ only in capitals, which SQL does not tell apart. Write "
            "them in one way in all objects, or name them differently."
        )
    for part in structure.values():
        _must_have_distinct_keys(raw, part)


def _load_parquet(
    connection: duckdb.DuckDBPyConnection, raw: RawFiles, paths: Sequence[Path], _scratch: Path
) -> list[FileCount]:
    counts, met = [], dict[str, tuple[str, Path]]()
    for path in paths:
        file = f"read_parquet({literal(str(path))})"
        try:
            (rows,) = _one(connection, f"SELECT count(*) FROM {file}")
            described = connection.execute(f"DESCRIBE FROM {file}").fetchall()
            for name, sql_type in ((str(row[0]), str(row[1])) for row in described):
                if _family(sql_type) and _one(connection, f"SELECT count({identifier(name)}) FROM {file}") != (0,):
                    _must_agree(raw.table, name, (sql_type, path), met.setdefault(name.lower(), (sql_type, path)))
        except duckdb.Error as error:
            raise SourceError(
                f"{path} is not a Parquet file that can be read: {one_line(error).rstrip('.')}. Fetch it again."
            ) from None
        counts.append(FileCount(raw.table, path.name, int(str(rows)), 0))
    listed = ", ".join(literal(str(path)) for path in paths)
    connection.execute(
        f"CREATE VIEW {identifier(raw.table)} AS SELECT * FROM read_parquet([{listed}], union_by_name=true)"
    )
    return counts


def _must_agree(table: str, name: str, new: tuple[str, Path], first: tuple[str, Path]) -> None:
    if _family(new[0]) != _family(first[0]):
        raise SourceError(
            f"{table}: column {name} is {first[0]} in {first[1].name} and {new[0]} in {new[1].name}. Read together, "
            "values would change (412 becomes 412.0, a day becomes its midnight). Write it with one type, or give each "
            "file its own table and cast it in the SQL."
        )


def _family(sql_type: str) -> str:
    """Types whose values read the same when they are one column; empty if every other type leaves them as they are."""
    if sql_type.endswith(("INT", "INTEGER")):
        return "whole numbers"
    if sql_type in {"FLOAT", "DOUBLE"} or sql_type.startswith("DECIMAL"):
        return "numbers"
    if sql_type == "DATE":
        return "days"
    return "times" if sql_type.startswith("TIMESTAMP") else ""


def _load_excel(
    connection: duckdb.DuckDBPyConnection, raw: RawFiles, paths: Sequence[Path], _scratch: Path
) -> list[FileCount]:
    """One sheet of each workbook, every cell as text."""
    counts: list[FileCount] = []
    expected: tuple[str, ...] = ()
    for path in paths:
        with sheet_rows(path, raw.options) as (names, rows):
            expected = expected or names
            if set(names) != set(expected):
                raise SourceError(_other_columns(path, names, paths[0], expected))
            schema = pa.schema([(name, pa.string()) for name in names])
            count = insert_batches(connection, raw.table, schema, _text_batches(names, rows))
        counts.append(FileCount(raw.table, path.name, count, 0))
    return counts


def _text_batches(names: Sequence[str], rows: Iterator[Row]) -> Iterator[pa.RecordBatch]:
    while some := list(islice(rows, _ROWS_AT_ONCE)):
        columns = zip(*some, strict=True)
        yield pa.record_batch([pa.array(column, pa.string()) for column in columns], list(names))


def _load_lake_table(
    connection: duckdb.DuckDBPyConnection, raw: RawFiles, paths: Sequence[Path], _scratch: Path
) -> list[FileCount]:
    """The present version of Delta or Iceberg tables, each of which is a folder."""
    counts = []
    for path in paths:
        if not (path / _FOLDERS[raw.format]).is_dir():
            raise SourceError(
                f"{path} is not a table of {raw.format.capitalize()}: it has no folder {_FOLDERS[raw.format]}. "
                f"Correct `path` of {raw.table}, or `format`."
            )
        schema, batches = (delta_batches if raw.format == "delta" else iceberg_batches)(path)
        counts.append(FileCount(raw.table, path.name, insert_batches(connection, raw.table, schema, batches), 0))
    return counts


def insert_batches(
    connection: duckdb.DuckDBPyConnection, table: str, schema: pa.Schema, batches: Iterable[pa.RecordBatch]
) -> int:
    """Append rows to a table, which is made with the columns of `schema` if it is not there yet; how many."""
    empty, count = schema.empty_table(), 0
    connection.register("fedelta_batch", empty)
    connection.execute(f"CREATE TABLE IF NOT EXISTS {identifier(table)} AS FROM fedelta_batch")
    for batch in batches:
        connection.register("fedelta_batch", batch)
        count += _written(connection, f"INSERT INTO {identifier(table)} BY NAME FROM fedelta_batch")
    connection.unregister("fedelta_batch")
    return count


def _written(connection: duckdb.DuckDBPyConnection, sql: str) -> int:
    """Run an INSERT or CREATE TABLE AS; the number of rows it wrote."""
    (count,) = _one(connection, sql)
    return int(str(count))


def _one(connection: duckdb.DuckDBPyConnection, sql: str) -> tuple[object, ...]:
    row = connection.execute(sql).fetchone()
    return tuple(row) if row else (None,)


def _megabytes(paths: Sequence[Path]) -> str:
    files = [file for path in paths for file in (path.rglob("*") if path.is_dir() else [path])]
    return f"{sum(file.stat().st_size for file in files if file.is_file()) / 1e6:,.1f} MB"
