"""The command: from interactions on disk to the table, the JSON and the page."""

import json
from pathlib import Path
from xml.etree import ElementTree

import hashed_project
import pytest
from tiny_project import inside

from fedelta.pages.churn_window import hazard_picture, page, returning_picture
from fedelta.pipeline.commands import churn_window

MOST = 0.5  # may still return: the base is too small and young to be sure of less


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of 1,500 customers over 480 days, most with a rhythm of a month."""
    return hashed_project.make(tmp_path_factory.mktemp("window") / "project", customers=1500)


@pytest.fixture(scope="module")
def text(project: Path) -> str:
    """What the command prints there."""
    with inside(project), pytest.MonkeyPatch.context() as patch:
        lines: list[str] = []
        patch.setattr("builtins.print", lines.append)
        churn_window.main(MOST)
        return "\n".join(lines)


def test_the_command_prints_a_row_per_horizon_and_the_advice_with_its_reason(project: Path, text: str):
    report = json.loads((project / churn_window.REPORT).read_text())
    assert [row["days"] for row in report["horizons"]] == [30, 45, 60, 75, 90, 120, 150, 180, 240, 300, 365]
    advised = next(row for row in report["horizons"] if row["days"] == report["advised_days"])
    assert advised["returning"]["high"] <= report["most_returning"] == MOST
    assert f"Advised: {report['advised_days']} days. It is the shortest" in text
    marked = [line for line in text.splitlines() if line.lstrip().startswith("*")]
    assert [int(line.split()[1]) for line in marked] == [report["advised_days"]]


def test_a_second_run_writes_the_same_bytes(project: Path, text: str):
    written = [(project / path).read_bytes() for path in (churn_window.REPORT, churn_window.PAGE)]
    with inside(project):
        churn_window.main(MOST)
    assert written == [(project / path).read_bytes() for path in (churn_window.REPORT, churn_window.PAGE)]


def test_the_page_is_one_file_that_fetches_nothing_and_shows_two_pictures(project: Path, text: str):
    html = (project / churn_window.PAGE).read_text()
    assert html.count("<svg") == 2
    assert "<script" not in html
    assert "://" not in html
    report = json.loads((project / churn_window.REPORT).read_text())
    assert f"Churn window: {report['advised_days']} days" in html


def test_pictures_are_well_formed_and_draw_every_group():
    curves = {"everyone": [[0, 0.9], [7, 0.5], [14, 0.1]], "after 1 purchase": [[0, 0.8], [7, 0.4]]}
    drawn = ElementTree.fromstring(str(returning_picture(curves, 0.2, 7, ["purchase"])))
    assert len(drawn.findall("polyline")) == 4  # the limit, the advice and two groups
    tenures = [{"from_day": 0, "to_day": 30, "hazard": {"value": 0.02, "low": 0.01, "high": 0.03}}]
    assert len(ElementTree.fromstring(str(hazard_picture(tenures))).findall("rect")) == 1


def test_where_nothing_can_be_estimated_the_page_says_so():
    report = {
        "definition": "inactivity", "activity": ["purchase"], "until": "2024-01-01",
        "customers": 1, "spells": 0, "reach_days": 0,
        "most_returning": 0.2, "horizon_days": 90, "lead_days": 0, "advised_days": None, "horizons": [], "tenures": [],
        "because": "Nothing can be estimated: 1 customer is too few.", "curves": {},
    }  # fmt: skip
    assert "none advised" in page(report)
    assert "1 customer is too few" in page(report)
    assert churn_window.table_of(report).endswith("1 customer is too few.")
