"""Outcomes from a CSV file: each row is one, or is refused with a reason; what is recorded is not recorded again."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from typing import Literal, cast

import polars as pl
import sqlalchemy as sa

from fedelta.features.errors import FedeltaError
from fedelta.serve.acting.actor import Actor
from fedelta.serve.acting.cases import Outcome
from fedelta.serve.acting.outcomes import Came, record_outcomes
from fedelta.serve.acting.refusals import ActingRefused, NotAllowed
from fedelta.serve.acting.treatments import utc
from fedelta.serve.operational.tables import outcomes
from fedelta.serve.snapshots.exports import BOM, not_run
from fedelta.serve.snapshots.read import SnapshotFile

Field = Literal["customer_id", "outcome", "occurred_at", "reason"]
FIELDS: tuple[Field, ...] = ("customer_id", "outcome", "occurred_at", "reason")
NEEDED: tuple[Field, ...] = ("customer_id", "outcome")
DateOrder = Literal["day_first", "month_first"]  # of dates with slashes
DATE_ORDERS: tuple[DateOrder, ...] = ("day_first", "month_first")
MOST_ROWS = 20_000

# What columns are commonly called.
_NAMES: Mapping[Field, tuple[str, ...]] = {
    "customer_id": ("customer_id", "customer", "id", "cliente", "id cliente", "client"),
    "outcome": ("outcome", "result", "status", "esito", "risultato"),
    "occurred_at": ("occurred_at", "date", "when", "day", "data", "giorno", "quando"),
    "reason": ("reason", "note", "notes", "why", "motivo", "nota", "note"),
}


class FileRefused(ActingRefused):
    """It is no CSV file with a header that we can read."""


@dataclass(frozen=True)
class Table:
    """A CSV file: its header and its rows, each with a cell for each column."""

    header: tuple[str, ...]
    rows: list[tuple[str, ...]]

    @classmethod
    def read(cls, content: bytes) -> "Table":
        """The table of a file in UTF-8, separated by commas, semicolons or tabs. Raises ``FileRefused``."""
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError:
            raise FileRefused("The file is not in UTF-8: save it as CSV UTF-8.") from None
        if "\0" in text:
            raise FileRefused("The file is no text.")
        first = text.partition("\n")[0]
        separator = max(",;\t", key=first.count)
        try:
            lines = [row for row in csv.reader(io.StringIO(text), delimiter=separator, strict=True) if any(row)]
        except csv.Error as error:
            raise FileRefused(f"The file is no CSV: {error}.") from None
        if len(lines) < 2:
            raise FileRefused("The file needs a header and a row or more.")
        if len(lines) > MOST_ROWS + 1:
            raise FileRefused(f"A file may have {MOST_ROWS:,} rows: split it.")
        header = tuple(name.strip() for name in lines[0])
        width = len(header)
        return cls(header, [(*row[:width], *[""] * (width - len(row))) for row in lines[1:]])

    def suggested(self) -> dict[Field, int]:
        """The columns whose names say what they hold."""
        names = [name.lower().replace("_", " ") for name in self.header]
        known = {field: {each.replace("_", " ") for each in _NAMES[field]} for field in FIELDS}
        places = {field: [place for place, name in enumerate(names) if name in known[field]] for field in FIELDS}
        return {field: found[0] for field, found in places.items() if found}

    def date_order(self, column: int) -> DateOrder | None:
        """How a column writes dates with slashes: 31/12/2024 or 12/31/2024 tells it; None where nothing or both do."""
        found: set[DateOrder] = set()
        for row in self.rows:
            first, second = _slashed(row[column].strip()) or (0, 0)
            if max(first, second) > _MONTHS:
                found.add("day_first" if first > second else "month_first")
        return found.pop() if len(found) == 1 else None


_MONTHS = 12


def _slashed(text: str) -> tuple[int, int] | None:
    """The first two numbers of a date with slashes; None of other texts."""
    parts = text.split(maxsplit=1)[0].split("/") if text else []
    if [len(part) in (1, 2) and part.isascii() and part.isdigit() for part in parts[:2]] != [True, True]:
        return None
    return int(parts[0]), int(parts[1])


@dataclass(frozen=True)
class Judged:
    """What becomes of a row, numbered from 1: recorded, already there, or refused with a kind of problem."""

    number: int
    cells: tuple[str, ...]
    came: Came | None
    verdict: Literal["recorded", "already", "refused"]
    problem: str | None = None  # its kind
    detail: str = ""


def record_file(
    connection: sa.Connection,
    actor: Actor,
    table: Table,
    columns: Mapping[Field, int],
    file: SnapshotFile,
    *,
    words: Mapping[str, Outcome],
    day: date,
    happened: bool,
    dry_run: bool,
    dates: DateOrder | None = None,
) -> list[Judged]:
    """Record the outcomes of a file, or see what would be recorded; the same file again records nothing more.

    Parameters
    ----------
    columns : the place of the column of each field
    words : outcomes as people write them, in lower case
    day : when those happened whose row does not say
    happened : see ``Contact``
    dates : how dates with slashes are written; None: as ``Table.date_order`` has it, and a row that could be read both
        ways is refused where that does not tell either
    """
    if dates is None and "occurred_at" in columns:
        dates = table.date_order(columns["occurred_at"])
    found = [_read(number, row, columns, words, day, happened, dates) for number, row in enumerate(table.rows, 1)]
    known = _known(connection, actor.tenant, [one.came for one in found if one.came])
    fresh: list[int] = []
    for place, one in enumerate(found):
        if one.came is not None:
            if (key := _key(one.came)) in known:
                found[place] = replace(one, verdict="already")
            else:
                known.add(key)
                fresh.append(place)
    wanted = [cast("Came", found[place].came) for place in fresh]
    with connection.begin_nested() as turn:
        results = record_outcomes(connection, actor, wanted, file)
        if dry_run:
            turn.rollback()
    for place, result in zip(fresh, results, strict=True):
        if isinstance(result, ActingRefused):
            found[place] = replace(found[place], verdict="refused", problem=result.kind, detail=str(result))
    return found


def errors_csv(table: Table, judged: Sequence[Judged], errors: Mapping[int, str]) -> bytes:
    """The rows that were refused, with a last column that says why; what a spreadsheet would run is marked as text."""
    refused = [(*one.cells, errors[one.number]) for one in judged if one.verdict == "refused"]
    rows = pl.DataFrame([(*table.header, "error"), *refused], orient="row")
    return BOM + rows.select(not_run(name) for name in rows.columns).write_csv(include_header=False).encode()


def _read(
    number: int,
    row: tuple[str, ...],
    columns: Mapping[Field, int],
    words: Mapping[str, Outcome],
    day: date,
    happened: bool,
    dates: DateOrder | None,
) -> Judged:
    cells = {field: row[place].strip() for field, place in columns.items()}
    outcome = words.get(cells["outcome"].lower())
    if not cells["customer_id"]:
        return Judged(number, row, None, "refused", "no-customer")
    if outcome is None:
        return Judged(number, row, None, "refused", "no-outcome", cells["outcome"])
    try:
        at = _time(cells.get("occurred_at", ""), dates) or datetime.combine(day, time(), UTC)
    except _TwoReadings:
        return Judged(number, row, None, "refused", "two-readings", cells["occurred_at"])
    except (ValueError, OverflowError):  # beyond the years 1 to 9999 in UTC
        return Judged(number, row, None, "refused", "no-time", cells["occurred_at"])
    reason = cells.get("reason") or None
    return Judged(number, row, Came(cells["customer_id"], outcome, reason, at, happened=happened), "recorded")


class _TwoReadings(FedeltaError):
    """A date could be of two days."""


def _time(text: str, dates: DateOrder | None) -> datetime | None:
    """A day or a time, of UTC where it names no zone: 2024-03-01, 31/03/2024, 2024-03-01T09:30."""
    if not text:
        return None
    if (numbers := _slashed(text)) is not None:
        first, second = numbers
        if dates is None and first != second and max(numbers) <= _MONTHS:
            raise _TwoReadings
        day_first = first > _MONTHS if dates is None else dates == "day_first"
        form = "%d/%m/%Y" if day_first else "%m/%d/%Y"
        at = datetime.strptime(text.split(maxsplit=1)[0], form)  # noqa: DTZ007 (its zone follows)
    else:
        at = datetime.fromisoformat(text)
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)


_Key = tuple[str, str, str, str]


def _key(came: Came) -> _Key:
    if came.occurred_at is None:
        raise NotAllowed("An outcome of a file has a time.")
    return came.customer_id, came.outcome, utc(came.occurred_at), came.reason or ""


def _known(connection: sa.Connection, tenant: str, several: Sequence[Came]) -> set[_Key]:
    """Outcomes that are recorded already, of the times of these."""
    if not several:
        return set()
    times = [_key(came)[2] for came in several]
    columns = (outcomes.c.customer_id, outcomes.c.outcome, outcomes.c.occurred_at, outcomes.c.reason)
    which = sa.and_(outcomes.c.tenant == tenant, outcomes.c.occurred_at.between(min(times), max(times)))
    return {(who, what, at, why or "") for who, what, at, why in connection.execute(sa.select(*columns).where(which))}
