"""The one shuffle: interactions of all customers into one order, and that order cut into buckets.

The file is sorted by a hash of the customer, then customer, time and id, in small row groups. So a bucket is a range of
hashes: any number of buckets can be read from the same file, each reads only its own row groups, and no customer is
ever cut in two. DuckDB sorts out of core under the connection's memory limit; the file is the same byte for byte
whatever the order of the input.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import polars as pl

from features.contract import INTERACTIONS

HASH = "customer_hash"
ROW_GROUP_ROWS = 20_480  # ten DuckDB vectors: small enough that a bucket reads little beyond its own rows
_HASHES = 2**64
_FEW = 1_000  # topics may be anything


def shuffle(connection: duckdb.DuckDBPyConnection, select: str, folder: Path) -> int:
    """Write the interactions that `select` yields to ``folder/part-00000.parquet`` in bucket order; return how many.

    `select` yields the columns of ``features.contract.INTERACTIONS``. `folder` must exist.
    """
    target = str(folder / "part-00000.parquet").replace("'", "''")
    columns = ", ".join(_few_valued(connection, select, name) for name in ("kind", "channel", "topic"))
    written = connection.execute(
        f"COPY (SELECT * REPLACE ({columns}), hash(customer_id) AS {HASH} FROM ({select}) "  # noqa: S608 - SQL of ours
        f"ORDER BY {HASH}, customer_id, occurred_at, interaction_id) "
        f"TO '{target}' (FORMAT parquet, COMPRESSION lz4_raw, ROW_GROUP_SIZE {ROW_GROUP_ROWS})"
    ).fetchone()
    return int(written[0]) if written else 0


def _few_valued(connection: duckdb.DuckDBPyConnection, select: str, name: str) -> str:
    """A text column, as an enum if its values are few: the sort carries less, and the file holds text all the same."""
    distinct = f"SELECT DISTINCT {name} FROM ({select}) WHERE {name} IS NOT NULL LIMIT {_FEW + 1}"  # noqa: S608
    values = sorted(str(row[0]) for row in connection.execute(distinct).fetchall())
    if len(values) > _FEW:
        return name
    if not values:
        return f"CAST(NULL AS VARCHAR) AS {name}"
    quoted = ", ".join("'" + value.replace("'", "''") + "'" for value in values)
    return f"CAST({name} AS ENUM ({quoted})) AS {name}"


@dataclass(frozen=True)
class Bucket:
    """A range of customer hashes of a shuffled folder, small enough to hold in memory."""

    number: int
    first: int  # first hash of the bucket
    last: int  # last hash of the bucket
    folder: Path

    def read(self, columns: Sequence[str] = tuple(INTERACTIONS)) -> pl.DataFrame:
        """Interactions of the bucket's customers, sorted by customer, time and id.

        Row groups whose statistics lie outside the range are not read.
        """
        rows = pl.scan_parquet(self.folder / "*.parquet").filter(pl.col(HASH).is_between(self.first, self.last))
        return rows.select(columns).collect()


def buckets(folder: Path, number: int) -> list[Bucket]:
    """A shuffled folder in `number` buckets of equal share of the hashes; some may hold nobody."""
    edges = [k * _HASHES // number for k in range(number + 1)]
    return [Bucket(k, edges[k], edges[k + 1] - 1, folder) for k in range(number)]
