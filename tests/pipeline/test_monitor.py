"""The stage ``monitor``: a report of drift and performance, the same every time; an alarm stops who asks for that."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from tiny_project import DAYS, START, inside, scored_project

from fedelta.models.monitoring.data_drift import Track
from fedelta.models.monitoring.population_drift import MONTH_DAYS, Month, Watch
from fedelta.models.monitoring.settings import MonitorSettings
from fedelta.pipeline import monitor, paths
from fedelta.pipeline.monitor import DriftAlarm
from fedelta.pipeline.monitoring.drift_report import TOO_SHORT, checked, document, headline
from fedelta.pipeline.monitoring.months import calendar_of, data_tracks


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = scored_project(tmp_path_factory.mktemp("monitor") / "project")
    with inside(folder):
        monitor.main()
    return folder


@pytest.fixture
def spoiled(project: Path):
    """The project with the delays of the last month lost; put right afterwards."""
    part = project / paths.INTERACTIONS / "part-00000.parquet"
    before = part.read_bytes()
    recent = pl.col("occurred_at") >= START + timedelta(days=DAYS - MONTH_DAYS)
    pl.read_parquet(part).with_columns(delay_hours=pl.when(~recent).then("delay_hours")).write_parquet(part)
    yield project
    part.write_bytes(before)


def test_the_report_tells_checks_limits_and_performance(project):
    report = json.loads((project / paths.DRIFT_REPORT).read_text())
    assert report["reason"] is None
    assert report["alarms"] == [check["says"] for check in report["checks"] if check["alarm"]]
    assert {check["name"] for check in report["checks"]} >= {"features", "scores", "data", "new kinds"}
    assert report["reference"]["months_before"] == 3
    shown = [(row["role"], row["evidence"], row["realised"] is not None) for row in report["performance"]]
    assert shown == [
        ("train", False, True), ("train", False, True), ("evaluate", True, True), ("score", False, False)
    ]  # fmt: skip
    judged = report["performance"][2]
    assert report["performance_says"] == judged["says"]
    metrics = json.loads((project / paths.EVALUATION_REPORT).read_text())
    assert judged["realised"]["auc"] == pytest.approx(metrics["churn"]["chosen"]["auc"]["value"], abs=1e-5)
    assert judged["realised"]["churn_rate"] == pytest.approx(metrics["churn_rate"], abs=1e-5)


def test_the_same_project_gives_the_same_bytes(project, capsys):
    before = (project / paths.DRIFT_REPORT).read_bytes()
    with inside(project):
        monitor.main()
    assert (project / paths.DRIFT_REPORT).read_bytes() == before
    assert capsys.readouterr().out.startswith("monitor: 2024-04-2")


def test_a_column_that_goes_unknown_is_an_alarm_and_stops_only_who_asked_for_it(spoiled, capsys):
    with inside(spoiled):
        monitor.main()
        assert "delivery without delay_hours went from 0.0% to 1" in capsys.readouterr().out
        with pytest.raises(DriftAlarm, match=r"delay_hours .* See reports/drift\.json\."):
            monitor.main(fail_on_alarm=True)
        assert json.loads(paths.DRIFT_REPORT.read_text())["alarms"]


def test_fewer_customers_than_there_are_are_the_same_ones_every_time(project):
    with inside(project):
        one, again = (monitor.monitor(MonitorSettings(customers=150)) for _ in range(2))
    assert one == again
    assert 0 < one["customers"] < 250


def test_a_month_ends_at_its_cutoff_and_begins_four_weeks_before():
    end = START + timedelta(days=10 * MONTH_DAYS)
    when = calendar_of(START, end, 60)
    assert when.months == 10
    assert when.cutoffs[0] == end
    assert when.cutoffs[-1] == end - timedelta(days=7 * MONTH_DAYS)
    at = [end, end - timedelta(microseconds=1), end - timedelta(days=28), end - timedelta(days=28, microseconds=1)]
    events = pl.DataFrame(
        {"occurred_at": at, "kind": "visit", "channel": None, "amount": None, "rule": "late"},
        schema_overrides={"occurred_at": pl.Datetime("us", "UTC"), "channel": pl.String},
    )
    events = events.with_columns(
        pl.lit(None).alias(name)
        for name in ("rating", "resolved", "wait_hours", "delay_hours", "effort", "reach", "topic", "margin")
    )
    visits = next(t for t in data_tracks(events.lazy(), events.lazy(), when) if t.name == "kind visit")
    assert visits.hits.tolist() == [2, 1, *[0] * 8]


def test_cutoffs_have_a_year_behind_them_where_history_allows():
    two_years = datetime(2025, 1, 1, tzinfo=UTC)
    when = calendar_of(datetime(2023, 1, 1, tzinfo=UTC), two_years, 60)
    assert (when.cutoffs[-1] - datetime(2023, 1, 1, tzinfo=UTC)).days >= 364
    assert len(when.cutoffs) == 14


def test_a_short_history_is_reported_to_be_short_and_alarms_nobody():
    when = calendar_of(START, START + timedelta(days=100), 60)
    assert (when.months, len(when.cutoffs)) == (3, 2)
    watch = Watch.of(pd.DataFrame({"orders": [0.0, 1.0]}), np.array([0.2, 0.8]), {"orders": 1.0})
    month = Month(np.array([[0.0], [1.0]]), np.array([0.2, 0.8]))
    stopped = Track("interactions", np.array([0.0, 900.0, 900.0]))
    report = document(*checked(watch, [month, month], when.cutoffs, [stopped], 28, MonitorSettings()))
    assert report["reason"] == TOO_SHORT
    assert report["alarms"] == []
    assert headline({**report, "as_of": "2023-04-11"}) == f"2023-04-11: {TOO_SHORT}"
