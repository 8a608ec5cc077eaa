"""The section `monitor` of params.yaml."""

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Interval

from fedelta.features.ranges import Count, Share


@dataclass(frozen=True)
class MonitorSettings:
    """How much is looked at, and how often a false alarm is put up with."""

    customers: Count = 10_000  # looked at, drawn by hash
    false_alarms: Annotated[int, Interval(ge=0, lt=12)] = 1  # at most, in twelve monthly runs
    on_data_alarm: Literal["stop", "warn"] = "stop"  # where what churn is made of stopped coming in, or ids changed
    tolerance: Share = 0.05  # by which realised churn rate, AUC or log loss may miss the expected without an alarm
