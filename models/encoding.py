"""How a table of features becomes the matrix a booster reads: columns in order, categories as integers."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from fedelta.features.errors import FedeltaError

Matrix = npt.NDArray[np.float64]


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
            if column.nunique(dropna=False) < 2:
                continue
            names.append(str(name))
            if not pd.api.types.is_numeric_dtype(column):
                counts = column.astype("string").value_counts()
                categories[str(name)] = tuple(sorted(counts.index, key=lambda value: (-counts[value], value)))
        return cls(tuple(names), categories)

    def matrix(self, table: pd.DataFrame) -> Matrix:
        """The table as floats, shape (n_rows, n_names). Null and a category never seen in training become NaN.

        Raises
        ------
        MissingFeatures
            If a column the model was trained on is absent.
        """
        if missing := [name for name in self.names if name not in table]:
            raise MissingFeatures(
                f"The model needs {missing}, which the table lacks. Rebuild it with `dvc repro build_features`, or "
                "retrain on the new feature set."
            )
        out = np.empty((len(table), len(self.names)), np.float64)
        for i, name in enumerate(self.names):
            if name in self.categories:
                codes = pd.Index(self.categories[name]).get_indexer_for(pd.Index(table[name].astype("string")))
                out[:, i] = np.where(codes >= 0, codes, np.nan)
            else:
                out[:, i] = table[name].to_numpy(np.float64, na_value=np.nan)
        return out

    @property
    def categorical(self) -> list[int]:
        """Positions of the categorical columns."""
        return [i for i, name in enumerate(self.names) if name in self.categories]

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
