"""The walks of CONTRIBUTING.md: their examples run, and what they name is there."""

import re
from dataclasses import fields, replace
from datetime import UTC, datetime
from pathlib import Path
from textwrap import dedent
from types import ModuleType
from typing import Any

import oracle
import polars as pl
import pytest
from build_graph import is_code
from histories import CUTOFF, NOW, SETTINGS, event, interactions
from ruamel.yaml import YAML

from fedelta.features import purchases, registry
from fedelta.features.kernel import features_at
from fedelta.models.churn.candidate import Candidate
from fedelta.models.reasons import english, italian, subjects
from fedelta.pipeline import paths

HERE = Path(__file__).parents[1]
PAGE = (HERE / "CONTRIBUTING.md").read_text(encoding="utf-8")


def walk(title: str) -> str:
    """The section of a title."""
    return re.split(rf"^## {title}\n", PAGE, flags=re.MULTILINE)[1].split("\n## ")[0]


def examples(title: str, language: str = "python") -> list[str]:
    """The blocks of code of a section, in their order."""
    return re.findall(rf"^```{language}\n(.*?)^```", walk(title), re.MULTILINE | re.DOTALL)


@pytest.fixture
def feature() -> list[str]:
    """The example of a feature: its declaration, how it is read naively, its words."""
    return examples("Add a feature")


def test_the_example_of_a_feature_is_read_as_the_example_of_a_naive_reader_reads_it(
    feature: list[str], monkeypatch: pytest.MonkeyPatch
):
    names: dict[str, Any] = dict(vars(purchases))
    exec(feature[0], names)
    declared, known = names["FEATURES"][1:], {one.name for one in registry.EVERY}
    monkeypatch.setattr(registry, "EVERY", (*registry.EVERY, *(one for one in declared if one.name not in known)))
    events = [
        event(50, channel="store", amount=9),
        event(45, channel="store", amount=5),
        event(20, channel="web", amount=2),
        event(1, "visit", channel="store"),
    ]
    out: dict[str, float] = {}
    past = oracle.Past.of(interactions(*events).to_dicts(), "ann", CUTOFF)
    exec(dedent(feature[1]), {**vars(oracle), "past": past, "out": out})
    assert out == {"spend_45d": 7, "store_purchase_count_45d": 1, "store_purchase_count_365d": 2}
    assert out.keys() <= {one.name for one in declared}
    row = features_at(interactions(*events), [NOW], replace(SETTINGS, features=tuple(out)))[0].row(0, named=True)
    assert {name: row[name] for name in out} == out


@pytest.mark.parametrize(
    ("line", "module", "words", "sentence"),
    [
        (1, english, "_NOUNS", "2 orders in a shop in the last 45 days"),
        (2, italian, "_NOUNS", "2 ordini in negozio negli ultimi 45 giorni"),
    ],
)
def test_the_example_of_a_sentence_is_one(
    feature: list[str], line: int, module: ModuleType, words: str, sentence: str, monkeypatch: pytest.MonkeyPatch
):
    (name, nouns), (counted, better) = (
        next(iter(eval(f"{{{feature[2].splitlines()[n]}}}").items())) for n in (line, 0)
    )
    assert (name, better) == (counted, "more")
    assert better in set(subjects._COUNTED.values())
    monkeypatch.setattr(module, words, {**getattr(module, words), name: nouns})
    language = {english: english.English, italian: italian.Italian}[module]
    assert language().count(name, 2, 45, None) == sentence


def test_the_example_of_a_stage_counts_and_writes_what_its_entry_promises(tmp_path: Path, monkeypatch: Any):
    (code,), (entry,) = examples("Add a stage"), examples("Add a stage", "yaml")
    stage = YAML(typ="safe").load(entry)["newcomers"]
    assert stage["cmd"] == "${fedelta} stage newcomers"
    assert not any(map(is_code, stage["deps"]))
    names: dict[str, Any] = {"__name__": "newcomers"}
    exec(code, names)
    rows = pl.DataFrame(
        {
            "customer_id": ["ann", "ann", "ben", "cleo"],
            "occurred_at": [datetime(2025, month, 3, tzinfo=UTC) for month in (2, 1, 2, 1)],
        }
    )
    assert names["by_month"](rows.lazy()) == {"2025-01": 2, "2025-02": 1}
    monkeypatch.chdir(tmp_path)
    paths.INTERACTIONS.mkdir(parents=True)
    Path("reports").mkdir()
    rows.write_parquet(paths.INTERACTIONS / "0.parquet")
    assert stage["deps"] == [paths.INTERACTIONS.as_posix()]
    names["main"]()
    assert [Path(out).is_file() for out in stage["outs"]] == [True]


def test_the_table_of_a_candidate_has_every_field_of_one():
    cells = [line.split("|")[1] for line in walk("Add a candidate for churn").splitlines() if line.startswith("| `")]
    assert set(re.findall(r"`(\w+)`", " ".join(cells))) == {one.name for one in fields(Candidate)}


def test_every_file_that_the_page_names_is_there():
    made = {"pipeline/newcomers.py", "tests/pipeline/test_newcomers.py", "tests/models/churn/test_NAME.py"}
    quoted = [*re.findall(r"`([^`\n]+)`", PAGE), *re.findall(r"^    (?:pytest|python) (.*)$", PAGE, re.MULTILINE)]
    named = {name for text in quoted for name in re.findall(r"(?<![\w/-])\w[\w-]*/[\w/.-]*\w", text)} - made
    assert len(named) > 20
    lost = {name for name in named if not any((HERE / folder / name).exists() for folder in (".", "models/churn"))}
    assert lost - {path for path in lost if path.startswith(("data/", "reports/"))} == set()
