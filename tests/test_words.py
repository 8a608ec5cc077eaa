"""The words of the field: none of those that only the writers of this code would understand."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parents[1]
PRIVATE = {
    "surely": "significantly", "unsure": "not significant", "felt": "minimum relevant difference",
    "said": "predicted, or reported", "told": "predicted, or reported", "spared": "suppression_reason",
    "left alone": "not contacted", "left_alone": "not contacted", "by lot": "at random; in the control group",
    "standing": "CandidateResult", "standings": "results", "fared": "result", "alike": "matched controls",
    "reachable": "predictability", "passage": "timeline", "whole_files": "atomic_write",
    "expected_performance": "confidence-based performance estimation (CBPE)",
    "foretell": "predict", "foretells": "predicts", "foretold": "predicted", "foresee": "predict",
    "foresees": "predicts", "foreseen": "predicted",
    "row_share": "bagging_fraction", "column_share": "feature_fraction",
}  # fmt: skip
WORDS = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, PRIVATE))})(?!\w)", re.IGNORECASE)
FOLDERS = (
    "command_line",
    "features",
    "models",
    "pages",
    "pipeline",
    "scoring",
    "serve",
    "sources",
    "benchmarks",
    "docs",
)
PAGES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")
FILES = ("cli.py", "frames.py", "__init__.py", "params.yaml", "dvc.yaml", *PAGES)
SUFFIXES = {".py", ".md", ".jinja", ".yaml", ".sql", ".sh"}


def texts() -> Iterator[Path]:
    """Every text of code, report, interface and docs."""
    yield from (HERE / name for name in FILES)
    for folder in FOLDERS:
        yield from (path for path in sorted((HERE / folder).rglob("*")) if path.suffix in SUFFIXES)


def private_words(text: str) -> list[str]:
    """The private words of a text, each with its line and what to write instead."""
    return [
        f"line {text.count(chr(10), 0, found.start()) + 1}: {found[0]} -> {PRIVATE[found[0].lower()]}"
        for found in WORDS.finditer(text)
    ]


@pytest.mark.parametrize("path", list(texts()), ids=lambda path: str(path.relative_to(HERE)))
def test_the_words_are_the_fields_words(path: Path):
    assert private_words(path.read_text(encoding="utf-8")) == []


def test_a_private_word_is_found_with_what_to_write_instead():
    assert private_words("Better,\nand Surely so.") == ["line 2: Surely -> significantly"]
    assert private_words("an outstanding notation of selfsaid things") == []
