"""A report's page, parsed; and what one is drawn from."""

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import polars as pl
from tiny_project import inside

from fedelta.models.bundle import read_contract
from fedelta.pipeline import paths
from fedelta.pipeline.params import load_params
from fedelta.pipeline.report import Inputs

DATA: dict[str, Any] = {
    "source": "demo",
    "currency": "EUR",
    "files": [{"table": "orders", "file": "orders.csv.gz", "rows": 1000, "malformed": 3}],
    "interactions": {
        "equation": {"rows_in": 1000, "valid": 900, "duplicate": 40, "out_of_scope": 25, "quarantined": 35},
        "malformed_lines": 3,
        "quarantined_for": {"missing_customer_id": 32, "malformed_line": 3},
        "out_of_scope_for": {"test account": 25},
        "conflicting_duplicates": 7,
    },
    "customers": None,
    "customer_count": 300,
    "customers_without_a_row": 12,
    "first_at": "2023-01-01T00:00:00Z",
    "last_at": "2024-04-24T00:00:00Z",
    "span_days": 480,
    "kinds": {"purchase": 500, "delivery": 400},
    "channels": {"web": 500},
    "nulls": {"interaction_id": 0, "amount": 400},
    "customer_nulls": {"customer_id": 0},
    "warnings": ["300 customers are too few to learn from."],
}
VOID = {"meta", "br", "line", "circle", "rect", "polyline", "polygon", "path"}


class Page(HTMLParser):
    """The elements of a page, checked to nest; and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def inputs_of(project: Path) -> Inputs:
    """What the page of a project is drawn from, with the account of raw files above."""
    with inside(project):
        return Inputs(
            pl.read_parquet(paths.SCORES),
            json.loads(paths.EVALUATION_REPORT.read_text()),
            json.loads((paths.PLOTS / "gains.json").read_text()),
            DATA,
            read_contract(paths.CHURN_EVALUATED),
            read_contract(paths.CLV_EVALUATED),
            read_contract(paths.CHURN_DELIVERED),
            json.loads(paths.EXPERIENCE_REPORT.read_text()),
            json.loads(paths.LOYALTY_REPORT.read_text()),
            json.loads(paths.FAIRNESS_REPORT.read_text()),
            load_params().policy,
        )
