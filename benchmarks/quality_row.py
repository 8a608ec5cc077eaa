"""One row of the quality table: a figure of ours with its interval, beside a rival's, a published one and the goal."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import stats

from fedelta.models.metrics.bootstrap import Replicates

Verdict = Literal["reached", "inside the interval", "missed", "no goal"]
Better = Literal["lower", "higher", "near 0"]

Drawn = tuple[str, str]  # a metric and a rival
Goals = Mapping[str, tuple[float | None, float | None]]  # goal and best published figure by metric

_COMPANIES_HEADER = "| data | metric | companies | against | mean difference [95%] | largest | smallest |"
_HEADER = "| data | split | model | metric | value [95%] | against | difference [95%] | goal | peer | verdict |"


@dataclass(frozen=True)
class QualityRow:
    """One figure; the difference is ours minus that of ``against``, resample by resample."""

    data: str
    split: str
    model: str
    metric: str
    value: float
    low: float
    high: float
    against: str
    difference: float
    diff_low: float
    diff_high: float
    goal: float | None
    peer: float | None  # the best figure published or measured elsewhere on the same split
    verdict: Verdict
    differences: Mapping[str, float] = field(default_factory=dict)  # to every rival


def row_of(
    data: str, split: str, model: str, name: str, drawn: Replicates, of: Drawn, goals: Goals, better: Better
) -> QualityRow:
    """The row of the chosen model's metric against a rival: `of` names both, `goals` has goal and peer by metric."""
    metric, rival = of
    found, difference = drawn.interval("chosen", metric), drawn.difference(metric, "chosen", rival)
    goal, peer = goals.get(metric, (None, None))
    return QualityRow(
        data,
        split,
        model,
        name,
        found.value,
        found.low,
        found.high,
        rival,
        difference.value,
        difference.low,
        difference.high,
        goal,
        peer,
        verdict(found.value, found.low, found.high, goal, better),
    )


def significantly_worse(low: float, high: float, better: Better) -> bool:
    """Whether the whole interval of a difference lies on the worse side."""
    return low > 0 if better == "lower" else high < 0


def verdict(value: float, low: float, high: float, goal: float | None, better: Better) -> Verdict:
    """Whether a figure meets its goal, or misses it by no more than its own interval. Near 0, the goal is a bound."""
    if goal is None:
        return "no goal"
    if better == "near 0":
        if abs(value) <= goal:
            return "reached"
        return "inside the interval" if low <= goal and high >= -goal else "missed"
    sign = 1 if better == "lower" else -1
    if sign * value <= sign * goal:
        return "reached"
    return "inside the interval" if low <= goal <= high else "missed"


def table_of(rows: Iterable[QualityRow]) -> str:
    """The rows as a Markdown table."""
    return "\n".join([_HEADER, _rule(_HEADER), *(_line(row) for row in rows)])


def over_companies(rows: Iterable[QualityRow], better: Mapping[str, Better]) -> str:
    """The mean differences over each data set's splits to the baseline best there on average, as a Markdown table.

    A second line has those to whichever baseline was best in each split: lower than anyone could have chosen.

    A split is one company's future, and what strikes all its customers at once (an outage) is the same for every
    resample of them. Companies are drawn apart: the interval is Student's, over their differences.
    """
    found: dict[tuple[str, str], list[QualityRow]] = defaultdict(list)
    for row in rows:
        found[row.data, row.metric].append(row)
    lines = [line for (_, metric), own in found.items() for line in _companies_lines(own, better[metric])]
    return "\n".join([_COMPANIES_HEADER, _rule(_COMPANIES_HEADER), *lines])


def _rule(header: str) -> str:
    return "|---" * header.count(" | ") + "|---|"


def _companies_lines(rows: Sequence[QualityRow], better: Better) -> list[str]:
    sign = 1 if better == "lower" else -1
    to = {name: np.array([row.differences[name] for row in rows]) for name in rows[0].differences}
    best = max(to, key=lambda name: sign * to[name].mean())  # ours less a good one's is the larger
    each = np.array([row.difference for row in rows])
    return [_companies_line(rows[0], best, to[best]), _companies_line(rows[0], "the best of each", each)]


def _companies_line(row: QualityRow, against: str, differences: npt.NDArray[np.float64]) -> str:
    n, mean = len(differences), float(differences.mean())
    off = float(stats.t.ppf(0.975, n - 1) * differences.std(ddof=1) / np.sqrt(n)) if n > 1 else np.inf
    cells = (
        row.data,
        row.metric,
        str(n),
        against,
        _interval(mean, mean - off, mean + off, "+"),
        _figure(float(differences.max()), "+"),
        _figure(float(differences.min()), "+"),
    )
    return f"| {' | '.join(cells)} |"


def _line(row: QualityRow) -> str:
    cells = (
        row.data,
        row.split,
        row.model,
        row.metric,
        _interval(row.value, row.low, row.high),
        row.against,
        _interval(row.difference, row.diff_low, row.diff_high, "+") if row.against else "",
        _figure(row.goal),
        _figure(row.peer),
        row.verdict,
    )
    return f"| {' | '.join(cells)} |"


def _interval(value: float, low: float, high: float, sign: str = "") -> str:
    return f"{_figure(value, sign)} [{_figure(low, sign)}, {_figure(high, sign)}]"


def _figure(value: float | None, sign: str = "") -> str:
    if value is None:
        return ""
    return f"{value:{sign},.{2 if abs(value) >= 10 else 4}f}"
