"""What the data is good for: counts, spans and silences, what looks wrong, and what there is too little of."""

# ruff: noqa: S608 - the SQL is ours, around a SELECT the source's author wrote to be run

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path

import duckdb

from fedelta.features.cutoffs import believed_span
from fedelta.features.feeds import Series, Stopped, stopped
from fedelta.features.relationship import REVENUE, Definition
from fedelta.models.minimum import Minimum
from fedelta.pipeline.intake import plausibility
from fedelta.pipeline.intake.categories import of_categories
from fedelta.pipeline.intake.customers import Customers, OptOuts
from fedelta.pipeline.intake.dates import after_the_data, known_before_they_happened, of_customers_dates
from fedelta.pipeline.intake.holes import of_holes
from fedelta.pipeline.intake.id_forms import LookAlikes, look_alikes
from fedelta.pipeline.intake.numbers import must_add_up, of_counts, of_placeholders
from fedelta.pipeline.intake.plausibility import Tables, day
from fedelta.pipeline.intake.raw_files import FileCount, identifier, literal
from fedelta.pipeline.intake.reconciliation import Equation
from fedelta.pipeline.intake.rules import Column, customer_columns
from fedelta.pipeline.intake.sources import Source
from fedelta.pipeline.intake.staging import Judged, Staged
from fedelta.pipeline.intake.table_source import warnings_of
from fedelta.pipeline.intake.units import mixed_values, of_units

LEAST_HORIZONS = 2  # one to learn from, one to be judged by
MOST_QUARANTINED = 0.01
_LEAST_LABELS = 30  # of a date, that cannot all be the same by chance


@dataclass(frozen=True)
class Needs:
    """What the project's settings ask of the data."""

    minimum: Minimum  # to learn from
    horizon_days: int  # lead time included
    churn_definition: Definition
    activity: tuple[str, ...]

    @classmethod
    def recommended(cls, source: Source) -> "Needs":
        """What a project would need that `fedelta use` has just made of the source."""
        asked = source.recommends
        return cls(Minimum(), asked.horizon_days + asked.lead_days, asked.churn_definition, asked.activity)


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
class Feed:
    """What came in of one kind, or through one channel."""

    first: str  # days
    last: str
    weekly: tuple[int, ...]  # interactions in each of the report's weeks


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
    opt_outs: OptOuts | None  # None: the source says nothing of opt-outs
    look_alikes: LookAlikes | None  # None: no customer is written in more than one way
    first_at: str
    last_at: str
    span_days: int  # first to last, both counted
    believed_first: str  # days: but for stray dates
    believed_last: str
    outside_believed: int  # interactions dated before or after
    kinds: dict[str, int]
    channels: dict[str, int]
    feeds: dict[str, "Feed"]  # by "kind NAME" and "channel NAME"
    weeks: tuple[str, ...]  # Mondays of the believed weeks
    stopped: tuple[Stopped, ...]  # of the feeds; days since 1970
    nulls: dict[str, int]
    customer_nulls: dict[str, int]
    warnings: tuple[str, ...]
    labels: dict[str, int] | None = None  # of a table: customers who churned, stayed, and without a label
    declared_labels: Account | None = None  # where the rows of labels.sql went
    treatments: Account | None = None  # where the rows of treatments.sql went
    declared: tuple[Declared, ...] = ()  # the company's own labels, by date

    def as_json(self) -> dict[str, object]:
        return asdict(self)

    @property
    def line(self) -> str:
        """The figures in one line."""
        if self.labels is not None and self.customers is not None:
            counts = ", ".join(f"{n:,} {what}" for what, n in self.labels.items())
            treated = f"; treatments: {self.treatments.equation}" if self.treatments else ""
            return f"{self.source}: {self.customers.equation}; customers: {counts}{treated}, as of {self.last_at[:10]}"
        customers = f"; customers: {self.customers.equation}" if self.customers else ""
        labels = f"; labels: {self.declared_labels.equation}" if self.declared_labels else ""
        treated = f"; treatments: {self.treatments.equation}" if self.treatments else ""
        return (
            f"{self.source}: {self.interactions.equation}{customers}{labels}{treated}; "
            f"{self.customer_count:,} customers, {self.first_at[:10]} to {self.last_at[:10]}"
        )


def measure(
    source: Source, stage: Staged, accounts: Mapping[str, Account], tables: Tables, gathered: Customers
) -> DataReport:
    """Read the tables of the contract and say what they are good for; `accounts` says where the rows of each went.

    Raises
    ------
    SourceError
        If a customer's amounts cannot be added exactly.
    """
    connection = stage.connection
    must_add_up(tables)
    first, last, days, rows = tables.row(
        "SELECT strftime(min(\"at\"), '%Y-%m-%dT%H:%M:%SZ'), strftime(max(\"at\"), '%Y-%m-%dT%H:%M:%SZ'), "
        'date_diff(\'day\', min("at")::DATE, max("at")::DATE) + 1, count(*) '
        f"FROM (SELECT timezone('UTC', occurred_at) AS \"at\" FROM {tables.interactions})"
    )
    total, feeds = _daily(tables)
    span = believed_span(total.days, total.counts)
    ended = stopped(feeds, span.last)
    variants = look_alikes(connection, _places(tables, source))
    numeric = [attribute.name for attribute in source.attributes if attribute.type == "numeric"]
    weeks = range(_monday(span.first), span.last + 1, 7)
    report = DataReport(
        source=source.name,
        currency=source.currency,
        files=stage.files,
        interactions=accounts["interactions"],
        customers=accounts.get("customers"),
        customer_count=int(tables.row(f"SELECT count(*) FROM {tables.customers}")[0]),
        customers_without_a_row=gathered.without_a_row,
        opt_outs=gathered.opt_outs,
        look_alikes=variants,
        first_at=str(first),
        last_at=str(last),
        span_days=int(days),
        believed_first=str(day(span.first)),
        believed_last=str(day(span.last)),
        outside_believed=span.earlier_count + span.later_count,
        kinds=counts(connection, f"SELECT kind FROM {tables.interactions}"),
        channels=counts(connection, f"SELECT channel FROM {tables.interactions} WHERE channel IS NOT NULL"),
        feeds={name: _feed(series, weeks) for name, series in feeds.items()},
        weeks=tuple(str(day(monday)) for monday in weeks),
        stopped=tuple(ended),
        nulls=_nulls(connection, tables.interactions, stage.interactions.columns),
        customer_nulls=_nulls(connection, tables.customers, customer_columns(source)),
        warnings=(),
        declared_labels=accounts.get("labels"),
        treatments=accounts.get("treatments"),
        declared=_declared(tables),
    )
    warnings = [
        *(table.unordered for table in stage.tables if table.unordered),
        *(gathered.opt_outs.warnings if gathered.opt_outs else ()),
        *plausibility.stray_dates(span),
        *plausibility.stopped_feeds(ended, span.last),
        *of_holes(total, feeds, span),
        *((variants.warning,) if variants else ()),
        *plausibility.of_ids(tables, source),
        *plausibility.of_ids_apart(tables),
        *plausibility.of_money(tables, stage.interactions, source),
        *of_units(tables),
        *plausibility.of_measures(tables, stage.interactions),
        *plausibility.of_customers(tables, source),
        *of_categories(tables, source),
        *of_customers_dates(tables, source, span.last),
        *known_before_they_happened(tables, stage.interactions),
        *after_the_data(tables, span.last),
        *mixed_values(tables, tables.customers, numeric),
        *of_placeholders(tables, tables.interactions, ("amount", "wait_hours", "delay_hours"), within="interactions"),
        *of_placeholders(tables, tables.customers, numeric, within="customers"),
        *plausibility.of_times(tables, stage.interactions, span.last),
        *_warnings(report, int(rows)),
    ]
    return replace(report, warnings=tuple(warnings))


def shortfalls(report: DataReport, needs: Needs) -> list[str]:
    """What the data are too few for, in words."""
    if report.labels is not None:
        return warnings_of(report.labels, needs.minimum)
    days = needs.horizon_days
    span = (_date(report.believed_last) - _date(report.believed_first)).days + 1
    checks = (
        (
            report.customer_count < needs.minimum.customers,
            f"{report.customer_count} customers are too few to learn from: at least {needs.minimum.customers} are "
            "needed "
            "(churn.minimum.customers).",
        ),
        (
            span < LEAST_HORIZONS * days,
            f"{span} days are too few for a horizon of {days} days: at least {LEAST_HORIZONS * days} "
            "are needed, one horizon to learn from and one to be judged by.",
        ),
        (
            needs.churn_definition == "inactivity" and not {*needs.activity} & {*report.kinds},
            f"No {' or '.join(needs.activity)}: churn by inactivity cannot be predicted. Set "
            f"churn.activity to kinds that the data have ({', '.join(report.kinds)}), or churn.definition to event.",
        ),
        (
            needs.churn_definition == "event" and "cancellation" not in report.kinds,
            "No cancellations: churn by event cannot be learned.",
        ),
    )
    return [words for holds, words in checks if holds]


def _date(text: str) -> date:
    return date.fromisoformat(text)


def _monday(number: int) -> int:
    return number - day(number).weekday()


def _daily(tables: Tables) -> tuple[Series, dict[str, Series]]:
    """Interactions per day since 1970, all together, and by kind and by channel."""
    rows = tables.rows(
        "SELECT kind, channel, epoch_us(occurred_at) // 86400000000 AS day, count(*) "
        f"FROM {tables.interactions} GROUP BY ALL"
    )
    total: Counter[int] = Counter()
    feeds: dict[str, Counter[int]] = {}
    for kind, channel, number, n in rows:
        total[number] += n
        for name in (f"kind {kind}", *([f"channel {channel}"] if channel is not None else [])):
            feeds.setdefault(name, Counter())[number] += n
    return _series(total), {name: _series(feeds[name]) for name in sorted(feeds)}


def _series(by_day: "Counter[int]") -> Series:
    days = sorted(by_day)
    return Series(days, [by_day[number] for number in days])


def _feed(series: Series, weeks: range) -> Feed:
    weekly = [0] * len(weeks)
    for number, n in zip(series.days, series.counts, strict=True):
        if weeks and weeks[0] <= number < weeks[-1] + 7:
            weekly[(number - weeks[0]) // 7] += n
    return Feed(str(day(series.days[0])), str(day(series.days[-1])), tuple(weekly))


def _places(tables: Tables, source: Source) -> str:
    """A relation of every way to write a customer and where it occurs."""
    places = f"SELECT DISTINCT customer_id, kind AS place FROM {tables.interactions}"
    if source.customers_sql is not None:
        places += " UNION ALL SELECT customer_id, 'customers.sql' FROM known_customers"
    return f"({places})"


def measure_table(
    source: Source,
    stage: Staged,
    accounts: Mapping[str, Account],
    tables: Tables,
    gathered: Customers,
    labels: Mapping[str, int],
) -> DataReport:
    """The account of a table of customers, which has neither interactions nor a span."""
    assert source.as_of is not None
    connection, customers, at = stage.connection, accounts["customers"], f"{source.as_of:%Y-%m-%d}"
    variants = look_alikes(connection, _places(tables, source))
    numeric = [attribute.name for attribute in source.attributes if attribute.type == "numeric"]
    warnings = [
        *(table.unordered for table in stage.tables if table.unordered),
        *(gathered.opt_outs.warnings if gathered.opt_outs else ()),
        *((variants.warning,) if variants else ()),
        *plausibility.of_customers(tables, source),
        *of_categories(tables, source),
        *of_customers_dates(tables, source, (source.as_of - date(1970, 1, 1)).days),
        *mixed_values(tables, tables.customers, ("value", "spend", *numeric)),
        *of_placeholders(tables, tables.customers, ("value", "spend", *numeric), within="customers"),
        *of_counts(tables, source),
        *_set_aside_warnings(customers),
        *(_set_aside_warnings(accounts["treatments"], "treatments") if "treatments" in accounts else ()),
    ]
    return DataReport(
        source=source.name,
        currency=source.currency,
        files=stage.files,
        interactions=account(connection, stage.interactions, Equation(0, 0, 0, 0, 0)),
        customers=customers,
        customer_count=customers.equation.valid,
        customers_without_a_row=0,
        opt_outs=gathered.opt_outs,
        look_alikes=variants,
        first_at=f"{at}T00:00:00Z",
        last_at=f"{at}T00:00:00Z",
        span_days=0,
        believed_first=at,
        believed_last=at,
        outside_believed=0,
        kinds={},
        channels={},
        feeds={},
        weeks=(),
        stopped=(),
        nulls={},
        customer_nulls=_nulls(connection, tables.customers, customer_columns(source)),
        warnings=tuple(warnings),
        labels=dict(labels),
        treatments=accounts.get("treatments"),
    )


def _set_aside_warnings(entry: Account, table: str = "") -> list[str]:
    """Warnings of what was set aside, for the rows of a `table` that is named if there are others."""
    equation, of = entry.equation, f" of {table}.sql" if table else ""
    rules = ", ".join(f"{rule} {n:,}" for rule, n in list(entry.quarantined_for.items())[:3])
    checks = (
        (
            equation.quarantined > MOST_QUARANTINED * equation.rows_in,
            f"{equation.quarantined / max(equation.rows_in, 1):.1%} of the rows{of} are quarantined ({rules}): "
            "see data/quarantine.",
        ),
        (
            entry.conflicting_duplicates > 0 and table != "labels",
            f"{entry.conflicting_duplicates:,} duplicates{of} differ from the row kept with their id: is the id "
            "unique?",
        ),
    )
    return [words for holds, words in checks if holds]


def _declared(tables: Tables) -> tuple[Declared, ...]:
    rows = tables.rows(
        "SELECT strftime(as_of, '%Y-%m-%d'), count(*), count(*) FILTER (WHERE churned), "
        "count(*) FILTER (WHERE first_at IS NULL OR first_at >= timezone('UTC', as_of::TIMESTAMP)) "
        f"FROM {tables.labels} LEFT JOIN (SELECT customer_id, min(occurred_at) AS first_at "
        f"FROM {tables.interactions} GROUP BY customer_id) USING (customer_id) GROUP BY as_of ORDER BY as_of"
    )
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


def _warnings(report: DataReport, rows: int) -> Iterator[str]:
    entry = report.interactions
    contradicting = report.declared_labels.conflicting_duplicates if report.declared_labels else 0
    checks = (
        (
            not {*REVENUE} & {*report.kinds},
            f"No {' or '.join(REVENUE)}: customer value cannot be predicted.",
        ),
        (
            bool({*REVENUE} & {*report.kinds}) and report.nulls["amount"] == rows,
            "No amounts: orders can be predicted, money cannot.",
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
    yield from (words for holds, words in checks if holds)
    if one_sided := [at for at in report.declared if at.customers >= _LEAST_LABELS and at.churned in (0, at.customers)]:
        days = ", ".join(f"{at.as_of}: {'all left' if at.churned else 'all stayed'}" for at in one_sided[:3])
        yield (
            f"On {len(one_sided):,} of {len(report.declared):,} dates all labels are the same ({days}): are the others "
            "missing? A list of leavers only tells nothing apart; who stayed needs a label too."
        )
    yield from _set_aside_warnings(entry)
    others = (
        ("customers", report.customers), ("labels", report.declared_labels), ("treatments", report.treatments)
    )  # fmt: skip
    for table, other in others:
        if other is not None:
            yield from _set_aside_warnings(other, table)


def _nulls(connection: duckdb.DuckDBPyConnection, table: str, columns: Sequence[Column]) -> dict[str, int]:
    listed = ", ".join(f"count(*) - count({identifier(column.name)})" for column in columns)
    values = _row(connection, f"SELECT {listed} FROM {table}")
    return {column.name: int(str(value)) for column, value in zip(columns, values, strict=True)}


def _row(connection: duckdb.DuckDBPyConnection, sql: str) -> tuple[object, ...]:
    row = connection.execute(sql).fetchone()
    assert row is not None, "an aggregate yields a row"
    return tuple(row)
