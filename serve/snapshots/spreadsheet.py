"""An XLSX file (ECMA-376) of one sheet, made and sent a piece at a time: no file, no table in memory.

Libraries that write spreadsheets keep a sheet, or a temporary file of it, until it is whole.
"""

import zipfile
from collections.abc import Iterable, Iterator, Sequence
from io import RawIOBase
from typing import Any
from xml.sax.saxutils import escape, quoteattr

import polars as pl

MOST_ROWS = 1_048_575  # below the header

_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_XML = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_KIND = "application/vnd.openxmlformats-officedocument.spreadsheetml"
_PARTS = {
    "[Content_Types].xml": (
        f'<Types xmlns="{_PACKAGE}/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{_KIND}.sheet.main+xml"/>'
        f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{_KIND}.worksheet+xml"/></Types>'
    ),
    "_rels/.rels": (
        f'<Relationships xmlns="{_PACKAGE}/relationships">'
        f'<Relationship Id="rId1" Type="{_OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>'
    ),
    "xl/_rels/workbook.xml.rels": (
        f'<Relationships xmlns="{_PACKAGE}/relationships">'
        f'<Relationship Id="rId1" Type="{_OFFICE}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>'
    ),
}
_NOT_IN_XML = r"[\x00-\x08\x0b\x0c\x0e-\x1f\x{fffe}\x{ffff}]"
_LONGEST = 32_767  # characters of a cell


class _Sent(RawIOBase):
    """What was written since it was last taken. It cannot be sought in: an archive is written from front to back."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, piece: Any) -> int:
        self._pieces.append(bytes(piece))
        return len(self._pieces[-1])

    def taken(self) -> bytes:
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces)


def spreadsheet(name: str, header: Sequence[str], pieces: Iterable[pl.DataFrame]) -> Iterator[bytes]:
    """The bytes of the file: the header in the first row, then the rows of ``pieces``.

    Text, numbers and booleans are cells of their kind; null is an empty cell; text is cut to what a cell can hold.
    """
    sent = _Sent()
    with zipfile.ZipFile(sent, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for part, text in _PARTS.items():
            archive.writestr(part, _XML + text)
        sheets = f'<sheets><sheet name={quoteattr(name)} sheetId="1" r:id="rId1"/></sheets>'
        archive.writestr("xl/workbook.xml", f'{_XML}<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}">{sheets}</workbook>')
        with archive.open("xl/worksheets/sheet1.xml", "w", force_zip64=True) as sheet:
            sheet.write(f'{_XML}<worksheet xmlns="{_MAIN}"><sheetData>'.encode())
            titles = "".join(f'<c t="inlineStr"><is><t>{escape(title)}</t></is></c>' for title in header)
            sheet.write(f"<row>{titles}</row>".encode())
            for piece in pieces:
                sheet.write(_rows(piece))
                yield sent.taken()
            sheet.write(b"</sheetData></worksheet>")
    yield sent.taken()


def _rows(piece: pl.DataFrame) -> bytes:
    cells = [_cell(name, dtype) for name, dtype in piece.schema.items()]
    text = piece.select(pl.concat_str([pl.lit("<row>"), *cells, pl.lit("</row>")]).str.join("")).item()
    return str(text or "").encode()


def _cell(name: str, dtype: pl.DataType) -> pl.Expr:
    value = pl.col(name)
    if dtype == pl.String():
        clean = value.str.slice(0, _LONGEST).str.replace_all(_NOT_IN_XML, "")
        for character, written in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("\r", "&#13;")):
            clean = clean.str.replace_all(character, written, literal=True)
        cell = pl.format('<c t="inlineStr"><is><t xml:space="preserve">{}</t></is></c>', clean)
    elif dtype == pl.Boolean():
        cell = pl.format('<c t="b"><v>{}</v></c>', value.cast(pl.UInt8))
    else:
        cell = pl.format("<c><v>{}</v></c>", value)
    return pl.when(value.is_null()).then(pl.lit("<c/>")).otherwise(cell)
