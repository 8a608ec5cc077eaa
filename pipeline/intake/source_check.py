"""What `fedelta source check NAME` tells: what would be kept, what set aside and why, with examples; writes nothing."""

# ruff: noqa: S608 - the SQL is ours, around a SELECT the source's author wrote to be run

import tempfile
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from fedelta.pipeline.intake.customers import CUSTOMERS, Customers, gather
from fedelta.pipeline.intake.databases import fetch
from fedelta.pipeline.intake.plausibility import Tables
from fedelta.pipeline.intake.raw_files import FileCount
from fedelta.pipeline.intake.reconciliation import Equation
from fedelta.pipeline.intake.sources import Source, load_source
from fedelta.pipeline.intake.staging import Judged, Staged, staged
from fedelta.pipeline.intake.table_source import NoLabels, check_labels, labels_in
from fedelta.pipeline.intake.usability import (
    Account,
    DataReport,
    Needs,
    account,
    counts,
    measure,
    measure_table,
    shortfalls,
)
from fedelta.pipeline.paths import SOURCES

_EXAMPLES = 3  # of each rule
_WIDTH = 160


def check(name: str, data: Path | None = None, root: Path = SOURCES, now: datetime | None = None) -> str:
    """Judge every row of the source `name` and say in words what `ingest` would do with them.

    `data` is the folder of its raw files, by default ``data/raw/NAME``; `now`, by default this moment, is where the
    future begins. Works in a temporary folder of the system and leaves nothing behind.

    Raises
    ------
    SourceError
        If the source or its files cannot be read.
    OutOfRoom
        If memory or disk do not suffice.
    """
    source = load_source(name, root)
    folder = data or default_folder(name)
    with (
        tempfile.TemporaryDirectory(prefix="fedelta-") as scratch,
        staged(
            source,
            _with_database_tables(source, folder, Path(scratch)),
            Path(scratch),
            memory_limit="2GB",
            workers=2,
            now=now or datetime.now(UTC),
            tell=lambda _: None,
        ) as stage,
    ):
        return "\n".join([f"{source.name}: {source.says}", "", *_files(stage.files), *_tables(source, stage)])


def _with_database_tables(source: Source, folder: Path, scratch: Path) -> Path:
    """The folder of the files; where a table of a database is not in it yet, one in `scratch` that has everything."""
    if all(raw.database is None or (folder / raw.path).is_file() for raw in source.files):
        return folder
    both = scratch / "data"
    both.mkdir()
    for path in folder.iterdir() if folder.is_dir() else ():
        (both / path.name).symlink_to(path.absolute())
    fetch(source, both)
    return both


def default_folder(name: str) -> Path:
    """Where the raw files of a source lie unless a folder is given."""
    return Path("data/raw") / name


def _files(files: tuple[FileCount, ...]) -> list[str]:
    malformed = [f", {file.malformed:,} malformed" if file.malformed else "" for file in files]
    return [
        f"  {file.table} < {file.file}: {file.rows:,} rows{bad}" for file, bad in zip(files, malformed, strict=True)
    ]


def _tables(source: Source, stage: Staged) -> list[str]:
    if source.kind == "table":
        assert stage.customers is not None
        labels = labels_in(stage.connection, stage.customers.valid)
        by_label = ", ".join(f"{what} {n:,}" for what, n in labels.items())
        lines, account = _table(stage.connection, stage.customers)
        lines += ["", f"labels: {by_label}"]
        try:
            check_labels(source, labels, account.equation.quarantined)
        except NoLabels as error:
            return [*lines, f"`ingest` would stop: {error}"]
        report = measure_table(source, stage, {"customers": account}, *_gathered(source, stage), labels)
        return [*lines, *_warnings(report, source)]
    lines, account = _table(stage.connection, stage.interactions)
    accounts = {"interactions": account}
    if stage.customers:
        more, accounts["customers"] = _table(stage.connection, stage.customers)
        lines += more
    else:
        lines += ["", "customers: no customers.sql, so they are those who appear in interactions"]
    if stage.labels:
        more, accounts["labels"] = _table(stage.connection, stage.labels)
        lines += more
    if stage.treatments:
        more, accounts["treatments"] = _table(stage.connection, stage.treatments)
        lines += more
    kinds = counts(stage.connection, f"SELECT kind FROM ({stage.interactions.valid})")
    lines += ["", "kinds kept: " + (", ".join(f"{kind} {n:,}" for kind, n in kinds.items()) or "none")]
    if not kinds:
        return [*lines, f"Nothing is valid: `ingest` would stop. Correct {source.name}/interactions.sql or the files."]
    report = measure(source, stage, accounts, *_gathered(source, stage))
    return [*lines, *_warnings(report, source)]


def _gathered(source: Source, stage: Staged) -> tuple[Tables, Customers]:
    """The tables that `ingest` would write, in the scratch database."""
    stage.connection.execute(f"CREATE TEMP TABLE kept AS {stage.interactions.valid}")
    gathered = gather(stage.connection, source, stage, "kept")
    return Tables(stage.connection, "kept", CUSTOMERS, f"({stage.declared})"), gathered


def _warnings(report: DataReport, source: Source) -> list[str]:
    warnings = [*report.warnings, *shortfalls(report, Needs.recommended(source))]
    return ["", *(f"warning: {words}" for words in warnings)] if warnings else []


def _table(connection: duckdb.DuckDBPyConnection, judged: Judged) -> tuple[list[str], Account]:
    valid, duplicate, quarantined = (
        sum(counts(connection, f"SELECT 1 FROM ({select})").values())
        for select in (judged.valid, judged.duplicates, judged.quarantined)
    )
    out_of_scope = counts(connection, judged.out_of_scope)
    equation = Equation(judged.rows + judged.malformed, valid, duplicate, sum(out_of_scope.values()), quarantined)
    equation.check(judged.name)
    entry = account(connection, judged, equation)
    lines = ["", f"{judged.name}: {equation}"]
    lines += [f"  out of scope: {reason} ({n:,})" for reason, n in out_of_scope.items()]
    for rule, n in entry.quarantined_for.items():
        lines += [f"  {rule} ({n:,})", *_examples(connection, judged.quarantined, rule)]
    if duplicate:
        lines += [f"  duplicate ({duplicate:,})", *_examples(connection, judged.duplicates, "duplicate")]
    return lines, entry


def _examples(connection: duckdb.DuckDBPyConnection, select: str, rule: str) -> list[str]:
    rows = connection.execute(
        f"SELECT reason, coalesce(source_text, source_row, '') FROM ({select}) WHERE rule = ? "
        f"ORDER BY ALL LIMIT {_EXAMPLES}",
        [rule],
    ).fetchall()
    return [_short(f"    {reason}: {row}") for reason, row in rows]


def _short(line: str) -> str:
    flat = line.replace("\n", "⏎").replace("\r", "")
    return flat if len(flat) <= _WIDTH else flat[: _WIDTH - 1] + "…"
