"""The data dictionary in words: every feature by theme, to read in a terminal, in the docs or in a spreadsheet."""

import json
import textwrap
from collections.abc import Iterator
from typing import Literal

import polars as pl

from fedelta.features.registry import dictionary

Format = Literal["text", "markdown", "csv", "json"]

COMMAND = "fedelta features --format markdown > docs/features.md"
_WIDTH = 120


def printed(form: Format = "text", table: pl.DataFrame | None = None) -> str:
    """The dictionary of the registry (or `table`, of the same columns), grouped by theme in the order of the registry.

    ``text`` fits a terminal of 120 columns, ``markdown`` is docs/features.md, ``csv`` and ``json`` have one row
    per feature. None ends in a newline: it is printed.
    """
    table = dictionary() if table is None else table
    if form == "json":
        return json.dumps(table.to_dicts(), indent=1, ensure_ascii=False)
    if form == "csv":
        return table.select("theme", pl.exclude("theme")).write_csv().rstrip("\n")
    return "\n".join(_text(table) if form == "text" else _markdown(table))


def _text(table: pl.DataFrame) -> Iterator[str]:
    name, unit, type_ = (max(map(len, table[column]), default=0) + 2 for column in ("name", "unit", "type"))
    margin = name + unit + type_ + 8
    yield f"{table.height} features. Silent: what a customer gets who never did what the feature looks at."
    for theme, rows in _themes(table):
        yield f"\n{theme} ({rows.height})"
        yield f"  {'name':<{name}}{'unit':<{unit}}{'type':<{type_}}silent  meaning".rstrip()
        for row in rows.iter_rows(named=True):
            says = textwrap.wrap(row["meaning"], max(_WIDTH - margin - 2, 20)) or [""]
            head = f"  {row['name']:<{name}}{row['unit']:<{unit}}{row['type']:<{type_}}{row['silent']:<8}"
            yield head + says[0]
            yield from (" " * (margin + 2) + line for line in says[1:])


def _markdown(table: pl.DataFrame) -> Iterator[str]:
    yield "# Features"
    yield ""
    yield f"Written by `{COMMAND}`; edit the definitions in `features/` instead, and run it again."
    yield ""
    yield (
        f"Each of the {table.height} features is one number per customer and cutoff, read from what happened before "
        "the cutoff. *Silent* is what a customer gets who never did what the feature looks at: 0, or null where zero "
        "would be a claim. Attributes that a source declares come on top, as `attribute_NAME`."
    )
    for theme, rows in _themes(table):
        yield f"\n## {theme.capitalize()}\n"
        yield "| name | meaning | unit | type | silent |"
        yield "| --- | --- | --- | --- | --- |"
        for row in rows.iter_rows(named=True):
            cells = (f"`{row['name']}`", row["meaning"].replace("|", "\\|"), row["unit"], row["type"], row["silent"])
            yield f"| {' | '.join(cells)} |"


def _themes(table: pl.DataFrame) -> Iterator[tuple[str, pl.DataFrame]]:
    for theme in table["theme"].unique(maintain_order=True):
        yield theme, table.filter(pl.col("theme") == theme)
