"""Whether two contenders computed the same table."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import polars as pl

from fedelta.features.feature import Feature

TOLERANCE = 1e-6


class Disagreement(Exception):
    """Two contenders say different things of the same customers."""


@dataclass(frozen=True)
class Difference:
    """How far one feature of a contender is from ours, at the worst row of all."""

    feature: Feature
    largest: float  # |a - b| / max(1, |b|)
    nulls: int  # rows where only one of the two is null

    @property
    def acceptable(self) -> bool:
        """Integers exactly, floats to the tolerance, nulls in the same rows."""
        exact = self.feature.dtype.is_integer()
        return self.nulls == 0 and self.largest <= (0 if exact else TOLERANCE)


def largest_difference(
    ours: Path, theirs: Path, cutoffs: Sequence[datetime], features: Sequence[Feature]
) -> tuple[int, float]:
    """Compare two folders of feature tables, cutoff by cutoff; return the rows and the largest relative difference.

    Raises
    ------
    Disagreement
        If they hold other customers, or a feature differs by more than it may.
    """
    rows, largest = 0, 0.0
    for cutoff in cutoffs:
        a, b = _table(theirs, cutoff), _table(ours, cutoff)
        if not a["customer_id"].equals(b["customer_id"]):
            raise Disagreement(f"{theirs.name} has {a.height} customers at {cutoff:%Y-%m-%d}, ours has {b.height}.")
        for difference in _differences(a, b, features):
            if not difference.acceptable:
                raise Disagreement(
                    f"{theirs.name}: {difference.feature.name} at {cutoff:%Y-%m-%d} differs from ours by up to "
                    f"{difference.largest:.3g}, and {difference.nulls} rows are null in one of the two only."
                )
            largest = max(largest, difference.largest)
        rows += a.height
    return rows, largest


def _table(folder: Path, cutoff: datetime) -> pl.DataFrame:
    return pl.scan_parquet(folder / "*.parquet").filter(pl.col("cutoff") == cutoff).collect().sort("customer_id")


def _differences(a: pl.DataFrame, b: pl.DataFrame, features: Sequence[Feature]) -> Iterator[Difference]:
    for feature in features:
        x, y = (table[feature.name].cast(pl.Float64).fill_nan(None) for table in (a, b))
        apart = ((x - y).abs() / y.abs().clip(1)).fill_null(0).to_numpy()
        yield Difference(feature, float(apart.max(initial=0)), int((x.is_null() != y.is_null()).sum()))
