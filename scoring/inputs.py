"""What is to be known of the inputs of a score before it is used: missing, out of range, never met."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from fedelta.features.few_events import FewEvents
from fedelta.features.kernel import columns_read
from fedelta.models.encoding import Encoding
from fedelta.models.table import Table
from fedelta.scoring.context import Settings


@dataclass(frozen=True)
class InputWarnings:
    """Of one customer; empty where there is nothing to warn of.

    Attributes
    ----------
    missing : tuple of str
        Columns of the interactions that features read and nobody gave, and attributes that are unknown.
    out_of_range : tuple of str
        Columns the churn model reads that lie outside of what it met in training.
    unknown : tuple of str
        Kinds and channels that the source does not have, and categories that the model never met, as ``kind=teleport``.
    """

    missing: tuple[str, ...] = ()
    out_of_range: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()


def warnings_of(
    given: Mapping[str, Collection[str]], events: FewEvents, rows: Table, read: Encoding, settings: Settings
) -> dict[str, InputWarnings]:
    """The warnings of every customer who has any.

    Parameters
    ----------
    given : mapping of customer to collection of str
        The columns of the interactions as they came.
    events, rows : DataFrame
        The interactions that count, and what models read of them.
    read : Encoding
        What the churn model reads.
    """
    asked = [name for name in columns_read(settings.kernel) if name != "known_at"]
    strange = _strange(events, settings)
    ids, scored = rows["customer_id"].tolist(), rows["status"] == "scored"
    missing = {one: [name for name in asked if name not in given[one]] for one in ids}
    outside: dict[str, list[str]] = {name: [] for name in ids}
    for one in settings.attributes:
        for place in np.flatnonzero(_unknown(rows[one.column])).tolist():
            missing[ids[place]].append(one.name)
    names = list(settings.ranges)
    ends = np.array([settings.ranges[name] for name in names]).reshape(-1, 2)
    values = np.array([rows[name] for name in names], np.float64).reshape(len(names), -1).T
    beyond = ((values < ends[:, 0]) | (values > ends[:, 1])) & scored[:, None]
    for place, column in zip(*(axis.tolist() for axis in np.nonzero(beyond)), strict=True):
        outside[ids[place]].append(names[column])
    for name, levels in read.categories.items():
        for place, value in enumerate(rows[name].tolist()):
            if isinstance(value, str) and value not in levels:
                strange.setdefault(ids[place], []).append(f"{name}={value}")
    found = {
        name: InputWarnings(tuple(missing[name]), tuple(outside[name]), tuple(strange.get(name, ()))) for name in ids
    }
    return {name: one for name, one in found.items() if one != InputWarnings()}


def _unknown(values: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    return (
        np.isnan(values) if values.dtype.kind == "f" else np.array([one is None for one in values.tolist()], np.bool_)
    )


def _strange(events: FewEvents, settings: Settings) -> dict[str, list[str]]:
    """The kinds and channels that the source does not have, by customer."""
    found: dict[str, list[str]] = {}
    for name, known in (("kind", settings.kinds), ("channel", settings.channels)):
        texts, ordinary = events.texts(name), {*known, None}
        if {*texts} <= ordinary:
            continue
        strange = {(customer, one) for customer, one in zip(events.lists["customer_id"], texts, strict=True)
                   if one not in ordinary}  # fmt: skip
        for customer, one in sorted(strange):
            found.setdefault(customer, []).append(f"{name}={one}")
    return found


def ranges_of(rows: pl.LazyFrame, read: Encoding) -> Mapping[str, tuple[float, float]]:
    """The least and the greatest value of every number that a model reads, in the rows that it learned from."""
    schema = rows.collect_schema()
    names = [name for name in read.names if name in schema and name not in read.categories]
    ends = rows.select(
        *(pl.col(name).cast(pl.Float64).min().alias(f"{name} low") for name in names),
        *(pl.col(name).cast(pl.Float64).max().alias(f"{name} high") for name in names),
    ).collect(engine="streaming")
    found = {name: (ends[f"{name} low"][0], ends[f"{name} high"][0]) for name in names}
    return {name: (low, high) for name, (low, high) in found.items() if low is not None}
