"""Charts of the base: distributions, the tolerance curve, moments of truth, the journey map."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from markupsafe import Markup

from fedelta.pages.charts import Axis, Frame, Left, Range, count_axis, ranges, share_axis
from fedelta.pages.journey_chart import journey_chart
from fedelta.serve.desk.counted import Counted
from fedelta.serve.desk.words import Words

Json = Mapping[str, Any]

ROOM = 1.1  # above the highest column, for the title of the axis


def spread(words: Words, numbers: Counted) -> Markup:
    """How many customers there are at each risk, in bins of five points."""
    counts = [one.within for one in numbers.risk]
    frame = Frame(
        shares(words, words.gettext("risk")),
        counts_axis(words, ROOM * max([*counts, 1]), words.gettext("customers")),
        240,
    )
    width = 1 / max(len(counts), 1)
    bars = (frame.bar(number * width, (number + 1) * width, count, "column") for number, count in enumerate(counts))
    return frame.svg(words.gettext("Number of customers by risk"), *bars)


def values(words: Words, numbers: Counted) -> Markup | None:
    """How many customers are expected to spend how much; None without money."""
    if not numbers.spend:
        return None
    edges, counts = [one.least for one in numbers.spend], [one.within for one in numbers.spend]
    step = edges[1] - edges[0]
    x = Axis(
        edges[0],
        edges[-1] + step,
        edges[::5],
        words.gettext("expected spend"),
        lambda amount: words.money(amount, numbers.currency),
    )
    frame = Frame(x, counts_axis(words, ROOM * max([*counts, 1]), words.gettext("customers")), 240)
    bars = (frame.bar(edge, edge + step, count, "column") for edge, count in zip(edges, counts, strict=True))
    return frame.svg(
        words.gettext("Number of customers by expected spend; the last column has all who spend more"), *bars
    )


def tolerance(words: Words, points: Sequence[Left], quoted: Sequence[Json]) -> Markup:
    """Who leaves after the first, second, … bad experience beside matched controls, and shares that others quote."""
    most = max([*(point.high for point in points), *(line["share"] for line in quoted)])
    top = math.ceil(most * 5 + 0.2) / 5
    x = Axis(
        0.0,
        len(points) + 0.5,
        range(1, len(points) + 1),
        words.gettext("bad experience"),
        lambda number: f"{words.number(number)}{'+' if number == len(points) else ''}",
    )
    ticks = [tick / 5 for tick in range(round(top * 5) + 1)]
    frame = Frame(x, Axis(0.0, top, ticks, words.gettext("leave"), words.share), 300)
    known = list(enumerate(points, 1))
    says = words.gettext("%(share)s quoted")
    return frame.svg(
        words.gettext("Share that leaves after a bad experience, with its interval, and that of matched controls"),
        *(frame.line([(0, line["share"]), (len(points) + 0.5, line["share"])], "guide") for line in quoted),
        *(
            frame.words(0.03, line["share"], says % {"share": words.share(line["share"])}, "note above")
            for line in quoted
        ),
        *(frame.line([(n + 0.1, point.controls), (n - 0.1, point.value)], "axis") for n, point in known),
        *(frame.line([(n - 0.1, point.low), (n - 0.1, point.high)], "series") for n, point in known),
        *(frame.dot(n - 0.1, point.value) for n, point in known),
        *(frame.dot(n + 0.1, point.controls, "dot hollow") for n, point in known),
    )


def moments(words: Words, found: Sequence[Json]) -> Markup | None:
    """What each moment of truth changes in leaving, in points, the most harmful first; None where none is known."""
    rows = [
        Range(
            f"{words.value(one['kind'])}: {words.value(one['pillar'])}",
            100 * one["churn"]["value"],
            100 * one["churn"]["low"],
            100 * one["churn"]["high"],
            words.points(one["churn"]["value"]),
        )
        for one in found
        if one["churn"] is not None
    ]
    says = words.gettext("Moments of truth: change in leaving, in points, with intervals")
    ends = (words.gettext("fewer leave"), words.gettext("more leave"))
    return ranges(rows, says, words.gettext("points"), ends) if rows else None


def journey(words: Words, held: Json) -> Markup | None:
    """The map of one journey; None where there is but one touchpoint."""
    return journey_chart(held, words.gettext, words.touchpoint) if len(held["touchpoints"]) > 1 else None


def shares(words: Words, label: str) -> Axis:
    """From 0 to 100%."""
    return replace(share_axis(label), text=words.share)


def counts_axis(words: Words, most: float, label: str) -> Axis:
    """From 0 to a round number above ``most``."""
    return replace(count_axis(most, label), text=lambda value: words.number(value, 0 if value == round(value) else 1))
