"""Groups of customers by a protected attribute: its categories, or quarters of its numbers; small ones are pooled."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import isnan

import numpy as np
import numpy.typing as npt

_MOST_VALUES = 10  # of a number that is read as categories
_MOST_NAMED = 10  # of the groups in a pool
UNKNOWN = "unknown"


@dataclass(frozen=True, eq=False)
class Groups:
    """Who is in which group; `code` is -1 for those in groups that are too small to be judged even together."""

    labels: tuple[str, ...]
    code: npt.NDArray[np.intp]  # (n_rows,)
    pooled: Mapping[str, tuple[str, ...]]  # what a pooled group is made of
    small: Mapping[str, int]  # customers of each group that is not judged


def groups_of(values: Sequence[str | float | None], least: int) -> Groups:
    """The groups of customers by the values of an attribute, largest first; null is a group of its own.

    Numbers of more than ten values fall into quarters. Groups of fewer than `least` customers are pooled into one; if
    that is still too small, nobody in it is judged.
    """
    named = np.array(_names(values), dtype=object)
    counts = {name: int((named == name).sum()) for name in set(named)}
    ordered = sorted(counts, key=lambda name: (-counts[name], name))
    large = [name for name in ordered if counts[name] >= least]
    few = [name for name in ordered if counts[name] < least]
    pooled: dict[str, tuple[str, ...]] = {}
    label = {name: name for name in large}
    if len(few) > 1 and sum(counts[name] for name in few) >= least:
        more = f" and {len(few) - _MOST_NAMED:,} more" if len(few) > _MOST_NAMED else ""
        together = f"others, pooled ({', '.join(few[:_MOST_NAMED])}{more})"
        pooled[together] = tuple(few)
        label |= dict.fromkeys(few, together)
        few = []
    labels = tuple(dict.fromkeys(label[name] for name in ordered if name in label))
    place = {name: labels.index(shown) for name, shown in label.items()}
    code = np.array([place.get(name, -1) for name in named], np.intp)
    return Groups(labels, code, pooled, {name: counts[name] for name in few})


def _names(values: Sequence[str | float | None]) -> list[str]:
    numbers = np.array([value for value in values if _is_number(value)], np.float64)
    if len(np.unique(numbers)) <= _MOST_VALUES:
        return [_name(value) for value in values]
    edges = np.unique(np.quantile(numbers, [0.25, 0.5, 0.75]))
    bounds = [_shown(edge) for edge in edges]
    between = [f"above {low}, up to {high}" for low, high in pairwise(bounds)]
    labels = [f"up to {bounds[0]}", *between, f"above {bounds[-1]}"]
    return [
        labels[int(np.searchsorted(edges, value))] if isinstance(value, int | float) and not isnan(value) else UNKNOWN
        for value in values
    ]


def _name(value: str | float | None) -> str:
    if isinstance(value, str):
        return value
    return UNKNOWN if value is None or isnan(value) else _shown(value)


def _shown(number: float) -> str:
    """A number, with so many digits that two of a company's figures are never one."""
    return f"{number:.12g}"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isnan(value)
