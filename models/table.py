"""Columns of a table as arrays, for models to predict few rows by without pandas."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar, cast

import numpy as np
import numpy.typing as npt
import pandas as pd

D = TypeVar("D")


class Table:
    """Columns of equal length by name: what models predict by, of which pandas takes longer to give columns than models
    to read them.

    Numbers are of any of NumPy's types, times are ``datetime64`` in UTC, and text is objects, None where it is missing.
    """

    def __init__(self, columns: Mapping[str, npt.NDArray[Any]], rows: int) -> None:
        self._columns, self._rows = dict(columns), rows
        self._derived: dict[Callable[[Table], Any], tuple[Collection[str], Any]] = {}

    @classmethod
    def of(cls, table: "AnyTable") -> "Table":
        """The columns of a table; itself if it is one."""
        if isinstance(table, Table):
            return table
        return cls({str(name): _array(table[name]) for name in table.columns}, len(table))

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        """A column (n_rows,)."""
        return self._columns[name]

    def __contains__(self, name: object) -> bool:
        return name in self._columns

    def __iter__(self) -> Iterator[str]:
        """The names of the columns."""
        return iter(self._columns)

    def __len__(self) -> int:
        """Number of rows."""
        return self._rows

    def has(self, names: frozenset[str]) -> bool:
        """Whether all of these are columns."""
        return names <= self._columns.keys()

    def numbers(self, names: Sequence[str]) -> npt.NDArray[Any]:
        """Columns of numbers side by side (n_rows, n_names)."""
        columns = [self._columns[name] for name in names]
        return np.concatenate(columns).reshape(len(columns), -1).T if columns else np.empty((self._rows, 0))

    def once(self, derive: "Callable[[Table], D]", reads: Collection[str]) -> D:
        """What is derived from the columns named, when it is first asked for; kept until one of them is replaced."""
        if derive not in self._derived:
            self._derived[derive] = reads, derive(self)
        return cast("D", self._derived[derive][1])

    def where(self, rows: npt.NDArray[np.bool_] | slice) -> "Table":
        """The rows of a mask or a slice."""
        found = {name: values[rows] for name, values in self._columns.items()}
        return Table(found, len(range(self._rows)[rows]) if isinstance(rows, slice) else int(rows.sum()))

    def beside(self, columns: Mapping[str, npt.NDArray[Any]]) -> "Table":
        """The rows with more columns, or others in the place of those of their names."""
        found = Table({**self._columns, **columns}, self._rows)
        kept = {derive: held for derive, held in self._derived.items() if columns.keys().isdisjoint(held[0])}
        found._derived.update(kept)
        return found


AnyTable: TypeAlias = pd.DataFrame | Table  # both have columns by name, `in` and `len`
T = TypeVar("T", bound=pd.DataFrame | Table)


def _array(column: pd.Series) -> npt.NDArray[Any]:
    if isinstance(column.dtype, np.dtype) and column.dtype.kind in "fiubM":
        return column.to_numpy()
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        return np.asarray(column.dt.tz_convert(None))
    if pd.api.types.is_numeric_dtype(column):
        return column.to_numpy(np.float64, na_value=np.nan)
    found = np.empty(len(column), object)
    found[:] = [one if isinstance(one, str) else None for one in column.tolist()]
    return found
