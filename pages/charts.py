"""Charts: axes and what is drawn between them, as inline SVG."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from fedelta.pages import svg
from fedelta.pages.sentences import capital

if TYPE_CHECKING:
    from fedelta.pages.findings import Comparison

Points = Sequence[tuple[float, float]]

_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 12, 12, 40
_LETTERS = 21  # of a line of a name beside a chart


@dataclass(frozen=True)
class Axis:
    """The range of a scale, its ticks and the words under it."""

    low: float
    high: float
    ticks: Sequence[float]
    label: str
    text: Callable[[float], str]


@dataclass(frozen=True)
class Range:
    """A row of `ranges`: its name, its figure with an interval, and the figure in words."""

    name: str
    value: float
    low: float
    high: float
    text: str


@dataclass(frozen=True)
class Left:
    """A point of the tolerance curve: the share that leaves, with its interval, and that of matched controls."""

    after: str
    value: float
    low: float
    high: float
    controls: float


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
    frame = Frame(share_axis("predicted probability"), share_axis("churned"), 340)
    return frame.svg(
        "Calibration: mean predicted probability against the share that churned, by tenth of the ranking",
        frame.line([(0, 0), (1, 1)], "guide"),
        frame.line(sorted(deciles), "series thin"),
        *(frame.dot(x, y) for x, y in deciles),
    )


def gains(curve: Points, churn_rate: float) -> Markup:
    """Share of leavers among the riskiest customers, between the best possible order and a coin's."""
    frame = Frame(share_axis("customers contacted, riskiest first"), share_axis("leavers among them"), 340)
    return frame.svg(
        "Gains: share of all leavers caught by contacting the riskiest share of customers",
        frame.line([(0, 0), (1, 1)], "guide"),
        frame.line([(0, 0), (min(max(churn_rate, 1e-9), 1), 1), (1, 1)], "guide"),
        frame.line(curve, "series"),
        frame.words(0.62, 0.52, "at random", "note"),
    )


def targeting(curves: Mapping[str, Points], names: Mapping[str, str]) -> Markup:
    """What contacting the first share of customers brings, by the order that puts them first; dashed: any order."""
    gains = [gain for points in curves.values() for _, gain in points]
    low, high = min([0.0, *gains]), max([*gains, 1e-9])
    step = next(s for s in _steps() if 5 * s >= high - low)
    ticks = [step * k for k in range(math.floor(low / step), math.ceil(high / step) + 1)]
    y = Axis(ticks[0], ticks[-1], ticks, "gained per customer of the base", lambda value: f"{value:.3g}")
    frame = Frame(share_axis("customers contacted, by the order"), y, 320)
    last = next(iter(curves.values()))[-1]
    looks = ("series", "series thin", "axis")
    ends = [(name, max(points, key=lambda point: point[1])) for name, points in curves.items()]
    return frame.svg(
        "Targeting curves: what contacting brings, for each order of the customers",
        frame.line([(0, 0), last], "guide"),
        *(frame.line(points, looks[number % 3]) for number, points in enumerate(curves.values())),
        *(
            frame.words(0.02, ticks[-1] - (0.6 + 0.45 * number) * step, f"{_MARKS[number % 3]} {names[name]}", "note")
            for number, (name, _) in enumerate(ends)
        ),
    )


_MARKS = ("━", "─", "╌")


def contacts(curve: Sequence[Mapping[str, Any]], capacity: int | None, currency: str) -> Markup:
    """Expected profit by the number of contacts (`models.policy.plan.contact_curve`); top and capacity are marked."""
    most = max(curve[-1]["contacts"], 1)
    top = max([1.0, *(row["profit"] for row in curve)])
    x = count_axis(most, "customers contacted, most profitable first")
    y = count_axis(top, f"expected profit, {currency}")
    frame = Frame(x, y, 260)
    points = [(row["contacts"], row["profit"]) for row in curve if row["profit"] >= 0]
    marked = [(row["contacts"], row["profit"]) for row in curve if row["mark"] and row["profit"] >= 0]
    guide = [] if capacity is None or capacity > most else [frame.line([(capacity, 0), (capacity, y.high)], "guide")]
    return frame.svg(
        "Expected profit by number of customers contacted",
        *guide,
        frame.line(points, "series"),
        *(frame.dot(*point) for point in marked),
    )


def spread(counts: Sequence[int]) -> Markup:
    """How many customers stand at each probability, in equal bins from 0 to 1."""
    frame = Frame(share_axis("churn probability"), count_axis(max([*counts, 1]), "customers"), 240)
    width = 1 / len(counts)
    bars = (frame.bar(i * width, (i + 1) * width, count, "column") for i, count in enumerate(counts))
    return frame.svg("Number of customers by churn probability", *bars)


def deciles(rows: Sequence[tuple[float, float]], label: str) -> Markup:
    """Predicted and actual mean by tenth, side by side, the highest predictions first."""
    most = max([*(value for row in rows for value in row), 1e-9])
    x = Axis(0.5, len(rows) + 0.5, range(1, len(rows) + 1), "tenth of the customers, highest prediction first", _short)
    frame = Frame(x, count_axis(most, label), 260)
    bars = [
        bar
        for number, (predicted, actual) in enumerate(rows, 1)
        for bar in (
            frame.bar(number - 0.36, number, predicted, "column pale"),
            frame.bar(number, number + 0.36, actual, "column"),
        )
    ]
    return frame.svg("Mean predicted and mean actual by tenth", *bars)


def differences(rows: "Sequence[Comparison]", label: str, *, lower_is_better: bool, digits: int) -> Markup:
    """A line per rival: how the model differs from it, with the interval; clear of the zero line it is significant."""
    ends = ("model better", "rival better") if lower_is_better else ("rival better", "model better")
    held = [
        Range(
            capital(row.name),
            row.value,
            row.low,
            row.high,
            "identical" if row.outcome == "identical" else _signed(row.value, digits),
        )
        for row in rows
    ]
    return ranges(held, f"Differences with 95% intervals: {label}", label, ends)


def ranges(rows: Sequence[Range], says: str, label: str, ends: tuple[str, str]) -> Markup:
    """A line per row from the low to the high end of its interval, and the zero line between `ends`."""
    low, high = min([0.0, *(row.low for row in rows)]), max([0.0, *(row.high for row in rows)])
    margin = 0.06 * (high - low) or 1.0
    step, left, top = 34, 150, 26
    height, scale = top + step * len(rows) + 34, (svg.WIDTH - left - _RIGHT) / (high - low + 2 * margin)

    def at(value: float) -> float:
        return left + (value - low + margin) * scale

    parts = [
        svg.text(left, 12, ends[0], "note start"),
        svg.text(svg.WIDTH - _RIGHT, 12, ends[1], "note end"),
        svg.line(at(0), top - 6, at(0), top + step * len(rows), "axis"),
        svg.text(at(0), height - 18, "0", "tick middle"),
        svg.text(svg.WIDTH - _RIGHT, height - 3, label, "label end"),
    ]
    for number, row in enumerate(rows):
        y = top + step * number + 12
        look = "series" if row.low > 0 or row.high < 0 else "hollow"
        parts += [
            *_lines(left - 10, y + 4, row.name),
            svg.line(at(row.low), y, at(row.high), y, look),
            svg.dot(at(row.value), y, f"dot {look}"),
            svg.text(min(max(at(row.value), left + 20), svg.WIDTH - 34), y - 8, row.text, "tick middle"),
        ]
    return svg.picture(height, says, parts)


def _lines(x: float, y: float, name: str) -> list[Markup]:
    """A name beside a chart, on two lines where one has no room for it."""
    lines = wrap(name, _LETTERS, max_lines=2, placeholder="…")
    return [svg.text(x, y + 14 * (k - (len(lines) - 1) / 2), line, "name end") for k, line in enumerate(lines)]


def tolerance(points: Sequence[Left], quoted: Sequence[float]) -> Markup:
    """Who leaves after the first, second, … bad experience beside matched controls, and shares that others quote."""
    most = max([*(point.high for point in points), *quoted])
    top = math.ceil(most * 5 + 0.2) / 5
    x = Axis(0.0, len(points) + 0.5, range(1, len(points) + 1), "bad experience", lambda n: points[int(n) - 1].after)
    y = Axis(0.0, top, [tick / 5 for tick in range(round(top * 5) + 1)], "leave", percent)
    frame = Frame(x, y, 320)
    known = list(enumerate(points, 1))
    return frame.svg(
        "Tolerance curve: share that leaves after a bad experience, with 90% intervals, and of matched controls",
        *(frame.line([(0, share), (len(points) + 0.5, share)], "guide") for share in quoted),
        *(frame.words(0.03, share, f"{percent(share)} quoted", "note above") for share in quoted),
        *(frame.line([(n + 0.1, point.controls), (n - 0.1, point.value)], "axis") for n, point in known),
        *(frame.line([(n - 0.1, point.low), (n - 0.1, point.high)], "series") for n, point in known),
        *(frame.dot(n - 0.1, point.value) for n, point in known),
        *(frame.dot(n + 0.1, point.controls, "dot hollow") for n, point in known),
    )


def shares(points: Sequence[Range], label: str) -> Markup:
    """Who left by a number: shares with their 95% intervals, in the order given."""
    top = math.ceil(max(point.high for point in points) * 5) / 5
    x = Axis(0.0, len(points) + 0.5, range(1, len(points) + 1), label, lambda n: points[int(n) - 1].name)
    y = Axis(0.0, top, [tick / 5 for tick in range(round(top * 5) + 1)], "left", percent)
    frame = Frame(x, y, 280)
    known = list(enumerate(points, 1))
    return frame.svg(
        f"Share that left by {label}, with 95% intervals",
        frame.line([(n, point.value) for n, point in known], "series thin"),
        *(frame.line([(n, point.low), (n, point.high)], "series") for n, point in known),
        *(frame.dot(n, point.value) for n, point in known),
    )


class Frame:
    """Two axes, and the marks placed between them."""

    def __init__(self, x: Axis, y: Axis, height: int) -> None:
        self.x, self.y, self.height = x, y, height
        self.right, self.floor = svg.WIDTH - _RIGHT, height - _BOTTOM

    def at(self, x: float, y: float) -> tuple[float, float]:
        across = (x - self.x.low) / (self.x.high - self.x.low)
        up = (y - self.y.low) / (self.y.high - self.y.low)
        return _LEFT + across * (self.right - _LEFT), self.floor - up * (self.floor - _TOP)

    def line(self, points: Points, look: str) -> Markup:
        return svg.lines((self.at(*point) for point in points), look)

    def dot(self, x: float, y: float, look: str = "dot series") -> Markup:
        return svg.dot(*self.at(x, y), look)

    def bar(self, left: float, right: float, value: float, look: str) -> Markup:
        (x0, y), (x1, _) = self.at(left, value), self.at(right, value)
        return svg.box(x0 + 0.5, y, x1 - x0 - 1, self.floor - y, look)

    def words(self, x: float, y: float, words: str, look: str) -> Markup:
        return svg.text(*self.at(x, y), words, look)

    def svg(self, says: str, *marks: Markup) -> Markup:
        return svg.picture(self.height, says, [*self._axes(), *marks])

    def _axes(self) -> Iterable[Markup]:
        for tick in self.y.ticks:
            _, y = self.at(self.x.low, tick)
            yield svg.line(_LEFT, y, self.right, y, "grid")
            yield svg.text(_LEFT - 6, y + 4, self.y.text(tick), "tick end")
        for tick in self.x.ticks:
            x, _ = self.at(tick, self.y.low)
            yield svg.text(x, self.floor + 16, self.x.text(tick), "tick middle")
        yield svg.line(_LEFT, self.floor, self.right, self.floor, "axis")
        yield svg.text(self.right, self.height - 5, self.x.label, "label end")
        yield svg.text(_LEFT + 4, _TOP + 9, self.y.label, "label")


def _signed(value: float, digits: int) -> str:
    return f"{value:+.{digits}f}".replace("-", "−")


def _steps() -> Iterable[float]:
    """Round tick steps: 1, 2, 2.5 and 5 times the powers of ten."""
    return (mantissa * 10.0**power for power in range(-9, 16) for mantissa in (1, 2, 2.5, 5))


def _short(value: float) -> str:
    return f"{value / 1e6:g}m" if value >= 1e6 else f"{value:,.0f}" if value >= 1000 else f"{value:g}"
