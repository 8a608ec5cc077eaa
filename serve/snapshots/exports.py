"""A list as a file, a piece at a time: NDJSON, CSV, Parquet, a spreadsheet. Memory holds some hundreds of rows."""

import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import IO, Any

import polars as pl
from polars.io.plugins import register_io_source

from fedelta.serve.snapshots.document import COLUMNS, CSV_COLUMNS, MEANING
from fedelta.serve.snapshots.read import SnapshotFile
from fedelta.serve.snapshots.spreadsheet import spreadsheet

PIECE_ROWS = 1_000
_PARQUET_ROWS = 20_000
_PARQUET_BYTES = 1 << 18

BOM = b"\xef\xbb\xbf"
# What a spreadsheet would run: a sign that begins a formula, in full width too, behind blanks and unseen marks as well.
_FORMULA = r"^(?:[\s\p{Z}\p{Cf}\p{Cc}]*[=+\-@\x{ff1d}\x{ff0b}\x{ff0d}\x{ff20}]|[\t\r\n])"

_STAMPS = {name: dtype for name, dtype in COLUMNS.items() if isinstance(dtype, pl.Datetime | pl.Date)}


def _as_json(dtype: pl.DataType) -> Any:
    """What a value of this type is when it is read from a document."""
    if isinstance(dtype, pl.List):
        return pl.List(_as_json(dtype.inner))  # type: ignore[arg-type]
    if isinstance(dtype, pl.Struct):
        return pl.Struct({field.name: _as_json(field.dtype) for field in dtype.fields})  # type: ignore[arg-type]
    return pl.String() if isinstance(dtype, pl.Datetime | pl.Date) else dtype


_JSON = pl.Schema({name: _as_json(COLUMNS.get(name, pl.String())) for name in MEANING})
_TYPED = pl.Schema({"rank": pl.UInt32(), **{name: COLUMNS.get(name, _JSON[name]) for name in MEANING}})
_WORDS = [name for name, dtype in _JSON.items() if dtype == pl.String() or isinstance(dtype, pl.List)]


def ndjson(file: SnapshotFile, ranks: pl.Series, rows: pl.Series) -> Iterator[bytes]:
    """A JSON object a line."""
    for some_ranks, some_rows in _pieces(ranks, rows):
        yield ranked(file, some_ranks, some_rows, b"\n") + b"\n"


def csv(
    file: SnapshotFile,
    ranks: pl.Series,
    rows: pl.Series,
    columns: Sequence[str] = CSV_COLUMNS,
    *,
    bom: bool = False,
) -> Iterator[bytes]:
    """A CSV file (RFC 4180, UTF-8, header first).

    Text a spreadsheet would run as a formula gets an apostrophe in front; numbers stay as they are.
    """
    yield (BOM if bom else b"") + (",".join(columns) + "\r\n").encode()
    for some_ranks, some_rows in _pieces(ranks, rows):
        text = (
            _in_words(_frame(file, some_ranks, some_rows))
            .select(columns)
            .with_columns(not_run(name) for name in _WORDS if name in columns)
        )
        yield text.write_csv(include_header=False, line_terminator="\r\n").encode()


def not_run(name: str) -> pl.Expr:
    """A column of text, with an apostrophe in front of what a spreadsheet would run."""
    text = pl.col(name)
    return pl.when(text.str.contains(_FORMULA)).then(pl.lit("'") + text).otherwise(text).alias(name)


def xlsx(
    file: SnapshotFile, ranks: pl.Series, rows: pl.Series, columns: Sequence[str] = CSV_COLUMNS
) -> Iterator[bytes]:
    """A spreadsheet with one sheet; text in it is never a formula."""
    pieces = (_in_words(_frame(file, *some)).select(columns) for some in _pieces(ranks, rows))
    yield from spreadsheet("at risk", columns, pieces)


def parquet(file: SnapshotFile, ranks: pl.Series, rows: pl.Series) -> Iterator[bytes]:
    """A Parquet file with the types of a scores file: written to a temporary file, which has no name, then read."""
    with tempfile.TemporaryFile() as made:
        _write_parquet(made, file, ranks, rows)
        made.seek(0)
        while piece := made.read(_PARQUET_BYTES):
            yield piece


def in_words(file: SnapshotFile) -> Iterator[pl.DataFrame]:
    """All customers of a snapshot who were not erased, some at a time.

    The columns are those of CSV but the rank, with the types of a scores file.
    """
    for start in range(0, file.customers, _PARQUET_ROWS):
        some = range(start, min(start + _PARQUET_ROWS, file.customers))
        rows = [row for row in some if row not in file.erased.rows]
        yield _in_words(_with_times(_frame(file, rows, rows))).drop("rank")


def ranked(
    file: SnapshotFile,
    ranks: Iterable[int],
    rows: Iterable[int],
    separator: bytes,
    live: Mapping[int, bytes] = MappingProxyType({}),
) -> bytes:
    """Documents, each with its rank in front, and what is between them: bytes that are copied once.

    Those of ``live``, by row, take the place of the file's.
    """
    pieces: list[bytes | memoryview] = []
    for rank, row in zip(ranks, rows, strict=True):
        document = file.view(row, skip=1) if (newer := live.get(row)) is None else memoryview(newer)[1:]
        pieces += (b'%b{"rank":%d,' % (separator if pieces else b"", rank), document)
    return b"".join(pieces)


def _write_parquet(made: IO[bytes], file: SnapshotFile, ranks: pl.Series, rows: pl.Series) -> None:
    def frames(
        columns: list[str] | None, predicate: pl.Expr | None, most: int | None, _at_once: int | None
    ) -> Iterator[pl.DataFrame]:
        del predicate, most  # nothing is asked of the source but all of it
        for some in _pieces(ranks, rows, _PARQUET_ROWS):
            frame = _typed(_frame(file, *some))
            yield frame if columns is None else frame.select(columns)

    register_io_source(frames, schema=_TYPED, is_pure=True).sink_parquet(made, row_group_size=_PARQUET_ROWS)


def _pieces(ranks: pl.Series, rows: pl.Series, length: int = PIECE_ROWS) -> Iterator[tuple[list[int], list[int]]]:
    for start in range(0, len(rows), length):
        yield ranks.slice(start, length).to_list(), rows.slice(start, length).to_list()


def _frame(file: SnapshotFile, ranks: list[int], rows: list[int]) -> pl.DataFrame:
    """``rank`` and the documents of some rows as columns; times are text, as they are there."""
    documents = pl.read_ndjson(b"\n".join([file.view(row) for row in rows]), schema=_JSON)
    return documents.select(pl.Series("rank", ranks, pl.UInt32), *MEANING)


def _typed(frame: pl.DataFrame) -> pl.DataFrame:
    return _with_times(frame).cast({"reasons": COLUMNS["reasons"]})


def _with_times(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(
        pl.col(name).str.to_datetime("%Y-%m-%dT%H:%M:%S%.fZ", time_unit="us").dt.replace_time_zone("UTC")
        if isinstance(dtype, pl.Datetime)
        else pl.col(name).str.to_date("%Y-%m-%d")
        for name, dtype in _STAMPS.items()
    )


def _in_words(frame: pl.DataFrame) -> pl.DataFrame:
    """The columns of CSV: reasons and categories in words, all others as they are."""
    reason, category = pl.element().struct.field, pl.element().struct.field
    contribution = reason("contribution")
    pull = (
        pl.when(contribution > 0)
        .then(pl.lit("raises: "))
        .when(contribution < 0)
        .then(pl.lit("lowers: "))
        .otherwise(pl.lit(""))
    )
    says = pl.when((reason("text") != "") & reason("code").ne_missing(pl.lit("rest"))).then(pull + reason("text"))
    share = (category("probability").fill_null(0.0) * 100).round(0).cast(pl.Int64).cast(pl.String)
    buys = pl.when(category("category") != "").then(
        pl.format("{} {}%: {}", category("category"), share, category("reason").fill_null(""))
    )
    return frame.with_columns(
        _joined(pl.col("reasons").list.eval(says)), _joined(pl.col("next_categories").list.eval(buys))
    )


def _joined(texts: pl.Expr) -> pl.Expr:
    words = texts.list.drop_nulls().list.join(" | ")
    return pl.when(words != "").then(words)
