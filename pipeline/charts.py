"""Charts as inline SVG: no script, no font, colours from the page's style sheet, the same bytes each time."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from pipeline.findings import Comparison, capital

Points = Sequence[tuple[float, float]]

WIDTH = 440  # in the units of the SVG; narrow, so that text stays legible on a phone
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 12, 12, 40


@dataclass(frozen=True)
class Axis:
    """The range of a scale, its ticks and the words under it."""

    low: float
    high: float
    ticks: Sequence[float]
    label: str
    told: Callable[[float], str]


def percent(value: float) -> str:
    """A share as a tick says it."""
    return f"{value:.0%}"


def share_axis(label: str) -> Axis:
    """From 0 to 100%."""
    return Axis(0.0, 1.0, (0, 0.25, 0.5, 0.75, 1), label, percent)


def count_axis(most: float, label: str) -> Axis:
    """From 0 to a round number above `most`, which is positive."""
    step = next(s for s in _steps() if 5 * s >= most)
    number = math.ceil(most / step)
    return Axis(0.0, step * number, [step * i for i in range(number + 1)], label, _short)


def calibration(deciles: Sequence[tuple[float, float]]) -> Markup:
    """Predicted against actual churn rate, a dot per tenth of the customers; on the diagonal they agree."""
    frame = _Frame(share_axis("predicted probability"), share_axis("churned"), 340)
    return frame.svg(
        "Calibration: mean predicted probability against the share that churned, by tenth of the ranking",
        frame.line([(0, 0), (1, 1)], "guide"),
        frame.line(sorted(deciles), "series thin"),
        *(frame.dot(x, y) for x, y in deciles),
    )


def gains(curve: Points, churn_rate: float) -> Markup:
    """Share of leavers among the riskiest customers, between the best possible order and a coin's."""
    frame = _Frame(share_axis("customers contacted, riskiest first"), share_axis("leavers among them"), 340)
    return frame.svg(
        "Gains: share of all leavers caught by contacting the riskiest share of customers",
        frame.line([(0, 0), (1, 1)], "guide"),
        frame.line([(0, 0), (min(max(churn_rate, 1e-9), 1), 1), (1, 1)], "guide"),
        frame.line(curve, "series"),
        frame.words(0.62, 0.52, "at random", "note"),
    )


def spread(counts: Sequence[int]) -> Markup:
    """How many customers stand at each probability, in equal bins from 0 to 1."""
    frame = _Frame(share_axis("churn probability"), count_axis(max([*counts, 1]), "customers"), 240)
    width = 1 / len(counts)
    bars = (frame.bar(i * width, (i + 1) * width, count, "column") for i, count in enumerate(counts))
    return frame.svg("Number of customers by churn probability", *bars)


def deciles(rows: Sequence[tuple[float, float]], label: str) -> Markup:
    """Predicted and actual mean by tenth, side by side, the highest predictions first."""
    most = max([*(value for row in rows for value in row), 1e-9])
    x = Axis(0.5, len(rows) + 0.5, range(1, len(rows) + 1), "tenth of the customers, highest prediction first", _short)
    frame = _Frame(x, count_axis(most, label), 260)
    bars = [
        bar
        for number, (predicted, actual) in enumerate(rows, 1)
        for bar in (
            frame.bar(number - 0.36, number, predicted, "column pale"),
            frame.bar(number, number + 0.36, actual, "column"),
        )
    ]
    return frame.svg("Mean predicted and mean actual by tenth", *bars)


def differences(rows: Sequence[Comparison], label: str, *, lower_is_better: bool, digits: int) -> Markup:
    """A line per rival: how the model differs from it, with the interval; clear of the zero line it is sure."""
    low, high = min([0.0, *(row.low for row in rows)]), max([0.0, *(row.high for row in rows)])
    margin = 0.06 * (high - low) or 1.0
    axis = Axis(low - margin, high + margin, (0,), label, lambda _: "0")
    step, left, top = 34, 150, 26
    height = top + step * len(rows) + 34

    def at(value: float) -> float:
        return left + (value - axis.low) / (axis.high - axis.low) * (WIDTH - left - _RIGHT)

    better, worse = ("start", "end") if lower_is_better else ("end", "start")
    ends = {"start": left, "end": WIDTH - _RIGHT}
    parts = [
        _text(ends[better], 12, "model better", f"note {better}"),
        _text(ends[worse], 12, "rival better", f"note {worse}"),
        _line(at(0), top - 6, at(0), top + step * len(rows), "axis"),
        _text(at(0), height - 18, "0", "tick middle"),
        _text(WIDTH - _RIGHT, height - 3, label, "label end"),
    ]
    for number, row in enumerate(rows):
        y = top + step * number + 12
        told = "identical" if row.outcome == "identical" else f"{row.value:+.{digits}f}".replace("-", "−")
        sure = "series" if row.outcome in ("better", "worse") else "unsure"
        parts += [
            _text(left - 10, y + 4, capital(row.name), "name end"),
            _line(at(row.low), y, at(row.high), y, sure),
            _circle(at(row.value), y, f"dot {sure}"),
            _text(min(max(at(row.value), left + 20), WIDTH - 34), y - 8, told, "tick middle"),
        ]
    return _svg(height, f"Differences with 95% intervals: {label}", parts)


class _Frame:
    """Two axes, and the marks placed between them."""

    def __init__(self, x: Axis, y: Axis, height: int) -> None:
        self.x, self.y, self.height = x, y, height
        self.right, self.floor = WIDTH - _RIGHT, height - _BOTTOM

    def at(self, x: float, y: float) -> tuple[float, float]:
        across = (x - self.x.low) / (self.x.high - self.x.low)
        up = (y - self.y.low) / (self.y.high - self.y.low)
        return _LEFT + across * (self.right - _LEFT), self.floor - up * (self.floor - _TOP)

    def line(self, points: Points, look: str) -> Markup:
        steps = " ".join(f"{x:.1f},{y:.1f}" for x, y in (self.at(*point) for point in points))
        return Markup('<polyline points="{}" class="{}"/>').format(steps, look)

    def dot(self, x: float, y: float) -> Markup:
        return _circle(*self.at(x, y), "dot series")

    def bar(self, left: float, right: float, value: float, look: str) -> Markup:
        (x0, y), (x1, _) = self.at(left, value), self.at(right, value)
        box = (f"{number:.1f}" for number in (x0 + 0.5, y, x1 - x0 - 1, self.floor - y))
        return Markup('<rect x="{}" y="{}" width="{}" height="{}" class="{}"/>').format(*box, look)

    def words(self, x: float, y: float, words: str, look: str) -> Markup:
        return _text(*self.at(x, y), words, look)

    def svg(self, says: str, *marks: Markup) -> Markup:
        return _svg(self.height, says, [*self._axes(), *marks])

    def _axes(self) -> Iterable[Markup]:
        for tick in self.y.ticks:
            _, y = self.at(self.x.low, tick)
            yield _line(_LEFT, y, self.right, y, "grid")
            yield _text(_LEFT - 6, y + 4, self.y.told(tick), "tick end")
        for tick in self.x.ticks:
            x, _ = self.at(tick, self.y.low)
            yield _text(x, self.floor + 16, self.x.told(tick), "tick middle")
        yield _line(_LEFT, self.floor, self.right, self.floor, "axis")
        yield _text(self.right, self.height - 5, self.x.label, "label end")
        yield _text(_LEFT + 4, _TOP + 9, self.y.label, "label")


def _svg(height: float, says: str, parts: Iterable[Markup]) -> Markup:
    opening = Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="{}">').format(WIDTH, height, says)
    return opening + Markup("").join(parts) + Markup("</svg>")


def _line(x1: float, y1: float, x2: float, y2: float, look: str) -> Markup:
    ends = (f"{number:.1f}" for number in (x1, y1, x2, y2))
    return Markup('<line x1="{}" y1="{}" x2="{}" y2="{}" class="{}"/>').format(*ends, look)


def _circle(x: float, y: float, look: str) -> Markup:
    return Markup('<circle cx="{}" cy="{}" r="3.5" class="{}"/>').format(f"{x:.1f}", f"{y:.1f}", look)


def _text(x: float, y: float, words: str, look: str) -> Markup:
    return Markup('<text x="{}" y="{}" class="{}">{}</text>').format(f"{x:.1f}", f"{y:.1f}", look, escape(words))


def _steps() -> Iterable[float]:
    """Round tick steps: 1, 2, 2.5 and 5 times the powers of ten."""
    return (mantissa * 10.0**power for power in range(-9, 16) for mantissa in (1, 2, 2.5, 5))


def _short(value: float) -> str:
    return f"{value / 1e6:g}m" if value >= 1e6 else f"{value:,.0f}" if value >= 1000 else f"{value:g}"
