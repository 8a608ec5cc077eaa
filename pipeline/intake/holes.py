"""Holes in a history: stretches in which nothing came in, of anything or of one feed, between times when much did."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

from fedelta.features.cutoffs import BelievedSpan
from fedelta.features.feeds import Series
from fedelta.pipeline.intake.plausibility import day

_LEAST_SILENT_DAYS = 14
_LEAST_DAYS = 30  # with interactions: fewer tell nothing of the gaps between them
_LEAST_EXPECTED = 20.0
_RATE_DAYS = 91  # before the hole and after it, that tell how much is usual
_LONGER = 2.0  # times the longest gap of which there are more
_MOST = 3  # a gap that comes more often is the rhythm of the business


@dataclass(frozen=True)
class Hole:
    """Days without anything; counted since 1970."""

    first: int
    last: int
    expected: float  # how many would have come in them at the rate around them

    def overlaps(self, other: "Hole") -> bool:
        """Whether a day is in both."""
        return self.first <= other.last and other.first <= self.last


def holes(series: Series, span: BelievedSpan) -> list[Hole]:
    """The holes of a series within the believed days, earliest first.

    At most three gaps are holes: of 14 days at least, each more than twice as long as the longest gap that is none, and
    with 20 interactions missed at the rate of the quarters before and after, whichever is the lower.
    """
    days = [(d, n) for d, n in zip(series.days, series.counts, strict=True) if span.first <= d <= span.last]
    if len(days) < _LEAST_DAYS:
        return []
    gaps = sorted(((b - a - 1, a, b) for (a, _), (b, _) in pairwise(days)), reverse=True)
    number = max((k for k in range(1, _MOST + 1) if gaps[k - 1][0] > _LONGER * gaps[k][0]), default=0)
    found = []
    for silent, before, after in gaps[:number]:
        earlier = sum(n for d, n in days if before - _RATE_DAYS < d <= before) / _RATE_DAYS
        later = sum(n for d, n in days if after <= d < after + _RATE_DAYS) / _RATE_DAYS
        expected = min(earlier, later) * silent
        if silent >= _LEAST_SILENT_DAYS and expected >= _LEAST_EXPECTED:
            found.append(Hole(before + 1, after - 1, expected))
    return sorted(found, key=lambda hole: hole.first)


def of_holes(total: Series, feeds: Mapping[str, Series], span: BelievedSpan) -> Iterator[str]:
    """Warnings of holes in everything, of those of a kind beside them, and of those of a channel beside both."""
    reported = holes(total, span)
    yield from (_says("No interaction is", hole) for hole in reported)
    for what in ("kind ", "channel "):
        found = [(name, hole) for name, one in feeds.items() if name.startswith(what) for hole in holes(one, span)]
        new = [(name, hole) for name, hole in found if not any(hole.overlaps(other) for other in reported)]
        yield from (_says(f"No interaction of {name} is", hole) for name, hole in new)
        reported += [hole for _, hole in new]


def _says(what: str, hole: Hole) -> str:
    return (
        f"{what} dated from {day(hole.first)} to {day(hole.last)} ({hole.last - hole.first + 1:,} days), though many "
        f"are before and after: about {hole.expected:,.0f} would have come at the usual rate. Is a file missing, or "
        "are dates wrong? Whoever was active then looks silent, in features and in outcomes."
    )
