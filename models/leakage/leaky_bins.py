"""The rows that a leak check looks at, and a column of them as few numbered bins."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from fedelta.models.panel import Panel

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.intp]
Mask = npt.NDArray[np.bool_]

BINS = 64
_MOST_CATEGORIES = 1_000


@dataclass(frozen=True)
class Rows:
    """What happened to whom, and at which cutoff."""

    churned: Floats  # (n_rows,) 0 or 1
    customer: Codes  # (n_rows,)
    cutoff: Codes  # (n_rows,) number of the cutoff, oldest first
    names: tuple[str, ...]  # of the cutoffs

    @classmethod
    def of(cls, panel: Panel, definition: str) -> "Rows":
        """The rows of a panel."""
        at, cutoffs = pd.factorize(panel.table["cutoff"], sort=True)
        customer = pd.factorize(panel.table["customer_id"])[0]
        return cls(panel.churned(definition), customer, at, tuple(f"{c:%Y-%m-%d}" for c in cutoffs))

    @property
    def half(self) -> Codes:
        """Which half of the customers the row belongs to (n_rows,)."""
        return self.customer % 2

    def groups(self) -> Iterator[tuple[str, Mask]]:
        """The rows of each cutoff, the latest first, and then all of them together under the name ""."""
        for number in range(len(self.names) - 1, -1, -1) if len(self.names) > 1 else ():
            yield self.names[number], self.cutoff == number
        yield "", np.ones(len(self.churned), bool)


@dataclass(frozen=True)
class Binned:
    """A column as whole numbers: 0 where it is null, then its values, or ranges of them, in their order."""

    codes: Codes  # (n_rows,)
    labels: tuple[str, ...]  # of the codes from 1: a value, or for ranges where each begins
    kind: Literal["values", "numbers", "ranges"]  # values of text, few numbers, or ranges of many of either
    zero: int = -1  # the code of the number 0 and of nothing else; -1 where there is none

    @property
    def size(self) -> int:
        """Number of codes, the null included."""
        return len(self.labels) + 1


def binned(column: pd.Series, most: int = _MOST_CATEGORIES) -> Binned:
    """A column in bins: numbers by value or in 64 ranges of equal counts, text by value, its rarest values together."""
    number = numbers(column)
    if number is None:
        return _categories(column, most)
    known = ~np.isnan(number)
    values = np.unique(number[known])
    if len(values) <= BINS:
        codes = np.where(known, np.searchsorted(values, number) + 1, 0)
        labels = tuple(f"{v:g}" for v in values)
        return Binned(codes, labels, "numbers", labels.index("0") + 1 if "0" in labels else -1)
    zero = int(np.searchsorted(values, 0.0))
    apart = values[zero : zero + 2] if 0.0 in values else values[:0]  # 0 has a bin of its own
    edges = np.unique(np.concatenate([values[:1], _quantiles(number[known]), apart]))
    codes = np.where(known, np.searchsorted(edges, number, side="right"), 0)
    of_zero = int(np.searchsorted(edges, 0.0)) + 1 if len(apart) else -1
    return Binned(codes, tuple(f"{e:g}" for e in edges), "ranges", of_zero)


def binnings(column: pd.Series, most: int = _MOST_CATEGORIES) -> list[Binned]:
    """Every way to bin a column: text of many values, such as dates, by ranges of its alphabetical order as well."""
    first = binned(column, most)
    if first.kind != "values" or len(first.labels) <= BINS:
        return [first]
    rank, values = pd.factorize(column.astype("string"), sort=True)
    edges = np.unique(np.append(0, _quantiles(rank[rank >= 0].astype(np.float64)))).astype(np.intp)
    codes = np.where(rank < 0, 0, np.searchsorted(edges, rank, side="right"))
    return [first, Binned(codes, tuple(f"'{values[edge]}'" for edge in edges), "ranges")]


def _quantiles(number: Floats) -> Floats:
    return np.quantile(number, np.linspace(0, 1, BINS + 1)[1:-1], method="lower")


def numbers(column: pd.Series) -> Floats | None:
    """The column as floats, null as NaN, infinities as the largest number; None where it is text."""
    if pd.api.types.is_datetime64_any_dtype(column):
        day = (column.dt.tz_localize(None) - pd.Timestamp(0)) / pd.Timedelta(days=1)
        return np.asarray(day.to_numpy(np.float64, na_value=np.nan), np.float64)
    if not pd.api.types.is_numeric_dtype(column):
        return None
    return np.asarray(np.clip(column.to_numpy(np.float64, na_value=np.nan), -1e300, 1e300), np.float64)


def ordered(column: pd.Series) -> Floats:
    """The column as numbers that keep its order, null below everything: of text, its alphabetical rank (dates!)."""
    number = numbers(column)
    if number is None:
        return pd.factorize(column.astype("string"), sort=True)[0].astype(np.float64)
    return np.where(np.isnan(number), -np.inf, number)


def _categories(column: pd.Series, most: int) -> Binned:
    text = column.astype("string")
    frequent = text.value_counts()
    frequent = frequent.iloc[np.lexsort((frequent.index.to_numpy(str), -frequent.to_numpy()))]
    codes = pd.Index(frequent.index).get_indexer(text.fillna("")) + 1
    codes = np.where(text.isna().to_numpy(), 0, codes)
    labels = tuple(f"'{value}'" for value in frequent.index)
    if len(labels) > most:
        codes, labels = np.minimum(codes, most + 1), (*labels[:most], "any rarer value")
    return Binned(np.asarray(codes, np.intp), labels, "values")
