"""Dates of customers that were read and cannot be right: placeholders, and days yet to come."""

# ruff: noqa: S608 - SQL of ours

from collections.abc import Iterator

from fedelta.pipeline.intake.plausibility import Tables, day
from fedelta.pipeline.intake.quarantine import KNOWN_LONG_BEFORE
from fedelta.pipeline.intake.sources import Source
from fedelta.pipeline.intake.staging import Judged

_PLACEHOLDERS = ("1900-01-01", "1900-01-02", "1901-01-01", "1970-01-01")
_LONGEST_YEARS = 80  # that anybody is a customer
_SLACK_DAYS = 14  # by which labels may come after the last interaction
_FAR_DAYS = 3653  # from which a date after the data end is a mistake
_SOME = 10  # customers that are no slip
_SHARE = 0.2  # of the customers


def of_customers_dates(tables: Tables, source: Source, end: int) -> Iterator[str]:
    """Warnings of sign-ups and of times from which attributes were known.

    `end` is the last day of the data since 1970; that which a table describes.
    """
    if source.customers_sql is None:
        return
    yield from _sign_ups(tables, source, end)
    for name in sorted({a.known_from for a in source.attributes if a.known_from}):
        yield from _known_from(tables, name, end)


def known_before_they_happened(tables: Tables, judged: Judged) -> Iterator[str]:
    """A warning of interactions whose `known_at` lies a year and more before they happened."""
    (early,) = tables.row(
        f"SELECT count(*) FROM {judged.table} WHERE {KNOWN_LONG_BEFORE} AND rule IS NULL AND out_of_scope IS NULL"
    )
    if early:
        yield (
            f"{early:,} interactions have a known_at more than a year before they happened, and count as known at "
            "once: is it another column, or a date that stands for none?"
        )


def after_the_data(tables: Tables, end: int) -> Iterator[str]:
    """A warning of the company's own labels that are about a day after the data end."""
    late, both = tables.row(
        f"SELECT count(*) FILTER (as_of > DATE '{day(end + _SLACK_DAYS)}'), count(*) FROM {tables.labels}"
    )
    if late:
        yield (
            f"{late:,} of {both:,} labels have an as_of after the data end on {day(end)}: nothing is known of the days "
            "between, so these customers look silent. Bring the interactions, or leave these labels out."
        )


def _sign_ups(tables: Tables, source: Source, end: int) -> Iterator[str]:
    old, oldest = tables.row(
        f"SELECT count(*), {_day('min(signed_up_at)')} FROM known_customers WHERE {_placeholder('signed_up_at')} OR "
        f"signed_up_at < TIMESTAMPTZ '{day(end)} 00:00:00+00' - INTERVAL {_LONGEST_YEARS} YEAR"
    )
    if old:
        yield (
            f"{old:,} customers signed up on a day that cannot be right or stands for none (such as {oldest}), and "
            "count as customers since then. Yield null where the date is not known."
        )
    early, both = tables.row(
        "SELECT count(*) FILTER (first < signed_up_at - INTERVAL 1 DAY), count(*) FROM known_customers JOIN "
        f"(SELECT customer_id, min(occurred_at) AS first FROM {tables.interactions} GROUP BY 1) USING (customer_id) "
        "WHERE signed_up_at IS NOT NULL"
    )
    if early >= _SOME and early > _SHARE * both:
        yield (
            f"{early:,} of {both:,} customers have interactions before they signed up: is signed_up_at when their "
            "record was last written?"
        )
    if source.kind == "table":
        late, both = _after(tables, "signed_up_at", end)
        if late:
            yield (
                f"{late:,} of {both:,} customers signed up after {day(end)}, the day that the table describes: their "
                "tenure is negative. Correct as_of in source.yaml, or the dates."
            )


def _known_from(tables: Tables, name: str, end: int) -> Iterator[str]:
    column = f'"{name}"'
    old, oldest = tables.row(
        f"SELECT count(*), {_day(f'min({column})')} FROM known_customers WHERE {_placeholder(column)} OR "
        f"{column} < TIMESTAMPTZ '1901-01-01 00:00:00+00'"
    )
    if old:
        yield (
            f"{old:,} customers have a {name} that cannot be right or stands for no date (such as {oldest}): what is "
            "known from it counts as known from the beginning, also where it changed later. Yield null for the "
            "attribute where nobody knows since when it holds."
        )
    late, both = _after(tables, name, end)
    far, _ = _after(tables, name, end + _FAR_DAYS)
    if far or (late >= _SOME and late > _SHARE * both):
        years = f" ({far:,} of them more than ten years)" if far else ""
        yield (
            f"{late:,} of {both:,} customers have a {name} after the data end on {day(end)}{years}: what is known from "
            "it is not seen before. Is it when their record was last written, or when something ends?"
        )


def _after(tables: Tables, name: str, end: int) -> tuple[int, int]:
    late, both = tables.row(
        f'SELECT count(*) FILTER ("{name}" >= TIMESTAMPTZ \'{day(end + 1)} 00:00:00+00\'), count("{name}") '
        "FROM known_customers"
    )
    return int(late), int(both)


def _placeholder(column: str) -> str:
    """SQL that is true of midnight of a day that stands for none, in the source's time zone or in UTC."""
    listed = ", ".join(f"DATE '{placeholder}'" for placeholder in _PLACEHOLDERS)
    return f"({column}::TIMESTAMP::DATE IN ({listed}) OR timezone('UTC', {column})::DATE IN ({listed}))"


def _day(value: str) -> str:
    return f"strftime({value}::TIMESTAMP, '%Y-%m-%d')"
