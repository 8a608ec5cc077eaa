"""Who the customers are, and which of them must not be contacted: an opt-out is never lost, and never read as a no.

A value that is neither yes nor no counts as opted out. So does a customer of whom any row says so, whatever became of
the row (quarantined, a duplicate, out of scope) and however it writes the id; and, where a line of the customers' files
could not be read at all, whoever it names, or, if it names nobody known, every customer without a row.
"""

# ruff: noqa: S608 - the SQL is ours, around a SELECT the source's author wrote to be run

from dataclasses import dataclass

import duckdb

from fedelta.pipeline.intake.id_forms import FORM
from fedelta.pipeline.intake.quarantine import OPT_OUT_AS_CAME
from fedelta.pipeline.intake.raw_files import MALFORMED, identifier, literal
from fedelta.pipeline.intake.rules import OPT_OUT, customer_columns
from fedelta.pipeline.intake.sources import Source
from fedelta.pipeline.intake.staging import Staged, count_of

_VALUES = 10


@dataclass(frozen=True)
class OptOuts:
    """Customers that count as opted out, and why they do where no row that was kept says so."""

    customers: int
    unreadable: int  # rows whose opt-out is neither yes nor no
    unreadable_values: dict[str, int]  # the most frequent of them
    by_row_set_aside: int  # customers
    by_other_spelling: int  # customers
    by_unreadable_line: int  # customers
    lines_of_nobody: int  # lines that could not be read and name no known customer
    without_id: int  # rows that say yes and name nobody

    @property
    def warnings(self) -> list[str]:
        values = ", ".join(f"{value!r} {n:,}" for value, n in self.unreadable_values.items())
        checks = (
            (
                self.unreadable,
                f"{self.unreadable:,} values of opted_out are neither yes nor no ({values}): these customers count as "
                "opted out. Translate the values with CASE in customers.sql.",
            ),
            (
                self.by_row_set_aside,
                f"{self.by_row_set_aside:,} customers count as opted out because a row of theirs says so that was "
                "quarantined, gave way to another, or is out of scope.",
            ),
            (
                self.by_other_spelling,
                f"{self.by_other_spelling:,} customers count as opted out because a row says so whose customer_id "
                "differs from theirs only in how it is written.",
            ),
            (
                self.by_unreadable_line,
                f"{self.by_unreadable_line:,} customers count as opted out because their line of the customers' files "
                "may say so and could not be read"
                + (
                    f" ({self.lines_of_nobody:,} lines name no known customer, so whoever has no row may be meant)"
                    if self.lines_of_nobody
                    else ""
                )
                + ". Mend the lines: see data/quarantine/.",
            ),
            (
                self.without_id,
                f"{self.without_id:,} rows of customers.sql say opted out but have no customer_id: "
                "nobody is suppressed for them.",
            ),
        )
        return [words for number, words in checks if number]


@dataclass(frozen=True)
class Customers:
    """The customers of a source, as the table `CUSTOMERS` of the connection."""

    without_a_row: int  # known from interactions only
    opt_outs: OptOuts | None  # None: the source says nothing of opt-outs


CUSTOMERS = "every_customer"  # a temporary table


def gather(connection: duckdb.DuckDBPyConnection, source: Source, stage: Staged, interactions: str) -> Customers:
    """Make the table of every customer of the source's or with an interaction.

    `interactions` is the relation of the valid ones.
    """
    columns = customer_columns(source)
    nothing = ", ".join(f"NULL::{c.sql_type} AS {identifier(c.name)}" for c in columns[1:])
    known = stage.customers.valid if stage.customers else f"SELECT NULL::VARCHAR AS customer_id, {nothing} WHERE false"
    connection.execute(
        f"CREATE TEMP TABLE known_customers AS {known};"
        f"CREATE TEMP TABLE met_customers AS SELECT DISTINCT customer_id FROM {interactions} "
        "ANTI JOIN known_customers USING (customer_id);"
        f"CREATE TEMP TABLE {CUSTOMERS} AS SELECT * FROM known_customers "
        f"UNION ALL SELECT customer_id, {nothing} FROM met_customers"
    )
    asks = stage.customers is not None and OPT_OUT.name in stage.customers.given
    opt_outs = _with_opt_outs(connection, source) if asks else None
    return Customers(count_of(connection, "SELECT count(*) FROM met_customers"), opt_outs)


def _with_opt_outs(connection: duckdb.DuckDBPyConnection, source: Source) -> OptOuts:
    """Mark in the table of customers everybody who counts as opted out."""
    rows = "fedelta.customers"
    connection.execute(
        f"CREATE TEMP TABLE stated AS SELECT customer_id, {FORM}(customer_id) AS form, bool_or(opted_out) AS opted_out "
        f"FROM {rows} WHERE customer_id IS NOT NULL AND opted_out IS NOT NULL GROUP BY ALL"
    )
    _unreadable_lines(connection, source)
    orphaned = count_of(connection, "SELECT count(*) FROM torn_lines WHERE NOT named")
    connection.execute(
        "CREATE TEMP TABLE reasons AS SELECT c.customer_id, c.opted_out AS own, stated.opted_out AS exact, "
        f"{FORM}(c.customer_id) IN (SELECT form FROM stated WHERE opted_out) AS spelling, "
        f"{FORM}(c.customer_id) IN (SELECT form FROM torn_words) OR ({orphaned} > 0 AND c.customer_id NOT IN "
        f"(SELECT customer_id FROM {rows} WHERE customer_id IS NOT NULL)) AS line "
        f"FROM {CUSTOMERS} c LEFT JOIN stated USING (customer_id);"
        f"UPDATE {CUSTOMERS} SET opted_out = CASE WHEN r.own OR r.exact OR r.spelling OR r.line THEN true "
        f"ELSE coalesce(r.own, r.exact) END FROM reasons r WHERE {CUSTOMERS}.customer_id = r.customer_id"
    )
    values = connection.execute(
        f"SELECT left({OPT_OUT_AS_CAME}, 40), count(*) FROM {rows} WHERE {OPT_OUT_AS_CAME} IS NOT NULL "
        f"GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT {_VALUES}"
    ).fetchall()
    numbers = [
        count_of(connection, f"SELECT count(*) FROM reasons WHERE {condition}")
        for condition in (
            "own OR exact OR spelling OR line",
            "exact AND own IS NOT TRUE",
            "spelling AND exact IS NOT TRUE",
            "line AND exact IS NOT TRUE AND NOT spelling",
        )
    ]
    return OptOuts(
        customers=numbers[0],
        unreadable=count_of(connection, f"SELECT count(*) FROM {rows} WHERE {OPT_OUT_AS_CAME} IS NOT NULL"),
        unreadable_values={str(value): int(n) for value, n in values},
        by_row_set_aside=numbers[1],
        by_other_spelling=numbers[2],
        by_unreadable_line=numbers[3],
        lines_of_nobody=orphaned,
        without_id=count_of(connection, f"SELECT count(*) FROM {rows} WHERE opted_out AND customer_id IS NULL"),
    )


def _unreadable_lines(connection: duckdb.DuckDBPyConnection, source: Source) -> None:
    """Tables of the lines of the customers' files that never became a row, and of the customers whom they name."""
    delimiters = "".join(dict.fromkeys(f.options.delim for f in source.files))
    split = (
        f"regexp_split_to_array(translate(text, {literal(delimiters)}, repeat(chr(31), {len(delimiters)})), '\\x1f')"
    )
    words = r"regexp_extract_all(text, '[\p{L}\p{N}_.@:/+-]+')"
    connection.execute(
        "CREATE TEMP TABLE torn AS SELECT rowid AS line, unnest(list_concat("
        f"list_transform({split}, lambda x: trim(x, ' \"''')), {words})) AS word FROM {MALFORMED} WHERE of_customers;"
        f"CREATE TEMP TABLE torn_words AS SELECT DISTINCT line, {FORM}(word) AS form FROM torn WHERE {FORM}(word) IN "
        f"(SELECT {FORM}(customer_id) FROM {CUSTOMERS});"
        f"CREATE TEMP TABLE torn_lines AS SELECT rowid AS line, rowid IN (SELECT line FROM torn_words) AS named "
        f"FROM {MALFORMED} WHERE of_customers"
    )
