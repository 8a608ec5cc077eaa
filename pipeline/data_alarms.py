"""Whether the data that came in may be learned from and scored: what `ingest` reported, as alarms.

A kind of interaction that stopped looks like the silence of customers, and an id written in a new way like a customer
who left and another who came. Both are alarms before anything is learned or scored.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from datetime import date
from pathlib import Path
from typing import Any

from fedelta.features.errors import FedeltaError
from fedelta.features.feeds import Stopped
from fedelta.pipeline import paths
from fedelta.pipeline.intake import plausibility
from fedelta.pipeline.intake.id_forms import LookAlikes
from fedelta.pipeline.params import Params

_LEAST_SHARE = 0.05  # of the customers, written in more than one way, for the run to stop
_EPOCH = date(1970, 1, 1)


class DataAlarm(FedeltaError):
    """The data that came in would give wrong scores."""


@dataclass(frozen=True)
class Alarm:
    """Something wrong with the data that came in, in words, and whether scores made of them would be wrong."""

    says: str
    grave: bool


def alarms_of(report: Mapping[str, Any], activity: Collection[str]) -> list[Alarm]:
    """The alarms of a data report (reports/data.json), the grave ones first.

    Grave is a feed of the kinds that are `activity`, whose absence would be taken for churn, and ids of 5% of the
    customers and more that differ only in how they are written.
    """
    found = []
    for one in (Stopped(**{name: held[name] for name in _names(Stopped)}) for held in report.get("stopped", ())):
        end = (date.fromisoformat(report["believed_last"]) - _EPOCH).days
        grave = one.name in {f"kind {kind}" for kind in activity}
        found += [Alarm(says, grave) for says in plausibility.stopped_feeds([one], end)]
    if held := report.get("look_alikes"):
        look_alikes = LookAlikes(**{name: held[name] for name in _names(LookAlikes)})
        found.append(Alarm(look_alikes.warning, look_alikes.customers >= _LEAST_SHARE * report["customer_count"]))
    return sorted(found, key=lambda alarm: not alarm.grave)


def data_alarms(params: Params, path: Path = paths.DATA_REPORT) -> list[Alarm]:
    """The alarms of the project's data; none where there is no data report."""
    if not path.is_file():
        return []
    churn = params.churn
    return alarms_of(
        json.loads(path.read_text(encoding="utf-8")), churn.activity if churn.definition == "inactivity" else ()
    )


def stop_on_alarm(params: Params) -> None:
    """Stop the run on a grave alarm, unless the settings say to go on.

    Raises
    ------
    DataAlarm
        If there is one and `monitor.on_data_alarm` is stop.
    """
    grave = [alarm for alarm in data_alarms(params) if alarm.grave]
    if grave and params.monitor.on_data_alarm == "stop":
        raise DataAlarm(
            f"Alarm: {' '.join(alarm.says for alarm in grave)} Nothing is learned or scored. To go on all the same, "
            "set monitor.on_data_alarm: warn in params.yaml."
        )


def _names(kind: type[Stopped] | type[LookAlikes]) -> list[str]:
    return [field.name for field in fields(kind)]
