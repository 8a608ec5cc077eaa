"""DVC stage ``ingest``: raw files in; interactions, customers, quarantine and a report of the data's use out."""

# ruff: noqa: S608 - the SQL is ours, around a SELECT the source's author wrote to be run

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from fedelta.pipeline.atomic_write import scratch
from fedelta.pipeline.buckets.shuffle import shuffle
from fedelta.pipeline.intake.customers import CUSTOMERS as CUSTOMERS_TABLE
from fedelta.pipeline.intake.customers import gather
from fedelta.pipeline.intake.plausibility import Tables
from fedelta.pipeline.intake.raw_files import identifier
from fedelta.pipeline.intake.reconciliation import Equation
from fedelta.pipeline.intake.rules import customer_columns
from fedelta.pipeline.intake.section import SourceError
from fedelta.pipeline.intake.source_check import check
from fedelta.pipeline.intake.sources import Source, load_source
from fedelta.pipeline.intake.staging import Judged, OutOfRoom, Staged, staged
from fedelta.pipeline.intake.table_source import check_labels, check_spend, labels_in
from fedelta.pipeline.intake.usability import (
    Account,
    DataReport,
    Needs,
    account,
    counts,
    measure,
    measure_table,
    parquet,
    shortfalls,
)
from fedelta.pipeline.params import load_params
from fedelta.pipeline.paths import (
    CUSTOMERS,
    DATA_REPORT,
    DECLARED_LABELS,
    INTERACTIONS,
    QUARANTINE,
    SOURCE_TREATMENTS,
)

__all__ = ["Outputs", "check", "ingest", "main"]

_NAMES = (
    "interactions",
    "customers.parquet",
    "quarantine",
    "data.json",
    "declared_labels.parquet",
    "treatments.parquet",
)
_SCRATCH = ".ingest"  # beside the outputs, so that moving a finished file is a rename


@dataclass(frozen=True)
class Outputs:
    """Where ingest writes."""

    interactions: Path = INTERACTIONS
    customers: Path = CUSTOMERS
    quarantine: Path = QUARANTINE
    report: Path = DATA_REPORT
    labels: Path = DECLARED_LABELS
    treatments: Path = SOURCE_TREATMENTS

    @classmethod
    def within(cls, folder: Path) -> "Outputs":
        """All of them in one folder."""
        return cls(*(folder / name for name in _NAMES))


def main() -> None:
    """Ingest the project's source; end with one line of figures."""
    params = load_params()
    report = ingest(
        load_source(params.source),
        Path(params.data),
        Outputs(),
        memory_limit=params.engine.memory_limit,
        workers=params.engine.workers,
        now=datetime.now(UTC),
        tell=lambda words: print(f"ingest: {words}", file=sys.stderr, flush=True),
    )
    needs = Needs(
        params.churn.minimum, params.horizon_days + params.lead_days, params.churn.definition, params.churn.activity
    )
    for warning in (*report.warnings, *shortfalls(report, needs)):
        print(f"ingest: warning: {warning}", file=sys.stderr)
    print(f"ingest: {report.line}")


def ingest(
    source: Source,
    data: Path,
    outputs: Outputs,
    *,
    memory_limit: str,
    workers: int,
    now: datetime,
    tell: Callable[[str], None] = lambda _: None,
    labelled: bool = True,
) -> DataReport:
    """Turn the raw files in the folder `data` into the tables of the contract.

    Nothing is written unless everything is: the outputs are made in a scratch folder and moved at the end. They are the
    same byte for byte whatever the order of the raw rows, the number of `workers` and, with no future row, `now`.
    A table must hold labels of both kinds, unless it is only to be scored (not `labelled`).

    Raises
    ------
    SourceError
        If the source or its files cannot be read, no row is valid, or a table is of a day yet to come.
    ReconciliationError
        If rows in are not valid + duplicate + out of scope + quarantined.
    OutOfRoom
        If memory or disk do not suffice.
    """
    with (
        _scratch_folder(outputs.interactions.parent) as folder,
        staged(source, data, folder, memory_limit=memory_limit, workers=workers, now=now, tell=tell) as stage,
    ):
        made = Outputs.within(folder)
        for place in (made.interactions, made.quarantine):
            place.mkdir()
        report = _write(source, stage, made, tell, labelled=labelled)
        made.report.write_text(json.dumps(report.as_json(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        _publish(made, outputs, folder)
    return report


def _write(source: Source, stage: Staged, made: Outputs, tell: Callable[[str], None], *, labelled: bool) -> DataReport:
    connection = stage.connection
    tell("setting rows aside")
    aside = {judged.name: _set_aside(connection, judged, made.quarantine) for judged in stage.tables}
    tell(f"sorting {stage.interactions.rows:,} rows by customer and time")
    shuffle(connection, stage.interactions.valid, made.interactions)
    valid = _rows(connection, made.interactions / "*.parquet")
    if not (valid or source.kind == "table"):
        raise SourceError(_nothing_valid(source, stage, stage.interactions))
    accounts = {"interactions": _reconciled(connection, stage.interactions, valid, aside["interactions"])}
    tell("writing customers")
    gathered = gather(connection, source, stage, parquet(made.interactions / "*.parquet"))
    listed = ", ".join(identifier(column.name) for column in customer_columns(source))
    _copy(connection, f"SELECT {listed} FROM {CUSTOMERS_TABLE} ORDER BY customer_id", made.customers)
    if stage.customers:
        kept = _rows(connection, made.customers) - gathered.without_a_row
        accounts["customers"] = _reconciled(connection, stage.customers, kept, aside["customers"])
    _copy(connection, f"{stage.declared} ORDER BY customer_id, as_of", made.labels)
    if stage.labels:
        kept = _rows(connection, made.labels)
        accounts["labels"] = _reconciled(connection, stage.labels, kept, aside["labels"])
    _copy(connection, f"{stage.treated} ORDER BY treated_at, customer_id, campaign, action, arm", made.treatments)
    if stage.treatments:
        kept = _rows(connection, made.treatments)
        accounts["treatments"] = _reconciled(connection, stage.treatments, kept, aside["treatments"])
    tell("looking for what is implausible")
    tables = Tables(connection, parquet(made.interactions / "*.parquet"), parquet(made.customers), parquet(made.labels))
    if stage.customers and source.kind == "table":
        if not accounts["customers"].equation.valid:
            raise SourceError(_nothing_valid(source, stage, stage.customers))
        labels = labels_in(connection, f"FROM {tables.customers}")
        if labelled:
            check_labels(source, labels, accounts["customers"].equation.quarantined)
            check_spend(connection, source, f"FROM {tables.customers}")
        return measure_table(source, stage, accounts, tables, gathered, labels)
    return measure(source, stage, accounts, tables, gathered)


def _set_aside(connection: duckdb.DuckDBPyConnection, judged: Judged, folder: Path) -> tuple[int, int]:
    """Write the quarantined and the duplicate rows of a table; how many were written, read back from the files."""
    written = []
    for name, select in ((judged.name, judged.quarantined), (f"duplicate_{judged.name}", judged.duplicates)):
        path = folder / f"{name}.parquet"
        _copy(connection, f"{select} ORDER BY ALL", path)
        written.append(_rows(connection, path))
    return written[0], written[1]


def _reconciled(connection: duckdb.DuckDBPyConnection, judged: Judged, valid: int, aside: tuple[int, int]) -> Account:
    quarantined, duplicate = aside
    out_of_scope = sum(counts(connection, judged.out_of_scope).values())
    equation = Equation(judged.rows + judged.malformed, valid, duplicate, out_of_scope, quarantined)
    equation.check(judged.name)
    return account(connection, judged, equation)


def _nothing_valid(source: Source, stage: Staged, table: Judged) -> str:
    why = counts(stage.connection, f"SELECT rule FROM ({table.quarantined})")
    why |= {f"out of scope: {reason}": n for reason, n in counts(stage.connection, table.out_of_scope).items()}
    reasons = ", ".join(f"{reason} {n:,}" for reason, n in why.items()) or "the files hold no rows"
    for reason in [*counts(stage.connection, f"SELECT reason FROM ({table.quarantined})")][:1]:
        reasons += f"; mostly: {' '.join(reason.split())[:200]}"
    return (
        f"Source {source.name} yields nothing valid: {table.rows + table.malformed:,} rows in, none kept ({reasons}). "
        f"See examples with `fedelta source check {source.name}`."
    )


def _copy(connection: duckdb.DuckDBPyConnection, select: str, path: Path) -> None:
    target = str(path).replace("'", "''")
    connection.execute(f"COPY ({select}) TO '{target}' (FORMAT parquet, COMPRESSION zstd)")


def _rows(connection: duckdb.DuckDBPyConnection, path: Path) -> int:
    """Rows of Parquet files, by their own account."""
    row = connection.execute("SELECT sum(num_rows)::BIGINT FROM parquet_file_metadata(?)", [str(path)]).fetchone()
    return int(row[0] or 0) if row else 0


@contextmanager
def _scratch_folder(beside: Path) -> Iterator[Path]:
    with ExitStack() as stack:
        try:
            folder = stack.enter_context(scratch(beside / _SCRATCH))
        except OSError as error:
            raise OutOfRoom(f"{beside} cannot be written: {error}.") from None
        yield folder


def _publish(made: Outputs, outputs: Outputs, folder: Path) -> None:
    """Move the finished outputs to their places; what was there goes with the scratch `folder`."""
    for number, (new, place) in enumerate(
        (
            (made.interactions, outputs.interactions),
            (made.customers, outputs.customers),
            (made.quarantine, outputs.quarantine),
            (made.report, outputs.report),
            (made.labels, outputs.labels),
            (made.treatments, outputs.treatments),
        )
    ):
        place.parent.mkdir(parents=True, exist_ok=True)
        if place.is_dir():
            place.rename(folder / f"replaced-{number}")
        new.replace(place)


if __name__ == "__main__":
    main()
