"""How a table of features becomes the matrix a booster reads: columns in order, categories as integers."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from fedelta.features.errors import FedeltaError
from fedelta.models.table import AnyTable, Table

Matrix = npt.NDArray[np.float64]  # (n_rows, n_columns)
_CELLS_AT_ONCE = 8_000_000  # copied at once: asking for columns one by one takes longer than predicting few rows


class MissingFeatures(FedeltaError):
    """A table lacks columns that a model was trained on."""


@dataclass(frozen=True)
class Encoding:
    """The columns a model reads, and the codes of the categorical ones."""

    names: tuple[str, ...]
    categories: Mapping[str, tuple[str, ...]]

    @classmethod
    def of(cls, table: pd.DataFrame) -> "Encoding":
        """Every column of `table` that tells rows apart; text columns become categories, commonest first."""
        names, categories = [], {}
        for name in table.columns:
            column = table[name]
            if _has_one_value(column):
                continue
            names.append(str(name))
            if not pd.api.types.is_numeric_dtype(column):
                counts = column.astype("string").value_counts()
                categories[str(name)] = tuple(sorted(counts.index, key=lambda value: (-counts[value], value)))
        return cls(tuple(names), categories)

    def matrix(self, table: AnyTable) -> Matrix:
        """The table as floats, shape (n_rows, n_names). Null and a category never seen in training become NaN.

        Raises
        ------
        MissingFeatures
            If a column the model was trained on is absent.
        """
        self._check(table)
        out = np.empty((len(table), len(self.names)), np.float64)
        numbers = self._numeric
        if isinstance(table, Table):
            out[:, numbers] = table.numbers(self._numeric_names)
            for i in self.categorical:
                levels = self.categories[self.names[i]]
                out[:, i] = [levels.index(one) if one in levels else np.nan for one in table[self.names[i]].tolist()]
            return out
        for some in np.array_split(numbers, -(-len(numbers) * len(table) // _CELLS_AT_ONCE) or 1):
            out[:, some] = _as_matrix(table, [self.names[i] for i in some])
        for i in self.categorical:
            out[:, i] = self._codes(table, self.names[i])
        return out

    def columns(self, table: pd.DataFrame) -> pa.Table:
        """The same as `matrix` by column, numbers as they lie in the table: a reader of columns needs no copy."""
        self._check(table)
        held = {n: self._codes(table, n) if n in self.categories else _numbers(table[n]) for n in self.names}
        return pa.table({name: pa.array(values) for name, values in held.items()})

    @cached_property
    def _read(self) -> frozenset[str]:
        return frozenset(self.names)

    @cached_property
    def _numeric(self) -> npt.NDArray[np.intp]:
        """Positions of the others, which are numbers."""
        return np.array([i for i, name in enumerate(self.names) if name not in self.categories], np.intp)

    @cached_property
    def _numeric_names(self) -> tuple[str, ...]:
        return tuple(self.names[i] for i in self._numeric.tolist())

    @cached_property
    def categorical(self) -> list[int]:
        """Positions of the categorical columns."""
        return [i for i, name in enumerate(self.names) if name in self.categories]

    def _check(self, table: AnyTable) -> None:
        if isinstance(table, Table) and table.has(self._read):
            return
        if missing := [name for name in self.names if name not in table]:
            raise MissingFeatures(
                f"The model needs {missing}, which the table lacks. Rebuild it with `dvc repro build_features`, or "
                "retrain on the new feature set."
            )

    def _codes(self, table: pd.DataFrame, name: str) -> Matrix:
        """The codes of a column of categories (n_rows,)."""
        place = {level: float(code) for code, level in enumerate(self.categories[name])}
        codes = table[name].astype("string").map(place)
        return np.asarray(codes.to_numpy(np.float64, na_value=np.nan), np.float64)

    def to_dict(self) -> dict[str, object]:
        """As JSON."""
        return {"names": list(self.names), "categories": {k: list(v) for k, v in self.categories.items()}}

    @classmethod
    def from_dict(cls, document: Mapping[str, object]) -> "Encoding":
        """Back from JSON."""
        names, categories = document["names"], document["categories"]
        assert isinstance(names, list)
        assert isinstance(categories, dict)
        return cls(tuple(names), {k: tuple(v) for k, v in categories.items()})


def _has_one_value(column: pd.Series) -> bool:
    """Whether all rows have the same value, or none; null counts as one."""
    if isinstance(column.dtype, np.dtype) and column.dtype.kind in "fiub":  # much faster than to count all values
        values = column.to_numpy()
        return bool((values == values[:1]).all() or np.isnan(values).all())
    return column.nunique(dropna=False) < 2


def _numbers(column: pd.Series) -> npt.NDArray[Any]:
    """A numeric column (n_rows,), of the type it has; null becomes NaN."""
    if isinstance(column.dtype, np.dtype) and column.dtype.kind in "fiu":
        return column.to_numpy()
    return column.to_numpy(np.float64, na_value=np.nan)


def _as_matrix(table: pd.DataFrame, names: list[str]) -> Matrix:
    """Numeric columns side by side (n_rows, n_names); null becomes NaN."""
    part = table[names]
    if all(isinstance(dtype, np.dtype) and dtype.kind in "fiub" for dtype in part.dtypes):
        return part.to_numpy(np.float64)
    return part.to_numpy(np.float64, na_value=np.nan)
