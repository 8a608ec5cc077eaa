"""The report's section on what contacting achieved: rows of a table, and the pictures' data."""

from collections.abc import Mapping, Sequence
from typing import Any

from fedelta.models.incrementality.comparison import ALL
from fedelta.models.uplift.gate import TITLES
from fedelta.pages.charts import Points, Range

Json = Mapping[str, Any]

_MOST_ROWS = 20
NAMES = TITLES


def title(comparison: Json) -> str:
    """What a comparison is of."""
    return "everybody" if comparison["by"] == ALL else f"{comparison['by']} {comparison['group']}"


def shown(saves: Json) -> Sequence[Json]:
    """The comparisons of the table: those of most customers, in their order."""
    largest = sorted(saves["comparisons"], key=lambda one: -sum(one["entered"].values()))[:_MOST_ROWS]
    return [one for one in saves["comparisons"] if one in largest]


def effects(saves: Json) -> list[Range]:
    """The differences with intervals that hold at every look, in points, of the comparisons that have a result."""
    return [
        Range(
            title(one), 100 * active["value"], 100 * active["always_low"], 100 * active["always_high"],
            f"{100 * active['value']:+.1f}".replace("-", "−"),
        )
        for one in shown(saves)
        if one["result"]
        for active in [one["result"]["active"]]
    ]  # fmt: skip


def curves(saves: Json) -> dict[str, Points]:
    """The targeting curves of the study of effects per customer; none where there was none."""
    return {
        name: [(u, gain) for u, gain in points] for name, points in saves.get("uplift", {}).get("curves", {}).items()
    }
