"""Delta and Iceberg tables on disk: the rows of their present version, a batch at a time.

Their folders hold files of older versions and deleted rows too, so they are read by their own libraries (the extra
`lakes`), never as the Parquet files that lie in them.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from fedelta.pipeline.intake.section import SourceError

_VERSION = re.compile(r"v?(\d+)(-[0-9a-f-]+)?(\.gz)?\.metadata\.json")


def delta_batches(folder: Path) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    """Columns and rows of the Delta table in `folder`.

    Raises
    ------
    SourceError
        If the library is not installed, or the table cannot be read or needs what the library does not know.
    """
    try:
        from deltalake import DeltaTable  # noqa: PLC0415 - an extra
        from deltalake.exceptions import DeltaError, DeltaProtocolError  # noqa: PLC0415
    except ImportError:
        raise SourceError(_missing("Delta", "deltalake")) from None
    try:
        reader = pa.RecordBatchReader.from_stream(DeltaTable(folder).scan())
    except (DeltaError, DeltaProtocolError, OSError) as error:
        raise SourceError(_unreadable("Delta", folder, error)) from None
    return reader.schema, _told("Delta", folder, iter(reader))


def iceberg_batches(folder: Path) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    """Columns and rows of the Iceberg table in `folder`, at the place where it was written.

    Raises
    ------
    SourceError
        If the library is not installed, the newest version cannot be known, or the table cannot be read.
    """
    try:
        from pyiceberg.table import StaticTable  # noqa: PLC0415 - an extra
    except ImportError:
        raise SourceError(_missing("Iceberg", "pyiceberg")) from None
    try:
        reader = StaticTable.from_metadata(str(_newest_metadata(folder))).scan().to_arrow_batch_reader()
    except (ValueError, OSError) as error:
        raise SourceError(_unreadable("Iceberg", folder, error)) from None
    return reader.schema, _told("Iceberg", folder, iter(reader))


def _newest_metadata(folder: Path) -> Path:
    """The metadata file of the present version: the one the hint names, or the one with the highest number."""
    found = [(int(match[1]), path) for path in (folder / "metadata").iterdir() if (match := _VERSION.match(path.name))]
    if not found:
        raise SourceError(f"{folder}/metadata holds no *.metadata.json. Bring the whole table, or correct `path`.")
    hint = folder / "metadata" / "version-hint.text"
    newest = int(hint.read_text()) if hint.is_file() else max(number for number, _ in found)
    candidates = [path for number, path in found if number == newest]
    if len(candidates) != 1:
        raise SourceError(
            f"{folder}/metadata holds {len(candidates)} files of version {newest}, so the present one cannot be known. "
            "Say it in version-hint.text, or export the table as Parquet."
        )
    return candidates[0]


def _told(kind: str, folder: Path, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The batches; what cannot be read on the way is one line."""
    try:
        yield from batches
    except (ValueError, OSError) as error:
        raise SourceError(_unreadable(kind, folder, error)) from None


def _missing(kind: str, package: str) -> str:
    return (
        f"{kind} tables are read by the package {package}, which is not installed: run "
        "`uv pip install 'fedelta[lakes]'`, or export the table as Parquet."
    )


def _unreadable(kind: str, folder: Path, error: Exception) -> str:
    words = " ".join(str(error).split())[:300]
    moved = (
        " An Iceberg table names its files by their full paths: read it where it was written, or export it as Parquet."
    )
    return f"The {kind} table {folder} cannot be read: {words}.{moved if kind == 'Iceberg' else ' Fetch it again.'}"
