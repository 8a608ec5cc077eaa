"""Whether what used to come in regularly has stopped coming, long before the data end."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fedelta.features.cutoffs import believed_span

_RATE_DAYS = 182  # of the series before it stopped, that say how much is usual
_LEAST_ACTIVE_DAYS = 10  # fewer tell nothing of the gaps between them
_LEAST_SILENT_DAYS = 3
_LEAST_EXPECTED = 20.0
_GAPS = 2.0


@dataclass(frozen=True)
class Series:
    """How much of one thing came in on which days."""

    days: Sequence[int]  # days with at least one, ascending; they may count from anywhere
    counts: Sequence[int]


@dataclass(frozen=True)
class Stopped:
    """A series that has ended before the data did."""

    name: str
    last: int  # day of its last one
    silent_days: int  # since then, up to the last day of the data
    expected: float  # how many would have come in them at the usual rate
    strays: int  # ones that are dated later, but too few and too far away to be believed


def stopped(series: Mapping[str, Series], end: int) -> list[Stopped]:
    """The series that have ended before the last day of the data, the most missed first.

    One has ended if nothing came for at least 3 days, for more than twice its longest gap so far, and if at least 20
    would have come at the rate of its last half year (a Poisson count of 20 is 0 once in 500 million; the gaps hold
    for what comes in bursts, or in seasons). So rare kinds, and those of fewer than 10 days, are never called stopped.

    Parameters
    ----------
    series : mapping of name to Series
        Days after `end` are left out.
    end : int
        Last day of the data.
    """
    found = (_stopped(name, one, end) for name, one in series.items())
    return sorted((s for s in found if s is not None), key=lambda s: (-s.expected, s.name))


def _stopped(name: str, series: Series, end: int) -> Stopped | None:
    days, counts = np.asarray(series.days, np.int64), np.asarray(series.counts, np.int64)
    days, counts = days[days <= end], counts[days <= end]
    if len(days) < _LEAST_ACTIVE_DAYS:
        return None
    believed = believed_span(days.tolist(), counts.tolist())
    within = (days >= believed.first) & (days <= believed.last)
    days, counts = days[within], counts[within]
    if len(days) < _LEAST_ACTIVE_DAYS:
        return None
    last = int(days[-1])
    silent = end - last
    begin = max(last - _RATE_DAYS, int(days[0]) - 1)
    expected = float(counts[days > begin].sum()) / (last - begin) * silent
    longest = int(np.diff(days).max()) - 1  # days without any between two with some
    if silent < _LEAST_SILENT_DAYS or silent <= _GAPS * longest or expected < _LEAST_EXPECTED:
        return None
    return Stopped(name, last, silent, expected, believed.later_count)
