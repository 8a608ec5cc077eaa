"""A customer's peers, those who bought about as often, and what is usual among them."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from fedelta.models.encoding import Encoding
from fedelta.models.panel import activity_in, feature_columns, floats
from fedelta.models.table import AnyTable

EVERYBODY = "all customers"
_LEAST = 20  # rows of a group; of fewer nothing is usual, and all customers stand in
_GROUPS = {
    "purchase": {
        0: "customers who never bought",
        1: "customers with 1 purchase",
        2: "customers with 2 or 3 purchases",
        4: "customers with 4 to 9 purchases",
        10: "customers with 10 or more purchases",
    },
    "activity": {
        0: "customers who were never active",
        1: "customers active once",
        2: "customers active 2 or 3 times",
        4: "customers active 4 to 9 times",
        10: "customers active 10 times or more",
    },
}


@dataclass(frozen=True)
class Peers:
    """What was usual in training among customers of so many purchases (or other activity) or more, up to the next."""

    purchases: int
    says: str  # who they are
    usual: Mapping[str, float | None]  # median by column; None where most of them have no value

    @property
    def similar(self) -> bool:
        """Whether they are customers who bought about as often; else all customers."""
        return self.says != EVERYBODY

    def to_dict(self) -> dict[str, object]:
        """As JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> "Peers":
        """Back from JSON."""
        return cls(**document)


def fit_peers(table: pd.DataFrame, read: Encoding) -> tuple[Peers, ...]:
    """Groups of customers by purchases (or other activity) so far, fewest first, with their medians.

    Of the columns read by models, and of those that reasons show. A group of too few rows goes by the medians of all.
    """
    what = activity_in(table)
    asked = dict.fromkeys([*read.names, *feature_columns(table)])
    numeric = (n for n in asked if n in table and pd.api.types.is_numeric_dtype(table[n]))
    names = [n for n in numeric if n not in read.categories]
    count = floats(table, f"{what}_count")
    if np.isnan(count).all():  # a table of customers: nobody knows how often they bought
        return (Peers(0, EVERYBODY, _medians(table, names)),)
    edges = np.array(list(_GROUPS[what]))
    group = np.searchsorted(edges, count, side="right") - 1
    everybody = _medians(table, names)
    held = []
    for number, (purchases, says) in enumerate(_GROUPS[what].items()):
        rows = table[group == number]
        few = len(rows) < _LEAST
        held.append(Peers(purchases, *(EVERYBODY, everybody) if few else (says, _medians(rows, names))))
    return tuple(held)


def peers_of(groups: Sequence[Peers], table: AnyTable) -> list[Peers | None]:
    """The group of each row's customer; None where a model was saved without any."""
    if not groups:
        return [None] * len(table)
    edges = np.array([group.purchases for group in groups])
    return [groups[i] for i in np.searchsorted(edges, floats(table, f"{activity_in(table)}_count"), side="right") - 1]


def _medians(table: pd.DataFrame, names: Sequence[str]) -> dict[str, float | None]:
    """Of the values there are; None where fewer than half of the rows have one."""
    out: dict[str, float | None] = {}
    for name in names:
        values = floats(table, name)
        known = values[~np.isnan(values)]
        out[name] = float(np.median(known)) if known.size and 2 * known.size >= values.size else None
    return out
