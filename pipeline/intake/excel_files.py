"""What the cells of an Excel sheet hold, as text.

A text stays as it is (00123), a number has no more digits than Excel keeps (412, not 412.0), a date without a time of
day is a date, and an error such as #N/A stays visible. Rows are streamed: memory does not grow with the sheet.
"""

import datetime as dt
import re
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import ParseError

import openpyxl
from openpyxl.cell.read_only import EmptyCell, ReadOnlyCell
from openpyxl.utils.exceptions import InvalidFileException

from fedelta.pipeline.intake.headers import column_names
from fedelta.pipeline.intake.section import SourceError
from fedelta.pipeline.intake.sources import ReadOptions

Row = tuple[str | None, ...]
_TIME_OF_DAY = re.compile(r"[hs]", re.IGNORECASE)  # in a number format, once its literal texts are taken out
_LITERAL = re.compile(r'"[^"]*"|\\.|\[(?!h|s)[^\]]*\]', re.IGNORECASE)
_UNCALCULATED = re.compile(rb"(</f>|<f[^>]*/>)\s*(<v\s*/>|<v></v>)?\s*</c>")


@contextmanager
def sheet_rows(path: Path, options: ReadOptions) -> Iterator[tuple[tuple[str, ...], Iterator[Row]]]:
    """The names of the sheet's columns, and its rows below the header, each as wide as the names.

    Rows without a value are left out, as are columns at the right that have neither a name nor a value.

    Raises
    ------
    SourceError
        If the file is no workbook that can be read, the sheet is not there or must be chosen, its header is not usable,
        or a formula has no stored value.
    """
    try:
        with warnings.catch_warnings(), path.open("rb") as file, zipfile.ZipFile(file) as archive:
            warnings.simplefilter("ignore", UserWarning)  # of styles and extensions, which are not read
            book = openpyxl.load_workbook(file, read_only=True, data_only=True)
            try:
                sheet = _chosen(path, book, options.sheet)
                _must_be_calculated(path, archive, sheet)
                sheet.reset_dimensions()  # which some programs write wrong
                rows = (tuple(_text(cell, options.nullstr) for cell in row) for row in sheet.iter_rows())
                yield _table(path, rows, options)
            finally:
                book.close()
    except (zipfile.BadZipFile, InvalidFileException, KeyError, ParseError, EOFError) as error:
        raise SourceError(
            f"{path} is not an Excel workbook (.xlsx) that can be read: {' '.join(str(error).split())} "
            "Save it again as .xlsx without a password, or export CSV."
        ) from None


def _chosen(path: Path, book: Any, name: str) -> Any:
    """The sheet of that name; without one the only visible sheet that holds anything."""
    sheets = {sheet.title: sheet for sheet in book.worksheets}
    if name:
        if name not in sheets:
            raise SourceError(f"{path} has no sheet {name!r}. Its sheets: {', '.join(sheets)}. Correct `sheet`.")
        return sheets[name]
    filled = [sheet for sheet in sheets.values() if sheet.sheet_state == "visible" and _holds_anything(sheet)]
    if len(filled) == 1:
        return filled[0]
    if not filled:
        raise SourceError(f"{path} has no visible sheet with a value. Bring the filled one, or name one with `sheet`.")
    raise SourceError(
        f"{path} has several sheets: {', '.join(sheet.title for sheet in filled)}. "
        f"Say which one: `options: {{sheet: {filled[0].title!r}}}`; give each its own table."
    )


def _holds_anything(sheet: Any) -> bool:
    sheet.reset_dimensions()
    return any(cell.value is not None for row in sheet.iter_rows() for cell in row)


def _must_be_calculated(path: Path, archive: zipfile.ZipFile, sheet: Any) -> None:
    """A formula that no program has calculated has no value: read as empty, it would be lost without a word."""
    rest = b""
    with archive.open(sheet._worksheet_path) as stream:
        while chunk := stream.read(1 << 22):
            if _UNCALCULATED.search(rest + chunk):
                raise SourceError(
                    f"{path}: sheet {sheet.title} has formulas without a stored value. "
                    "Open it in Excel and save it, or export CSV."
                )
            rest = chunk[-4096:]


def _table(path: Path, rows: Iterator[Row], options: ReadOptions) -> tuple[tuple[str, ...], Iterator[Row]]:
    for number in range(options.skip):
        if next(rows, None) is None:
            raise SourceError(f"{path} has only {number} rows, but {options.skip} are to be skipped. Correct `skip`.")
    first = next(rows, None)
    if first is None:
        raise SourceError(f"{path} has no row after the {options.skip} skipped ones.")
    cells = list(first)
    while cells and cells[-1] is None:
        cells.pop()
    names = column_names(path, [cell or "" for cell in cells], options)
    return names, _data(path, rows if options.header else _again(first, rows), len(names), options)


def _again(first: Row, rows: Iterator[Row]) -> Iterator[Row]:
    yield first
    yield from rows


def _data(path: Path, rows: Iterator[Row], width: int, options: ReadOptions) -> Iterator[Row]:
    for number, row in enumerate(rows, options.skip + options.header + 1):
        if any(cell is not None for cell in row[width:]):
            raise SourceError(
                f"{path}: row {number} has a value right of the last named column. Name every column in the header, or "
                f"say where the header is with `skip`: its first line here has {width} names."
            )
        if any(cell is not None for cell in row):
            yield row[:width] + (None,) * (width - len(row))


def _text(cell: ReadOnlyCell | EmptyCell, nullstr: str) -> str | None:
    value = cell.value
    if value is None:
        return None
    text = _of_value(value, str(getattr(cell, "number_format", "")))
    return None if text == nullstr else text


def _of_value(value: object, number_format: str) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return format(value, ".15g")  # as many digits as Excel keeps
    if isinstance(value, dt.datetime):
        only_date = value.time() == dt.time() and not _TIME_OF_DAY.search(_LITERAL.sub("", number_format))
        return value.date().isoformat() if only_date else value.isoformat(sep=" ")
    if isinstance(value, dt.timedelta):
        return format(value / dt.timedelta(hours=1), ".15g")  # a duration: hours
    return str(value)
