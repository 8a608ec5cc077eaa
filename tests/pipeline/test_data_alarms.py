"""Data that came in wrong are an alarm before anything is learned: feeds that stopped, ids written in two ways."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import tiny_project
from tiny_project import inside

from fedelta.features.feeds import Stopped
from fedelta.pipeline import leak_check, paths
from fedelta.pipeline.data_alarms import DataAlarm, alarms_of, stop_on_alarm
from fedelta.pipeline.intake.id_forms import LookAlikes
from fedelta.pipeline.params import load_params

PURCHASES = Stopped("kind purchase", last=19_700, silent_days=60, expected=900.0, strays=0)
TWICE = LookAlikes(50, 100, 50, {"'.0' at the end": 50}, ("412 (purchase) and 412.0 (contact)",))


def report(*stopped: Stopped, look_alikes: LookAlikes | None = None, customers: int = 500) -> dict[str, Any]:
    return {
        "believed_last": "2024-02-07",
        "stopped": [asdict(one) for one in stopped],
        "look_alikes": look_alikes and asdict(look_alikes),
        "customer_count": customers,
    }


def test_clean_data_raise_no_alarm():
    assert alarms_of(report(), ("purchase",)) == []


@pytest.mark.parametrize(("activity", "grave"), [(("purchase",), True), (("contact",), False), ((), False)])
def test_a_feed_that_stopped_is_grave_where_its_silence_would_be_churn(activity: tuple[str, ...], grave: bool):
    (alarm,) = alarms_of(report(PURCHASES), activity)
    assert alarm.grave == grave
    assert "kind purchase stopped on 2023-12-09" in alarm.says


@pytest.mark.parametrize(("customers", "grave"), [(500, True), (5_000, False)])
def test_ids_in_two_forms_are_grave_where_they_are_many(customers: int, grave: bool):
    (alarm,) = alarms_of(report(look_alikes=TWICE, customers=customers), ("purchase",))
    assert alarm.grave == grave
    assert "written in more than one way" in alarm.says


def test_the_run_stops_before_anything_is_learned_unless_asked_to_go_on(tmp_path: Path):
    project = tiny_project.scored_project(tmp_path / "project")
    with inside(project):
        paths.DATA_REPORT.parent.mkdir(exist_ok=True)
        paths.DATA_REPORT.write_text(json.dumps(report(PURCHASES, replace(PURCHASES, name="kind visit"))))
        with pytest.raises(DataAlarm, match=r"Alarm: Interactions of kind purchase stopped .*on_data_alarm: warn"):
            leak_check.main()
        params = load_params()
        stop_on_alarm(replace(params, monitor=replace(params.monitor, on_data_alarm="warn")))
