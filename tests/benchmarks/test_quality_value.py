"""The table of value forecasts: a data set that is not there is named, not invented."""

from pathlib import Path

import pytest

from benchmarks.panels import LOGS
from benchmarks.quality_value import GOALS, METRICS, rows


def test_a_missing_data_set_is_skipped_with_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert list(rows(tmp_path)) == []
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(": skipped, ")[0] for line in lines] == [log.name for log in LOGS]


def test_every_goal_is_of_a_figure_in_the_table():
    names = {log.name for log in LOGS}
    assert all(name in names and set(goals) <= set(METRICS) for (name, _), goals in GOALS.items())
