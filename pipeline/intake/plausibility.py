"""What is valid row by row and still looks wrong as a whole: signs that a column does not mean what it should.

Each sign is a warning in words, with counts and what to do; none changes a row. Thresholds are wide: what they let
through may be wrong, what they warn of nearly always is.
"""

# ruff: noqa: S608 - SQL of ours

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import duckdb

from fedelta.features.cutoffs import BelievedSpan
from fedelta.features.feeds import Stopped
from fedelta.pipeline.intake.raw_files import identifier, literal
from fedelta.pipeline.intake.sources import Source
from fedelta.pipeline.intake.staging import Judged

_FEW = 30  # values from which a mean tells something
_APART = 0.01  # of the customers of a kind, who are also met in another
_FREE = 0.2  # of the amounts, that may be 0
_MANY = 100  # purchases of which none should make up most of the money
_OF_THREE_DECIMALS = ("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND")
# Texts that stand for no customer, or for many.
_NOBODY = (
    "nan", "none", "null", "<na>", "n/a", "na", "#n/a", "nat", "nil", "undefined", "unknown", "guest", "anonymous",
    "anon", "-", "?", "0", "-1", "gast", "ospite", "unbekannt", "sconosciuto", "invité", "invitado",
)  # fmt: skip


@dataclass(frozen=True)
class Tables:
    """The tables of the contract, as relations of one connection."""

    connection: duckdb.DuckDBPyConnection
    interactions: str
    customers: str
    labels: str  # the company's own

    def row(self, sql: str) -> tuple[Any, ...]:
        """The one row of an aggregate."""
        row = self.connection.execute(sql).fetchone()
        assert row is not None, "an aggregate yields a row"
        return tuple(row)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return self.connection.execute(sql).fetchall()


def day(number: int) -> date:
    """The date of a day since 1970."""
    return date(1970, 1, 1) + timedelta(days=number)


def _short(text: str) -> str:
    """A value as it can stand in a sentence."""
    return repr(text if len(text) <= 40 else text[:39] + "…")


def rounded(number: float) -> str:
    """To three figures."""
    return f"{float(f'{number:.3g}'):,.10g}"


def _interactions(number: int) -> str:
    return "1 interaction is" if number == 1 else f"{number:,} interactions are"


def stray_dates(span: BelievedSpan) -> Iterator[str]:
    """Warnings of dates far from all others."""
    if span.later:
        yield (
            f"{_interactions(span.later_count)} dated later than {day(span.last)} (from {day(span.later[0])} to "
            f"{day(span.later[-1])}), when nothing else had happened for {span.later[0] - span.last - 1} days. They "
            f"are kept, but the data are taken to end before: `score_at: latest` is {day(span.last + 1)}. Correct the "
            "dates, or name a date in cutoffs.score_at if they are right."
        )
    if span.earlier:
        yield (
            f"{_interactions(span.earlier_count)} dated earlier than {day(span.first)} (from "
            f"{day(span.earlier[0])} to {day(span.earlier[-1])}), after which nothing happened for "
            f"{span.first - span.earlier[-1] - 1} days. They are kept, and make their customers look that old. Correct "
            "the dates, or make them null if they stand for none."
        )


def stopped_feeds(found: list[Stopped], end: int) -> Iterator[str]:
    """Warnings of what has stopped coming in."""
    for one in found:
        stray = f" (but for {one.strays:,} dated later)" if one.strays else ""
        yield (
            f"Interactions of {one.name} stopped on {day(one.last)}{stray}, {one.silent_days} days before the data end "
            f"on {day(end)}: about {one.expected:,.0f} would have come since at the usual rate. Is its export late or "
            "broken? Scores made now take it for silence of the customers."
        )


def of_ids(tables: Tables, source: Source) -> Iterator[str]:
    """Customers that may be nobody, or many, or lost their digits."""
    rows, customers = tables.row(f"SELECT count(*), count(DISTINCT customer_id) FROM {tables.interactions}")
    top, n = tables.row(
        f"SELECT customer_id, count(*) AS n FROM {tables.interactions} GROUP BY 1 ORDER BY n DESC, 1 LIMIT 1"
    )
    usual = rows / customers
    if n >= 50 and n >= max(0.05, 20 / customers) * rows:
        yield (
            f"{n / rows:.0%} of the interactions ({n:,}) are of one customer, {_short(top)}; others have "
            f"{(rows - n) / max(customers - 1, 1):,.0f} on average. If it is a till, a guest or a test account, give "
            "its rows a reason in out_of_scope."
        )
    listed = ", ".join(literal(word) for word in _NOBODY)
    for name, number in tables.rows(
        f"SELECT customer_id, count(*) AS n FROM {tables.interactions} WHERE lower(trim(customer_id)) IN ({listed}) "
        "GROUP BY 1 ORDER BY n DESC, 1"
    ):
        if number >= 2 and (name not in ("0", "-1", "-") or number >= 5 * usual):
            yield (
                f"{number:,} interactions are of the customer {_short(name)}, which looks like none at all. If so, "
                f"write nullif(customer_id, {literal(name)}) in the SQL: the rows are then quarantined."
            )
    shortened, shaped, numbers = tables.row(
        "SELECT count(*) FILTER (regexp_full_match(customer_id, '[0-9](\\.[0-9]+)?[eE]\\+?[0-9]+')), "
        "count(*) FILTER (regexp_full_match(customer_id, '(19|20)[0-9]{2}-[01][0-9]-[0-3][0-9]([ T].*)?')), count(*) "
        f"FROM (SELECT DISTINCT customer_id FROM {tables.interactions})"
    )
    if shortened:
        yield (
            f"{shortened:,} customer ids are written like 1.23E+11: a spreadsheet has cut their digits, and different "
            "customers may have become one. Export the ids as text."
        )
    if shaped > numbers / 2:
        yield f"{shaped:,} of {numbers:,} customer ids look like dates: is customer_id another column?"
    if source.customers_sql is not None:
        with_row, without, silent = tables.row(
            f"SELECT count(*) FILTER (i.customer_id IS NOT NULL AND c.listed), count(*) FILTER (NOT c.listed), "
            "count(*) FILTER (i.customer_id IS NULL) FROM (SELECT customer_id, customer_id IN "
            f"(SELECT customer_id FROM known_customers) AS listed FROM {tables.customers}) c LEFT JOIN "
            f"(SELECT DISTINCT customer_id FROM {tables.interactions}) i USING (customer_id)"
        )
        if without and silent and not with_row:
            yield (
                f"None of the {silent:,} customers of customers.sql has an interaction, and none of the {without:,} "
                "customers with interactions is among them: the two write customer_id in different ways."
            )
        elif silent > with_row:
            yield (
                f"{silent:,} of {silent + with_row:,} customers of customers.sql have no interaction: they get no "
                "score."
            )


def of_ids_apart(tables: Tables) -> Iterator[str]:
    """A warning of kinds whose customers are hardly met in any other kind: the ids are of another system."""
    kinds = tables.rows(
        "SELECT kind, count(*), count(*) FILTER (kinds > 1) FROM (SELECT customer_id, kind, count(*) OVER "
        f"(PARTITION BY customer_id) AS kinds FROM (SELECT DISTINCT customer_id, kind FROM {tables.interactions})) "
        "GROUP BY kind ORDER BY kind"
    )
    (every,) = tables.row(f"SELECT count(DISTINCT customer_id) FROM {tables.interactions}")
    apart = [
        f"{kind} ({own:,} customers)"
        for kind, own, shared in kinds
        if min(own, others := every - own + shared) >= _FEW and shared < _APART * min(own, others)
    ]
    if apart:
        yield (
            f"Of the customers with interactions of kind {' and of kind '.join(apart)}, hardly any has one of another "
            "kind: are their ids those of another system? Such customers count as others, and what they went through "
            "tells nothing of those who buy. Translate the ids in the SQL, by a JOIN with a table that knows both."
        )


def of_money(tables: Tables, judged: Judged, source: Source) -> Iterator[str]:
    """Amounts that are missing, of the wrong sign or unit."""
    bought, priced, spent = tables.row(
        "SELECT count(*), count(amount), coalesce(sum(amount), 0)::DOUBLE "
        f"FROM {tables.interactions} WHERE kind = 'purchase'"
    )
    returned, refunds = tables.row(f"SELECT count(*), count(amount) FROM {tables.interactions} WHERE kind = 'return'")
    negative = tables.rows(
        f"SELECT kind, count(*) FROM {judged.table} WHERE rule = 'amount_negative' GROUP BY 1 ORDER BY 2 DESC, 1"
    )
    if (n := sum(number for _, number in negative)) > 0.01 * (n + priced + refunds):
        kinds = ", ".join(f"{kind} {number:,}" for kind, number in negative)
        yield (
            f"{n:,} amounts are negative and were quarantined ({kinds}). Where they are refunds, yield them as kind "
            "return with abs(amount)."
        )
    if priced >= _MANY:
        largest, customer = tables.row(
            f"SELECT max(amount)::DOUBLE, arg_max(customer_id, amount) FROM {tables.interactions} "
            "WHERE kind = 'purchase'"
        )
        if largest > 0.5 * spent:
            yield (
                f"One purchase of {rounded(largest)} by the customer {_short(customer)} is {largest / spent:.1%} of "
                f"what {priced:,} purchases brought in: every figure of money rests on it. If it is a typing error, "
                "correct it or give the row a reason in out_of_scope."
            )
    three, finer = tables.row(
        "SELECT count(*) FILTER (money * 1000 % 10 <> 0), count(*) FILTER (money * 1000 % 1 <> 0) "
        f"FROM (SELECT amount::DECIMAL(38, 4) AS money FROM {tables.interactions} "
        "WHERE kind IN ('purchase', 'renewal', 'return'))"
    )
    if three >= _FEW and three > 0.5 * (priced + refunds) and not finer and source.currency not in _OF_THREE_DECIMALS:
        yield (
            f"{three:,} amounts have three digits after the point, such as 2.004: if the point separates thousands, "
            "they are a thousandth of what they should be. Write replace(amount, '.', '') in the SQL."
        )
    if 0 < priced < 0.95 * bought:
        yield f"{bought - priced:,} of {bought:,} purchases have no amount: they count as orders worth nothing."
    (nothing,) = tables.row(
        f"SELECT count(*) FILTER (amount = 0) FROM {tables.interactions} WHERE kind IN ('purchase', 'renewal')"
    )
    (paid,) = tables.row(f"SELECT count(amount) FROM {tables.interactions} WHERE kind IN ('purchase', 'renewal')")
    if nothing >= _FEW and nothing > _FREE * paid:
        yield (
            f"{nothing:,} of {paid:,} amounts of purchases and renewals are 0, and count as orders worth nothing. If "
            "the amount is not known, yield null."
        )
    if refunds < returned and priced:
        yield (
            f"{returned - refunds:,} of {returned:,} returns have no amount: historic_value takes nothing off for them."
        )
    above, both = tables.row(
        f"SELECT count(*) FILTER (margin > amount), count(*) FROM {tables.interactions} "
        "WHERE kind = 'purchase' AND margin IS NOT NULL AND amount > 0"
    )
    if above >= _FEW and above > 0.05 * both:
        yield f"{above:,} of {both:,} purchases have a margin above their amount: are both of the same unit?"


def of_measures(tables: Tables, judged: Judged) -> Iterator[str]:
    """Ratings and times of the wrong scale."""
    out, least, most = tables.row(
        f"SELECT count(*), min(rating), max(rating) FROM {judged.table} WHERE rule = 'rating_out_of_range'"
    )
    (rated,) = tables.row(f"SELECT count(rating) FROM {tables.interactions}")
    if out > 0.05 * (rated + out):
        yield (
            f"{out:,} of {rated + out:,} ratings lie outside 0 to 1 ({least:g} to {most:g}) and were quarantined; "
            "those left are taken for 0 worst, 1 best, and are wrong if the scale is another. Rescale all: stars from "
            "1 to 5 are (rating - 1) / 4, a score from 0 to 10 is rating / 10."
        )
    for name, usual in (("wait_hours", 24 * 30), ("delay_hours", 24 * 90)):
        number, mean = tables.row(
            f"SELECT count(*), exp(avg(ln(abs({name})))) FROM {tables.interactions} WHERE abs({name}) > 0"
        )
        if number >= _FEW and mean > usual:
            yield f"{name} is {mean:,.0f} hours as a rule, which is {mean / 24:,.0f} days: is it in minutes or seconds?"


def of_customers(tables: Tables, source: Source) -> Iterator[str]:
    """Columns of customers that say nothing, or cannot be right."""
    if source.customers_sql is None:
        return
    for attribute in source.attributes:
        rows, filled, values = tables.row(
            f"SELECT count(*), count({identifier(attribute.name)}), count(DISTINCT {identifier(attribute.name)}) "
            "FROM known_customers"
        )
        if rows and not filled:
            yield f"The attribute {attribute.name} is empty in all rows of customers.sql."
        elif rows >= _FEW and filled and values == 1 and filled == rows:
            yield f"The attribute {attribute.name} is the same for all customers: it tells nothing."
        elif attribute.type == "categorical" and filled >= 100 and values > 0.9 * filled:
            yield (
                f"The attribute {attribute.name} has {values:,} values in {filled:,} rows: an id or a text in its own "
                "words is no category. Leave it out or group it."
            )
    if source.kind == "table":
        rows, stated, nothing = tables.row(
            "SELECT count(*), count(value), count(*) FILTER (value = 0) FROM known_customers"
        )
        if 0 < stated < rows:
            yield (
                f"The value of {rows - stated:,} of {rows:,} customers is null: their value at risk is unknown, sums "
                "of it leave them out, and no action is chosen for them."
            )
        if stated >= _FEW and nothing == stated:
            yield "The value of all customers is 0, and so is what is at risk: leave the column out if it is unknown."
    out, every = tables.row("SELECT count(*) FILTER (opted_out), count(*) FROM known_customers")
    if every >= _FEW and out > 0.9 * every:
        yield (
            f"{out:,} of {every:,} customers are opted out, and so never contacted: is the column the other way round?"
        )


def of_times(tables: Tables, judged: Judged, end: int) -> Iterator[str]:
    """Days in the place of months, what became known late, and what seems to have been loaded twice."""
    (swapped,) = tables.row(
        f"SELECT count(*) FROM {judged.table} WHERE rule = 'unreadable' "
        "AND regexp_matches(reason, '^occurred_at is [0-9]{4}-(1[3-9]|2[0-9]|3[01])-(0[1-9]|1[0-2])([ T;]|$)')"
    )
    if swapped:
        yield (
            f"{swapped:,} times have a day where the month should be (2024-31-01) and were quarantined. Others of the "
            "same file, whose day is at most 12, were read with day and month exchanged: parse all of them in the SQL, "
            "as with try_strptime(x, '%Y-%d-%m')."
        )
    late, delay, after = tables.row(
        "SELECT count(*), avg(epoch_us(known_at) - epoch_us(occurred_at)) / 86400e6, "
        f"count(*) FILTER (known_at >= TIMESTAMPTZ '{day(end + 1)} 00:00:00+00') "
        f"FROM {tables.interactions} WHERE known_at IS NOT NULL"
    )
    (most_on_a_day,) = tables.row(
        f"SELECT coalesce(max(n), 0) FROM (SELECT count(*) AS n FROM {tables.interactions} WHERE known_at IS NOT NULL "
        "GROUP BY epoch_us(known_at) // 86400000000)"
    )
    if late:
        (rows,) = tables.row(f"SELECT count(*) FROM {tables.interactions}")
        hidden = f"; {after:,} only after the data end, so that `score_at: latest` does not see them" if after else ""
        bulk = (
            f" {most_on_a_day:,} became known on one day: if that is when a table was loaded at once, leave known_at "
            "null for these, or no feature sees them before."
            if most_on_a_day > 0.2 * rows
            else ""
        )
        yield (
            f"{late:,} of {rows:,} interactions became known later than they happened, by {delay:,.1f} days on average"
            f"{hidden}.{bulk}"
        )
    pairs, timed = tables.row(
        "SELECT coalesce(sum(n - 1), 0)::BIGINT, coalesce(sum(n), 0)::BIGINT FROM (SELECT count(*) AS n FROM "
        f"{tables.interactions} WHERE kind = 'purchase' AND epoch_us(occurred_at) % 3600000000 <> 0 "
        "GROUP BY customer_id, occurred_at, channel, amount, topic)"
    )
    if pairs >= 10 and pairs > 0.3 * timed:
        yield (
            f"{pairs:,} of {timed:,} purchases equal another in customer, time, amount, channel and topic, but not in "
            "id: was a file loaded twice under new ids?"
        )
