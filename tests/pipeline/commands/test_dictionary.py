"""The data dictionary says every feature once, under its theme, and the page in the docs says the same."""

import csv
import io
from pathlib import Path

import polars as pl
import pytest

from fedelta.features.registry import FEATURES, dictionary
from fedelta.pipeline.commands.dictionary import COMMAND, Format, printed

PAGE = Path(__file__).parents[3] / "docs/features.md"


def test_the_page_in_the_docs_is_up_to_date():
    assert PAGE.read_text(encoding="utf-8") == printed("markdown") + "\n", f"Run `{COMMAND}`."


@pytest.mark.parametrize("form", ["text", "markdown", "csv"])
def test_every_feature_is_reported_once_with_its_meaning(form: Format):
    lines = [line.replace("`", "").replace("|", " ").replace(",", " ").split() for line in printed(form).splitlines()]
    words = [word for line in lines for word in line[:2]]  # a CSV row opens with the theme
    assert {feature.name: words.count(feature.name) for feature in FEATURES} == {f.name: 1 for f in FEATURES}


def test_a_spreadsheet_reads_the_registry_back():
    rows = list(csv.DictReader(io.StringIO(printed("csv"))))
    assert [{name: row[name] for name in dictionary().columns} for row in rows] == dictionary().to_dicts()


def test_features_stand_under_their_theme_in_the_order_of_the_registry():
    headings = [line.removeprefix("## ").lower() for line in printed("markdown").splitlines() if line.startswith("## ")]
    assert headings == list(dict.fromkeys(feature.theme for feature in FEATURES))


def test_a_terminal_of_120_columns_suffices():
    assert max(map(len, printed("text").splitlines())) <= 120


def test_a_meaning_with_a_bar_does_not_break_the_table():
    row = {"name": "a", "unit": "count", "meaning": "this | that", "theme": "t", "silent": "0", "type": "Int32"}
    (line,) = (line for line in printed("markdown", pl.DataFrame([row])).splitlines() if "`a`" in line)
    assert line == r"| `a` | this \| that | count | Int32 | 0 |"
