"""Ids that differ only in how they are written: 412 and 412.0, 007 and 7, ann and ANN, with blanks and without."""

# ruff: noqa: S608 - SQL of ours

from dataclasses import dataclass

import duckdb

_DASHES = "‐‑‒–—―−－"
_ASCII = "".join(map(chr, range(0x30, 0x3A))) + "".join(map(chr, (*range(0x41, 0x5B), *range(0x61, 0x7B))))
_WIDE = "".join(chr(ord(character) + 0xFEE0) for character in _ASCII)
_BLANK = r"[\s\p{Z}\p{Cc}\p{Cf}]"  # blanks of every width, and what cannot be seen at all
FORM = "fedelta.id_form"  # a SQL function: the same for all ways to write one id
_EXAMPLES = 3

# What may differ, in the order in which it is taken away: the words for it, and the SQL that takes it away.
_LAYERS = (
    ("characters of double width", f"translate({{}}, '{_WIDE}', '{_ASCII}')"),
    ("blanks", "regexp_replace({}, '" + _BLANK + "', '', 'g')"),
    ("quotes around them", """regexp_replace({}, '^[''"`’]+|[''"`’]+$', '', 'g')"""),
    ("letter case", "lower({})"),
    ("accents apart from their letters", "nfc_normalize({})"),
    ("kinds of dashes", f"translate({{}}, '{_DASHES}', '{'-' * len(_DASHES)}')"),
    ("'.0' at the end", r"regexp_replace({}, '^(-?[0-9]+)(\.0*|,00?)$', '\1')"),
    ("leading zeros", r"regexp_replace({}, '^([^0-9]*)0+([0-9])', '\1\2')"),
)
# Most ids look like this, and are their own form.
_PLAIN = "regexp_full_match({}, '[a-z_:-]*[1-9][0-9]*')"


@dataclass(frozen=True)
class LookAlikes:
    """Customers written in more than one way, who so count as several."""

    customers: int
    ids: int  # ways in which they are written
    apart: int  # of the customers, those with ways that never occur in one kind of interaction or table
    differences: dict[str, int]  # what differs, and with how many customers
    examples: tuple[str, ...]

    @property
    def mending(self) -> str:
        """SQL that writes them in one way."""
        return _taken_away("customer_id::VARCHAR", *(layer for layer in _LAYERS if layer[0] in self.differences))

    @property
    def warning(self) -> str:
        by = ", ".join(f"{words} ({n:,})" for words, n in self.differences.items())
        apart = f"; {self.apart:,} of them in one way here and in another there" if self.apart else ""
        return (
            f"{self.customers:,} customers are written in more than one way, and so count as {self.ids:,}{apart}: "
            f"{'; '.join(self.examples)}. They differ by {by}. If they are the same, write them in one way in the SQL: "
            f"{self.mending} AS customer_id."
        )


def define(connection: duckdb.DuckDBPyConnection) -> None:
    """Make the SQL function `FORM`; the schema ``fedelta`` must exist."""
    connection.execute(
        f"CREATE MACRO {FORM}(x) AS CASE WHEN {_PLAIN.replace('{}', 'x')} THEN x ELSE {_taken_away('x', *_LAYERS)} END"
    )


def look_alikes(connection: duckdb.DuckDBPyConnection, places: str) -> LookAlikes | None:
    """Customers written in more than one way; None if there are none.

    `places` is a relation of `customer_id` and `place`, the kind of interaction or the table where it occurs.
    """
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE look_alikes AS "
        f"WITH ids AS (SELECT customer_id, list(DISTINCT place ORDER BY place) AS places, {FORM}(customer_id) AS form "
        f"FROM {places} GROUP BY customer_id) "
        "SELECT * FROM ids WHERE form IN (SELECT form FROM ids GROUP BY form HAVING count(*) > 1)"
    )
    # A customer differs by what it takes to make its ids one: with everything else taken away, they are still several.
    without = [_taken_away("customer_id", *(layer for layer in _LAYERS if layer is not left)) for left in _LAYERS]
    differs = ", ".join(f"count(*) FILTER (d[{k + 1}] > 1)" for k in range(len(without)))
    distinct = ", ".join(f"count(DISTINCT {form})" for form in without)
    customers, ids, apart, *numbers = _row(
        connection,
        f"SELECT count(*), coalesce(sum(n), 0)::BIGINT, count(*) FILTER (places > 1), {differs} FROM ("
        f"SELECT form, count(*) AS n, count(DISTINCT places) AS places, [{distinct}] AS d "
        "FROM look_alikes GROUP BY form)",
    )
    if not customers:
        return None
    examples = connection.execute(
        "SELECT string_agg(format('{} ({})', CASE WHEN length(customer_id) > 40 THEN left(customer_id, 39) || '…' "
        "ELSE customer_id END, array_to_string(places[:3], ', ')), ' and ' ORDER BY customer_id) "
        f"FROM look_alikes GROUP BY form ORDER BY form LIMIT {_EXAMPLES}"
    ).fetchall()
    return LookAlikes(
        customers,
        ids,
        apart,
        {words: n for (words, _), n in zip(_LAYERS, numbers, strict=True) if n},
        tuple(text for (text,) in examples),
    )


def _taken_away(sql: str, *layers: tuple[str, str]) -> str:
    """SQL of an id without what the layers take away."""
    for _, layer in layers:
        sql = layer.replace("{}", sql)
    return sql


def _row(connection: duckdb.DuckDBPyConnection, sql: str) -> list[int]:
    row = connection.execute(sql).fetchone()
    assert row is not None, "an aggregate yields a row"
    return [int(value) for value in row]
