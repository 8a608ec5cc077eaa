"""What the page tells of experience, loyalty and personas, in its words and its order."""

from collections.abc import Iterator, Mapping
from typing import Any

from fedelta.features.contract import LEVELS, PILLARS
from fedelta.features.journeys import JOURNEYS
from fedelta.pages.charts import Left, Range
from fedelta.pages.sentences import listed

Json = Mapping[str, Any]

MEANS = {
    "integrity": "trust: it works, and statements are true",
    "resolution": "what went wrong is put right",
    "expectations": "promises are kept",
    "empathy": "the customer is heard",
    "personalisation": "it fits this customer",
    "time_and_effort": "it costs little time and trouble",
    "needs": "the customer gets what they came for",
    "ease": "without trouble",
    "enjoyable": "and gladly",
}
DIMENSIONS = (*PILLARS, *LEVELS)
LISTED = 20  # spurious loyals on the page; the file has more
WAYS = 12  # rows of the table of transitions

_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth")


def curve(tolerance: Json) -> list[Left]:
    """The points of the tolerance curve over all customers, where estimated; the last stands for later ones too."""
    steps = [step for step in tolerance["steps"] if step["group"] == "all" and step["number"] is not None]
    return [
        Left(ordinal(step["number"], last(tolerance)), *_interval(step["left"]), step["left_controls"])
        for step in steps
        if step["left"] is not None
    ]


def last(tolerance: Json) -> int:
    """The number of a bad experience that stands for later ones too."""
    return max((step["number"] or 0 for step in tolerance["steps"]), default=0)


def quoted(tolerance: Json) -> str:
    """The shares quoted elsewhere, after what, and where they come from."""
    shares = listed([f"{line['share']:.0%} after {line['after']}" for line in tolerance["quoted"]])
    return f"{shares} ({'; '.join(dict.fromkeys(line['source'] for line in tolerance['quoted']))})"


def groups(tolerance: Json) -> dict[str, dict[str, list[Json]]]:
    """The steps of every group but all customers: by what it is a group of, then by its value; each in their order."""
    found: dict[str, dict[str, list[Json]]] = {}
    for step in tolerance["steps"]:
        if step["group"] != "all":
            found.setdefault(plain(step["group"]), {}).setdefault(step["value"], []).append(step)
    return found


def costs(moments: Json) -> list[Range]:
    """What each moment of truth changes in leaving, in points, where it could be estimated; the most harmful first."""
    found = []
    for moment in moments["moments"]:
        if moment["churn"] is not None:
            value, low, high = (100 * end for end in _interval(moment["churn"]))
            name = f"{plain(moment['kind'])}: {plain(moment['pillar'])}"
            found.append(Range(name, value, low, high, f"{value:+.1f}".replace("-", "−")))
    return found


def points(column: Json) -> list[Range]:
    """The steps of one count of bad experiences in a table, as a chart draws them."""
    return [
        Range(step["name"], step["share"], step["low"], step["high"], f"{step['share']:.1%}")
        for step in column["steps"]
    ]


def known(experience: Json) -> list[tuple[str, Json]]:
    """Pillars and levels that the data put to the test."""
    every = {**experience["pillars"], **experience["levels"]}
    return [(name, every[name]) for name in DIMENSIONS if every[name]["reason"] is None]


def unknown(experience: Json) -> dict[str, list[str]]:
    """Pillars and levels of which nothing is known, by the reason."""
    found: dict[str, list[str]] = {}
    for name, held in {**experience["pillars"], **experience["levels"]}.items():
        if held["reason"] is not None:
            found.setdefault(held["reason"], []).append(plain(name))
    return found


def segmentations(experience: Json) -> Iterator[tuple[str, Json]]:
    """What customers and touchpoints are segmented by, in words, and the indexes of its values."""
    for name, held in experience["segments"].items():
        if name != "reason":
            yield plain(name), held


def journeys(experience: Json) -> list[Json]:
    """The maps of the journeys that occur, in the order in which customers make them."""
    maps = experience["journeys"]["journeys"]
    return [maps[name] for name in JOURNEYS if name in maps]


def ordinal(number: int, most: int) -> str:
    """A number in words, up to the highest, which stands for later ones too."""
    word = _ORDINALS[number - 1]
    return f"{word} or later" if number == most else word


def lasting(days: float) -> str:
    """A time between two touchpoints, as people say it."""
    minutes = days * 24 * 60
    if minutes < 1:
        return "at once"
    if minutes < 90:
        return f"{minutes:.0f} min"
    return f"{days * 24:.0f} h" if days < 2 else f"{days:.0f} days"


def plain(name: str) -> str:
    """A name of a column or a rule as a word."""
    return name.removeprefix("attribute_").replace("_", " ")


def _interval(held: Json) -> tuple[float, float, float]:
    return held["value"], held["low"], held["high"]
