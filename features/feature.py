"""What a feature is: a named read of the history, with its unit, meaning and theme; and the common ways to make one."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl
import polars.selectors as cs

from fedelta.features.history import Floats, Measure, Unit, View

Theme = Literal["activity", "purchases", "rhythm", "experience", "channels", "ratings", "tenure", "attributes"]

# Counts are exact integers; money and days keep every digit; a share or a ratio needs no more than seven.
_DTYPES: Mapping[Unit, tuple[pl.DataType, type[np.generic]]] = {
    "count": (pl.Int32(), np.int32),
    "points": (pl.Int32(), np.int32),
    "days": (pl.Float64(), np.float64),
    "money": (pl.Float64(), np.float64),
    "hours": (pl.Float32(), np.float32),
    "share": (pl.Float32(), np.float32),
    "rating": (pl.Float32(), np.float32),
    "ratio": (pl.Float32(), np.float32),
}


@dataclass(frozen=True)
class Feature:
    """One number per customer and cutoff.

    `silent` says what a customer gets who never did what the feature looks at: 0, or null ("never" is not zero days
    ago).
    """

    name: str
    unit: Unit
    theme: Theme
    says: str
    silent: Literal["0", "null"]
    measures: tuple[Measure, ...]
    read: Callable[[View], npt.NDArray[np.generic]] = field(compare=False, repr=False)
    windows: tuple[int, ...] = ()  # days of those that a view finds beforehand, for all features at once

    @property
    def dtype(self) -> pl.DataType:
        """Type of the column."""
        return _DTYPES[self.unit][0]

    def values(self, view: View) -> npt.NDArray[np.generic]:
        """The feature in every row of the view, in the type of its column; NaN stands for null."""
        return self.read(view).astype(_DTYPES[self.unit][1], copy=False)


def table_of(columns: Mapping[str, npt.NDArray[np.generic]]) -> pl.DataFrame:
    """Features in every row of a view (`columns_of`) as a table; null where a feature has no value."""
    return pl.DataFrame(dict(columns)).with_columns(cs.float().fill_nan(None))


def columns_of(features: Sequence[Feature], view: View) -> dict[str, npt.NDArray[np.generic]]:
    """The features in every row of the view, by name; NaN where a feature has no value."""
    return {f.name: f.values(view) for f in features}


@dataclass(frozen=True)
class Family:
    """Makes the features of one theme."""

    theme: Theme

    def in_windows(self, measure: Measure, windows: Sequence[int], *, lifetime: bool = False) -> Iterator[Feature]:
        """Totals of a measure in windows before the cutoff: `<measure>_count_30d`, …; money keeps its bare name."""
        unit = measure.unit
        stem = measure.name if unit == "money" else f"{measure.name}_{'count' if unit == 'count' else unit}"
        for days in windows:
            yield self.window(f"{stem}_{days}d", measure, days)
        if lifetime:
            yield self.window(stem, measure, None)

    def window(self, name: str, measure: Measure, days: int | None) -> Feature:
        """Total of a measure in one window, under a name of its own."""
        when = "so far" if days is None else f"in the last {days} days"
        exact = measure.scale == 1
        return Feature(
            name=name,
            unit=measure.unit,
            theme=self.theme,
            says=f"{measure.says}, {when}",
            silent="0",
            measures=(measure,),
            read=lambda view: view.count(measure, days) if exact else view.amount(measure, days),
            windows=() if days is None else (days,),
        )

    def days_since_last(self, measure: Measure, says: str | None = None) -> Feature:
        """Days since the last event that counts; null when there was none."""
        return self.of(
            f"days_since_last_{measure.name}",
            "days",
            says or f"days since the last {measure.name.replace('_', ' ')}",
            (measure,),
            lambda view: view.days_since_last(measure),
        )

    def ratio(
        self, name: str, above: Measure, below: Measure, days: int | None, says: str, unit: Unit = "share"
    ) -> Feature:
        """Total of one measure over the total of another in the same window; null where the other is zero."""
        read = self.of(
            name, unit, says, (above, below), lambda view: quotient(view.amount(above, days), view.amount(below, days))
        )
        return replace(read, windows=() if days is None else (days,))

    def of(
        self,
        name: str,
        unit: Unit,
        says: str,
        measures: tuple[Measure, ...],
        read: Callable[[View], npt.NDArray[np.generic]],
        silent: Literal["0", "null"] = "null",
    ) -> Feature:
        """A feature with a read of its own."""
        return Feature(name, unit, self.theme, says, silent, measures, read)


def quotient(above: npt.NDArray[np.generic], below: npt.NDArray[np.generic]) -> Floats:
    """`above / below` elementwise, NaN where `below` is zero or either is NaN."""
    with np.errstate(divide="ignore", invalid="ignore"):
        out: Floats = np.divide(above, below, casting="unsafe", dtype=np.float64)
    out[below == 0] = np.nan
    return out
