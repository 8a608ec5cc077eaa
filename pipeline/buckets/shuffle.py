"""The one shuffle: interactions of all customers into one order, and that order cut into buckets.

The file is sorted by a hash of the customer (`customer_hash`, the same in every engine) and by time, in small row
groups. So a bucket is a range of hashes: any number of buckets can be read from the same file, each reads only its own
row groups, and no customer is ever cut in two. DuckDB sorts out of core under the connection's memory limit, a sixth
cheaper by numbers than by ids. So what it cannot order without ids, reading puts right: the simultaneous interactions
of a customer, and customers of one hash.

The file is the same byte for byte whatever the order of the input (but where 32 bits of a hash do not tell a
customer's simultaneous interactions apart: one such pair in four billion). What is read is the same without exception.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
from duckdb.func import ARROW

from fedelta.features.contract import INTERACTIONS
from fedelta.pipeline.buckets.customer_hash import customer_hashes

HASH = "customer_hash"
ROW_GROUP_ROWS = 20_480  # ten DuckDB vectors: small enough that a bucket reads little beyond its own rows
_HASHES = 2**64
_ORDER = ("customer_id", "occurred_at", "interaction_id")
_FEW = 1_000  # topics may be anything
_FUNCTION = "fedelta_customer_hash"


def shuffle(connection: duckdb.DuckDBPyConnection, select: str, folder: Path) -> int:
    """Write the interactions that `select` yields to ``folder/part-00000.parquet`` in bucket order; return how many.

    `select` yields the columns of ``features.contract.INTERACTIONS``. `folder` must exist.
    """
    target = str(folder / "part-00000.parquet").replace("'", "''")
    # Up to 24 bytes, DuckDB sorts keys of fixed size; these are 23, with one for each null.
    order = f"{HASH}, occurred_at, (hash(interaction_id) >> 32)::UINTEGER"
    few = ("kind", "channel", "topic")
    columns = ", ".join(_few_valued(connection, select, name) for name in few)
    # As text again once sorted: of an enum's values that a row group lacks, DuckDB writes some or none, by chance.
    texts = ", ".join(f"{name}::VARCHAR AS {name}" for name in few)
    with _hashing(connection):
        written = connection.execute(
            f"COPY (SELECT * REPLACE ({texts}) FROM "  # noqa: S608 - SQL of ours
            f"(SELECT * REPLACE ({columns}), {_FUNCTION}(customer_id) AS {HASH} FROM ({select}) "
            f"ORDER BY {order})) TO '{target}' (FORMAT parquet, COMPRESSION lz4_raw, ROW_GROUP_SIZE {ROW_GROUP_ROWS})"
        ).fetchone()
    return int(written[0]) if written else 0


@contextmanager
def _hashing(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """With ``customer_hashes`` as a function of SQL."""

    def hashes(ids: pa.ChunkedArray) -> pa.Array:
        return pa.array(customer_hashes(ids))

    connection.create_function(_FUNCTION, hashes, ["VARCHAR"], "UBIGINT", type=ARROW)
    try:
        yield
    finally:
        connection.remove_function(_FUNCTION)


def _few_valued(connection: duckdb.DuckDBPyConnection, select: str, name: str) -> str:
    """A text column, as an enum if its values are few: the sort carries less, and the file holds text all the same."""
    distinct = f"SELECT DISTINCT {name} FROM ({select}) WHERE {name} IS NOT NULL LIMIT {_FEW + 1}"  # noqa: S608
    values = sorted(str(row[0]) for row in connection.execute(distinct).fetchall())
    if len(values) > _FEW:
        return f"{name} AS {name}"
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
        table = rows.select(list(dict.fromkeys((*columns, HASH, *_ORDER[:2])))).collect()
        ambiguous = _ambiguous(table)
        if ambiguous.any():
            ids = table if "interaction_id" in table.columns else rows.select("interaction_id").collect()
            table = _in_order(table, ids["interaction_id"], ambiguous)
        return table.select(columns)


def _ambiguous(table: pl.DataFrame) -> pl.Series:
    """Whether a row may belong before the one above it: both are of a moment, or of a hash that customers share."""
    same_hash = pl.col(HASH) == pl.col(HASH).shift(1)
    shared = table.filter(same_hash & (pl.col("customer_id") != pl.col("customer_id").shift(1)))[HASH]
    same_moment = pl.col("occurred_at") == pl.col("occurred_at").shift(1)
    ambiguous = same_hash & (same_moment | pl.col(HASH).is_in(shared.unique().implode()))
    return table.select(ambiguous.fill_null(False).alias("ambiguous"))["ambiguous"]


def _in_order(table: pl.DataFrame, ids: pl.Series, ambiguous: pl.Series) -> pl.DataFrame:
    """The table with every run of ambiguous rows, and the row above it, sorted by customer, time and id."""
    rows = (ambiguous | ambiguous.shift(-1, fill_value=False)).arg_true()
    runs = table.select(_ORDER[:2]).with_columns(ids, (~ambiguous).cum_sum().alias("run"))[rows]
    order = np.arange(len(table))
    order[rows] = runs.with_columns(rows.alias("row")).sort("run", *_ORDER)["row"]
    return table[order]


BUCKET_ROWS = 100_000  # of a bucket to hold in memory, about


def bounded_buckets(folder: Path, least: int) -> list[Bucket]:
    """A shuffled folder in at least so many buckets, of about `BUCKET_ROWS` rows each or fewer."""
    rows = pl.scan_parquet(folder / "*.parquet").select(pl.len()).collect().item()
    return buckets(folder, max(least, -(-rows // BUCKET_ROWS)))


def buckets(folder: Path, number: int) -> list[Bucket]:
    """A shuffled folder in `number` buckets of equal share of the hashes; some may hold nobody."""
    edges = [k * _HASHES // number for k in range(number + 1)]
    return [Bucket(k, edges[k], edges[k + 1] - 1, folder) for k in range(number)]
