"""Categories that differ only in how they are written, and texts in their place that stand for none."""

# ruff: noqa: S608 - SQL of ours

from collections.abc import Iterator

from fedelta.pipeline.intake.plausibility import Tables
from fedelta.pipeline.intake.raw_files import identifier, literal
from fedelta.pipeline.intake.sources import Source

_EXAMPLES = 3
# SQL of what is the same for all ways to write a category, and of a list of them: without case, accents, what cannot be
# seen, kinds of blanks and dashes.
_FORM = (
    r"trim(regexp_replace(regexp_replace(lower(strip_accents({})), '\p{{Cf}}', '', 'g'), "
    r"'[\s\p{{Z}}_‐‑‒–—―−－-]+', ' ', 'g'))"
)
_LIST_FORM = rf"regexp_replace({_FORM}, ' ?\| ?', '|', 'g')"
_NONE = ("nan", "null", "<na>", "n/a", "#n/a", "nat", "undefined", "(null)", "\\n")


def of_categories(tables: Tables, source: Source) -> Iterator[str]:
    """Warnings of the values of categorical attributes, and of topics."""
    for attribute in source.attributes:
        if attribute.type == "categorical":
            column = identifier(attribute.name)
            values = f"SELECT {column} AS value FROM known_customers"
            mended = f"{_FORM.format(attribute.name)} AS {attribute.name}"
            yield from _of(tables, f"attribute {attribute.name}", values, mended)
    topics = f"SELECT unnest(string_split(topic, '|')) AS value FROM {tables.interactions} WHERE topic IS NOT NULL"
    yield from _of(tables, "column topic", topics, _LIST_FORM.format("topic") + " AS topic")


def _of(tables: Tables, what: str, values: str, mended: str) -> Iterator[str]:
    tables.connection.execute(
        f"CREATE OR REPLACE TEMP TABLE category_forms AS SELECT value, count(*) AS n, {_FORM.format('value')} AS form "
        f"FROM ({values}) WHERE value IS NOT NULL GROUP BY value"
    )
    several = "FROM category_forms GROUP BY form HAVING count(*) > 1"
    (groups,) = tables.row(f"SELECT count(*) FROM (SELECT form {several})")
    if groups:
        examples = tables.rows(
            "SELECT string_agg(format('''{}'' ({})', left(value, 40), n), ', ' ORDER BY n DESC, value) "
            f"{several} ORDER BY sum(n) DESC, form LIMIT {_EXAMPLES}"
        )
        yield (
            f"The {what} has {'a category' if groups == 1 else f'{groups:,} categories'} written in more than one way, "
            f"each of which counts as another: {'; '.join(str(text) for (text,) in examples)}. They differ by case, "
            f"accents, blanks or dashes. If they are the same, write them in one way in the SQL: {mended}."
        )
    listed = ", ".join(literal(word) for word in _NONE)
    absent = tables.rows(
        f"SELECT value, n FROM category_forms WHERE lower(trim(value)) IN ({listed}) ORDER BY n DESC, value LIMIT 5"
    )
    if absent:
        named = ", ".join(f"{value!r} ({n:,})" for value, n in absent)
        yield f"The {what} has {named} as a category: if it stands for a missing value, yield null instead."
