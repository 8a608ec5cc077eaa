"""The one shuffle: interactions of all customers into one order, and that order cut into buckets.

The file is sorted by a hash of the customer, then customer, time and id, in small row groups. So a bucket is a range of
hashes: any number of buckets can be read from the same file, each reads only its own row groups, and no customer is
ever cut in two. DuckDB sorts out of core under the connection's memory limit; the file is the same byte for byte
whatever the order of the input.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow.parquet as pq

HASH = "customer_hash"
ROW_GROUP_ROWS = 20_480  # ten DuckDB vectors: small enough that a bucket reads little beyond its own rows
_HASHES = 2**64


def shuffle(connection: duckdb.DuckDBPyConnection, select: str, folder: Path) -> int:
    """Write the interactions that `select` yields to ``folder/part-00000.parquet`` in bucket order; return how many.

    `select` yields the columns of ``features.contract.INTERACTIONS``. `folder` must exist.
    """
    target = str(folder / "part-00000.parquet").replace("'", "''")
    written = connection.execute(
        f"COPY (SELECT *, hash(customer_id) AS {HASH} FROM ({select}) "  # noqa: S608 - the SQL is ours or the source's
        f"ORDER BY {HASH}, customer_id, occurred_at, interaction_id) "
        f"TO '{target}' (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1, ROW_GROUP_SIZE {ROW_GROUP_ROWS})"
    ).fetchone()
    return int(written[0]) if written else 0


@dataclass(frozen=True)
class Bucket:
    """A range of customer hashes of a shuffled folder, small enough to hold in memory."""

    number: int
    first: int  # first hash of the bucket
    last: int  # last hash of the bucket
    pieces: tuple[tuple[str, tuple[int, ...]], ...]  # file, its row groups that touch the range

    def read(self, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """Interactions of the bucket's customers, sorted by customer, time and id."""
        wanted = None if columns is None else [*columns, HASH]
        frames = [
            pl.from_arrow(pq.ParquetFile(file).read_row_groups(list(groups), columns=wanted, use_threads=False))
            for file, groups in self.pieces
        ]
        rows = pl.concat([frame for frame in frames if isinstance(frame, pl.DataFrame)], rechunk=True)
        hashes = rows[HASH]
        begin = hashes.search_sorted(self.first, "left")
        end = hashes.search_sorted(self.last, "right")
        return rows.drop(HASH).slice(begin, end - begin)


def buckets(folder: Path, number: int) -> list[Bucket]:
    """The non-empty ones of `number` buckets of a shuffled folder, of equal share of the hashes."""
    groups = list(_row_groups(folder))
    cut = []
    for k in range(number):
        first, last = k * _HASHES // number, (k + 1) * _HASHES // number - 1
        pieces: dict[str, list[int]] = {}
        for file, group, low, high in groups:
            if low <= last and high >= first:
                pieces.setdefault(file, []).append(group)
        if pieces:
            cut.append(Bucket(k, first, last, tuple((file, tuple(rows)) for file, rows in pieces.items())))
    return cut


def _row_groups(folder: Path) -> Iterator[tuple[str, int, int, int]]:
    """File, row group, least and greatest hash of every row group of the folder."""
    for path in sorted(folder.glob("*.parquet")):
        metadata: Any = pq.read_metadata(path)
        column = metadata.schema.names.index(HASH)
        for group in range(metadata.num_row_groups):
            statistics = metadata.row_group(group).column(column).statistics
            yield str(path), group, statistics.min, statistics.max
