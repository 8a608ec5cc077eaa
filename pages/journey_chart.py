"""The journey map: touchpoints as boxes down the page, ways forward as arcs at their right, ways back at their left."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from fedelta.pages import svg
from fedelta.pages.sentences import capital

# Roughly the order in which customers come by them; kinds that a source declares itself come last.
ORDER = (
    "message", "response", "visit", "enrolment", "purchase", "delivery", "survey", "review", "referral", "error",
    "outage", "contact", "complaint", "return", "renewal", "downgrade", "cancellation",
)  # fmt: skip
BOXES, WAYS = 10, 15  # more would tangle
AGAIN = 0.1  # share of repeats worth a word

_BOX, _HEIGHT, _STEP, _TOP = 204.0, 36.0, 56.0, 34.0
_LEFT = (svg.WIDTH - _BOX) / 2
_BULGE = _LEFT - 24
_WORDS = (26.0, 12.0)  # of a share, for keeping them apart


Say = Callable[[str], str]  # another language for a message


def _plain(touchpoint: str) -> str:
    return capital(touchpoint.replace("_", " "))


@dataclass(frozen=True)
class Way:
    """A way from one box to another, by their places from the top, and its share of all that follows the first."""

    start: int
    end: int
    times: int
    share: float


def journey_chart(journey: Mapping[str, Any], say: Say = str, name: Say = _plain) -> Markup:
    """The map of one journey of `reports/experience.json`: its busiest touchpoints and ways.

    `say` puts messages, `name` touchpoints into the language of the page.
    """
    stops = sorted(journey["touchpoints"][:BOXES], key=lambda stop: _place(stop["touchpoint"]))
    ways = _ways(stops, journey["transitions"])
    most = max([way.times for way in ways], default=1)
    arcs = [_arc(way, len(stops)) for way in ways]
    return svg.picture(
        _TOP + _STEP * len(stops),
        say("Journey map: %(journey)s. Touchpoints from first to last, and how customers move between them")
        % {"journey": say(journey["journey"])},
        [
            svg.text(_LEFT - 8, 12, say("back ↑"), "note end"),
            svg.text(_LEFT + _BOX + 8, 12, say("onward ↓"), "note"),
            *(svg.curve(arc, 1 + 7 * math.sqrt(way.times / most), "way") for way, arc in zip(ways, arcs, strict=True)),
            *(svg.area(_tip(arc), "tip") for arc in arcs),
            *_shares(ways, arcs),
            *(
                mark
                for place, stop in enumerate(stops)
                for mark in _stop(place, stop, journey["transitions"], say, name)
            ),
        ],
    )


def _place(touchpoint: str) -> tuple[int, str]:
    kind = touchpoint.partition(" (")[0]
    return (ORDER.index(kind) if kind in ORDER else len(ORDER)), touchpoint


def _ways(stops: Sequence[Mapping[str, Any]], transitions: Sequence[Mapping[str, Any]]) -> list[Way]:
    """The busiest way out of each box and then the busiest of all, between different boxes."""
    place = {stop["touchpoint"]: number for number, stop in enumerate(stops)}
    found = [
        Way(place[move["touchpoint"]], place[move["next"]], move["times"], move["share"])
        for move in transitions
        if move["touchpoint"] in place and move["next"] in place and move["touchpoint"] != move["next"]
    ]
    first = list({way.start: way for way in reversed(found)}.values())
    return sorted((first + [way for way in found if way not in first])[:WAYS], key=lambda way: -way.times)


def _arc(way: Way, boxes: int) -> list[tuple[float, float]]:
    """From the lower half of a box's side to the upper half of another's; the further it goes, the wider it swings."""
    onward = way.end > way.start
    side, outward = (_LEFT + _BOX, 1) if onward else (_LEFT, -1)
    start, end = (_TOP + _STEP * place + _HEIGHT / 2 for place in (way.start, way.end))
    reach = outward * _BULGE / 0.75 * (abs(way.end - way.start) / max(boxes - 1, 1)) ** 0.6
    start, end = (start + 5, end - 7) if onward else (start - 5, end + 7)
    return [(side, start), (side + reach, start), (side + reach, end), (side + 7 * outward, end)]


def _tip(arc: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """An arrowhead at the end of an arc, pointing at the box."""
    x, y = arc[-1]
    inward = math.copysign(7, arc[0][0] - x)
    return [(x + inward, y), (x, y - 4), (x, y + 4)]


def _shares(ways: Sequence[Way], arcs: Sequence[Sequence[tuple[float, float]]]) -> Iterator[Markup]:
    """The share of each way on its arc, where it covers none placed before; without such a place, it is left out."""
    placed: list[tuple[float, float]] = []
    for way, arc in zip(ways, arcs, strict=True):
        for t in (0.5, 0.4, 0.6, 0.3, 0.7, 0.2, 0.8):
            x, y = _along(arc, t)
            if all(abs(x - a) >= _WORDS[0] or abs(y - b) >= _WORDS[1] for a, b in placed):
                placed.append((x, y))
                yield svg.text(x, y + 4, f"{way.share:.0%}", "tick middle")
                break


def _along(arc: Sequence[tuple[float, float]], t: float) -> tuple[float, float]:
    weights = ((1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3)
    x, y = (sum(w * point[axis] for w, point in zip(weights, arc, strict=True)) for axis in (0, 1))
    return x, y


def _stop(
    place: int, stop: Mapping[str, Any], transitions: Sequence[Mapping[str, Any]], say: Say, name: Say
) -> Iterator[Markup]:
    """A box: its name, how often it is met, after how many the customer stops; the redder, the more goes badly."""
    own, top = stop["touchpoint"], _TOP + _STEP * place
    again = next((move["share"] for move in transitions if move["touchpoint"] == move["next"] == own), None)
    facts = [
        _short(stop["interactions"]),
        "" if stop["drop_off"] is None else say("%(share)s stop") % {"share": f"{stop['drop_off']:.0%}"},
        say("%(share)s bad") % {"share": f"{stop['bad_share']:.0%}"} if stop["bad_share"] else "",
        "" if again is None or again < AGAIN else say("%(share)s again") % {"share": f"{again:.0%}"},
    ]
    yield svg.box(_LEFT, top, _BOX, _HEIGHT, "stop")
    yield svg.box(_LEFT, top, _BOX, _HEIGHT, "bad", opacity=0.6 * stop["bad_share"])
    yield svg.text(svg.WIDTH / 2, top + 15, name(own), "inside strong")
    yield svg.text(svg.WIDTH / 2, top + 29, " · ".join(fact for fact in facts if fact), "inside")


def _short(count: int) -> str:
    return f"{count:,}" if count < 10_000 else f"{count / 1000:,.0f}k" if count < 1e6 else f"{count / 1e6:.1f}m"
