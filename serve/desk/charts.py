"""Charts of the desk, of the marks of ``pages.svg``. The figures of each stand in a table behind it."""

import datetime as dt
import math
from collections.abc import Sequence

from markupsafe import Markup

from fedelta.pages import svg
from fedelta.serve.desk.scored import Score
from fedelta.serve.desk.words import Words

_LEFT, _RIGHT, _TOP, _FLOOR = 40, 14, 12, 120


def history(words: Words, scores: Sequence[tuple[str | None, Score]]) -> Markup | None:
    """The churn probability of a customer run by run; None where there are not two."""
    points = [
        (dt.datetime.fromisoformat(at).timestamp(), score["churn_probability"], at)
        for at, score in scores
        if at is not None and score["churn_probability"] is not None
    ]
    if len(points) < 2:
        return None
    first, last = points[0][0], points[-1][0]
    top = next(limit for limit in (0.1, 0.25, 0.5, 1.0) if limit >= max(p for _, p, _ in points))

    def place(at: float, p: float) -> tuple[float, float]:
        across = (at - first) / ((last - first) or 1.0)
        return _LEFT + across * (svg.WIDTH - _LEFT - _RIGHT), _FLOOR - p / top * (_FLOOR - _TOP)

    places = [place(at, p) for at, p, _ in points]
    marks: list[Markup] = []
    for tick in (0.0, top / 2, top):
        _, y = place(first, tick)
        marks += [
            svg.line(_LEFT, y, svg.WIDTH - _RIGHT, y, "grid"),
            svg.text(_LEFT - 6, y + 4, words.share(tick, 1 if 0 < tick < 0.1 else 0), "tick end"),
        ]
    marks += [svg.lines(places, "series"), *(svg.dot(x, y, "dot series") for x, y in places)]
    marks += [
        svg.text(_LEFT, _FLOOR + 18, words.day(points[0][2]), "tick start"),
        svg.text(svg.WIDTH - _RIGHT, _FLOOR + 18, words.day(points[-1][2]), "tick end"),
    ]
    says = words.gettext("Risk run by run: from %(first)s to %(last)s") % {
        "first": words.share(points[0][1]), "last": words.share(points[-1][1]),
    }  # fmt: skip
    return svg.picture(_FLOOR + 26, says, marks)


def interval(
    words: Words, low: float | None, value: float | None, high: float | None, currency: str | None
) -> Markup | None:
    """An amount with its 90% interval, on a line from 0; None where it is not known."""
    if low is None or value is None or high is None or high <= 0:
        return None
    top = _round_up(max(high, value))

    def x(amount: float) -> float:
        return 8 + amount / top * (svg.WIDTH - 16)

    middle = min(max(x(value), 40), svg.WIDTH - 40)
    marks = [
        svg.line(x(0), 34, x(top), 34, "axis"),
        svg.line(x(low), 34, x(high), 34, "series"),
        svg.line(x(low), 28, x(low), 40, "series thin"),
        svg.line(x(high), 28, x(high), 40, "series thin"),
        svg.dot(x(value), 34, "dot series"),
        svg.text(middle, 18, words.money(value, currency), "strong middle"),
        svg.text(x(0), 58, words.money(0, currency), "tick start"),
        svg.text(x(top), 58, words.money(top, currency), "tick end"),
    ]
    says = words.gettext("%(value)s expected, nine times in ten between %(low)s and %(high)s") % {
        "value": words.money(value, currency), "low": words.money(low, currency), "high": words.money(high, currency),
    }  # fmt: skip
    return svg.picture(64, says, marks)


def bar(share: float, says: str) -> Markup:
    """A share of 1 as a bar of the length of a word."""
    marks = [svg.box(0, 0, svg.WIDTH, 40, "rest"), svg.box(0, 0, svg.WIDTH * min(max(share, 0.0), 1.0), 40, "column")]
    return svg.picture(40, says, marks)


def _round_up(amount: float) -> float:
    power = 10.0 ** math.floor(math.log10(amount))
    return next(step * power for step in (1, 2, 2.5, 5, 10) if step * power >= amount)
