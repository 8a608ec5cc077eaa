"""Tables of all customers, brought from buckets into the order of ids through files: memory holds one range."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl


@dataclass(frozen=True)
class IdRanges:
    """Customers cut by their ids into ranges that follow each other, and the folder that rows are dealt out in.

    Attributes
    ----------
    of : DataFrame
        `customer_id`, sorted, and `range`, from 0.
    most : int
        Customers with rows in a range, at most.
    """

    of: pl.DataFrame
    most: int
    folder: Path

    @classmethod
    def cut(cls, ids: pl.Series, without_rows: pl.Series, most: int, folder: Path) -> "IdRanges":
        """Ranges of at most so many of `ids` (all but the last: so many); the others go where their ids lie."""
        known = (pl.DataFrame({"customer_id": one, "rows": rows}) for one, rows in ((ids, True), (without_rows, False)))
        place = (pl.col("rows").cum_sum().cast(pl.Int64) - 1).clip(0)
        ranges = pl.concat(known).sort("customer_id").select("customer_id", range=(place // most).cast(pl.UInt32))
        return cls(ranges, most, folder)

    def __iter__(self) -> Iterator[int]:
        """Each range."""
        return iter(range(self.of["range"][-1] + 1))

    def ids(self, number: int) -> pl.Series:
        """The customers of a range, sorted."""
        return self.of.filter(pl.col("range") == number)["customer_id"]

    def deal(self, name: str, tables: Iterable[pl.DataFrame]) -> None:
        """Write the rows of small tables, one at least, to files by range."""
        for place, table in enumerate(_joined(tables, self.most)):
            placed = table.join(self.of, on="customer_id")
            for number in self:
                rows = placed.filter(pl.col("range") == number).drop("range")
                rows.write_parquet(self.folder / f"{name}-{number}-{place}.parquet", compression="lz4")

    def dealt(self, name: str, number: int) -> pl.DataFrame:
        """The rows of a range, sorted by customer."""
        return pl.read_parquet(self.folder / f"{name}-{number}-*.parquet").sort("customer_id")


def _joined(tables: Iterable[pl.DataFrame], rows: int) -> Iterator[pl.DataFrame]:
    """The same rows in fewer tables, of about so many."""
    held: list[pl.DataFrame] = []
    for table in tables:
        held.append(table)
        if sum(map(len, held)) >= rows:
            yield pl.concat(held)
            held = []
    if held:
        yield pl.concat(held)
