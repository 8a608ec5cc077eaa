"""What a model's inputs looked like when it learned, and how far those of another population are from it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from fedelta.models.encoding import Encoding
from fedelta.models.monitoring.drift import Bins, psi, psi_noise
from fedelta.models.panel import floats

Floats = npt.NDArray[np.float64]

WILD = 0.25  # of the population stability index: by the usual rule of thumb, another population (Siddiqi 2006)
_TIMES_NOISE = 5.0  # and so many times what two samples of one population differ by
_LEVELS = 20  # commonest categories that are counted one by one


@dataclass(frozen=True)
class Column:
    """The cells a column is counted in, and how many training rows fell into each; last the unknown ones."""

    edges: tuple[float, ...] | None  # of a number
    levels: tuple[str, ...] | None  # of a category; others share the cell before the last
    counts: tuple[float, ...]

    def of(self, column: pd.Series) -> Floats:
        """How many rows fall into each cell (n_cells,)."""
        if self.levels is None:
            return Bins(np.array(self.edges or ())).counts(column.to_numpy(np.float64, na_value=np.nan))
        text = column.astype("string")
        codes = pd.Index(self.levels).get_indexer_for(pd.Index(text))
        codes = np.where(text.isna(), len(self.levels) + 1, np.where(codes < 0, len(self.levels), codes))
        return np.bincount(codes, minlength=len(self.levels) + 2).astype(np.float64)


@dataclass(frozen=True)
class Moved:
    """A column that is not as it was: its population stability index, and its share of what moves the scores."""

    name: str
    psi: float
    importance: float


@dataclass(frozen=True)
class Difference:
    """How the rows to be scored differ from those learned from."""

    unseen: Mapping[str, Mapping[str, int]]  # by column: categories never met in training, and their rows
    moved: tuple[Moved, ...]  # beyond `WILD`, what weighs most first
    weighted: float  # mean index of all columns by importance


def profile_of(table: pd.DataFrame, read: Encoding) -> dict[str, Any]:
    """The columns that a model reads as it met them, for JSON."""
    out: dict[str, Any] = {}
    for name in (n for n in read.names if n in table):
        edges = levels = None
        if name in read.categories:
            levels = read.categories[name][:_LEVELS]
        else:
            edges = tuple(float(edge) for edge in Bins.of(floats(table, name)).edges)
        column = Column(edges, levels, ())
        out[name] = {
            "edges": None if edges is None else list(edges),
            "levels": None if levels is None else list(levels),
            "counts": column.of(table[name]).tolist(),
        }
    return out


def difference(
    profile: Mapping[str, Any], table: pd.DataFrame, read: Encoding, importance: Mapping[str, float]
) -> Difference:
    """Compare the rows of a table with a profile of those learned from."""
    moved, total, weighed = [], 0.0, 0.0
    for name, held in profile.items():
        if name not in table:
            continue
        edges, levels = (None if held[part] is None else tuple(held[part]) for part in ("edges", "levels"))
        before = np.array(held["counts"])
        now = Column(edges, levels, ()).of(table[name])
        index, weight = float(psi(before, now)), float(importance.get(name, 0.0))
        total, weighed = total + weight, weighed + weight * index
        if index > WILD and index > _TIMES_NOISE * float(psi_noise(before, now)):
            moved.append(Moved(name, index, weight))
    return Difference(
        unseen_categories(table, read),
        tuple(sorted(moved, key=lambda one: (-one.importance * one.psi, one.name))),
        weighed / total if total else 0.0,
    )


def unseen_categories(table: pd.DataFrame, read: Encoding) -> dict[str, dict[str, int]]:
    """Categories of the columns a model reads that it never met: how many rows hold each, commonest first."""
    out = {}
    for name, levels in read.categories.items():
        if name not in table:
            continue
        counts = table[name].astype("string").value_counts()
        new = counts[~counts.index.isin(levels)]
        if len(new):
            out[name] = {str(value): int(n) for value, n in sorted(new.items(), key=lambda item: (-item[1], item[0]))}
    return out
