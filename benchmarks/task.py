"""What every contender is asked: events in, the same features at the same cutoffs out."""

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from benchmarks.compared import WINDOW_DAYS

Partial = Literal["plain", "plain-day", "events", "day", "period"]
# What is bad in the benchmark, gravest wins: predicate (SQL), severity. Only what a group-by can say, too: no rule that
# looks at the interaction before.
SEVERITIES: Mapping[str, int] = {
    "kind = 'delivery' AND delay_hours > 24": 2,
    "kind IN ('contact', 'complaint') AND NOT resolved": 3,
    "kind IN ('contact', 'complaint') AND wait_hours > 48": 1,
    "effort > 0.7": 1,
    "kind = 'complaint'": 2,
    "kind IN ('survey', 'delivery', 'contact') AND rating <= 0.4": 1,
    "kind = 'review' AND rating <= 0.4": 2,
    "kind = 'error'": 1,
    "kind = 'outage'": 2,
    "kind = 'return'": 1,
}


@dataclass(frozen=True)
class Task:
    """One run of one contender. Days count from 1970-01-01 UTC.

    `partial` says over what a group-by first sums up the events of a customer: over nothing (it reads the events
    themselves), over days, or over periods between the days where some window of some cutoff begins or ends (fewer
    rows, since no window cuts a period). "plain" leaves customers as the text that the library reads.
    """

    events: str
    out: str
    cutoffs: tuple[int, ...]
    threads: int
    buckets: int
    partial: Partial
    severities: Mapping[str, int]  # predicate of each bad experience (SQL), its severity

    @property
    def edges(self) -> list[int]:
        """Days where a window begins or a cutoff stands, ascending."""
        return sorted({cutoff - days for cutoff in self.cutoffs for days in (0, *WINDOW_DAYS)})

    @property
    def severity_sql(self) -> str:
        """Severity of the gravest rule an event broke, or 0."""
        gravest_first = sorted(self.severities.items(), key=lambda item: -item[1])
        return f"CASE {' '.join(f'WHEN {when} THEN {severity}' for when, severity in gravest_first)} ELSE 0 END"

    def table(self, cutoff: int) -> Path:
        """File for the features at one cutoff."""
        return Path(self.out) / f"{cutoff}.parquet"

    def save(self, path: Path) -> None:
        """Write the task for the contender's process to read."""
        path.write_text(json.dumps(asdict(self)))


def asked() -> Task:
    """The task whose file the command line names."""
    values = json.loads(Path(sys.argv[1]).read_text())
    return Task(**values | {"cutoffs": tuple(values["cutoffs"])})


def instant(day: int) -> datetime:
    """Midnight UTC at which a day begins."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=day)
