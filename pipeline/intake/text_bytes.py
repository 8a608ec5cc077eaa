"""The bytes of a text file: how they are compressed and encoded, and blocks of whole lines of them.

Lines of an encoding that cannot be cut at the byte of a line end (UTF-16, EBCDIC) come in UTF-8.
"""

import codecs
import gzip
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

import pyarrow as pa

from fedelta.pipeline.intake.section import SourceError

_BLOCK = 1 << 22
_LONGEST_LINE = 1 << 26
_SIGNS = ",;\"'\r\n\t|"  # that a file is cut at
BOM = codecs.BOM_UTF8
_WIDE_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_COMPRESSION = {".gz": "gzip", ".zst": "zstd"}
_OTHER_KINDS = (  # how files begin that are no text, and what to do with them
    (rb"PK\x03\x04", "a ZIP archive or an Excel workbook", "Unpack it, or say `format: xlsx`."),
    (rb"\xd0\xcf\x11\xe0", "an old Excel workbook (.xls)", "Save it as .xlsx and say `format: xlsx`, or export CSV."),
    (rb"PAR1[\s\S]{0,4000}\0", "a Parquet file", "Say `format: parquet`."),
    (rb"\x1f\x8b", "compressed with gzip, without .gz at the end of its name", "Rename it."),
    (rb"\x28\xb5\x2f\xfd", "compressed with zstd, without .zst at the end of its name", "Rename it."),
    (rb"BZh\d1AY&SY", "compressed with bzip2", "Unpack it, or compress it with gzip or zstd."),
    (rb"\xfd7zXZ", "compressed with xz", "Unpack it, or compress it with gzip or zstd."),
    (rb"SQLite format 3\0", "a SQLite database", "Export its tables as CSV or Parquet."),
    (rb"%PDF-", "a PDF document", "Export the table itself."),
)


def compression(path: Path) -> str:
    """How `path` is compressed, by its name: gzip, zstd or none."""
    return _COMPRESSION.get(path.suffix.lower(), "none")


def encoding_of(path: Path, declared: str) -> str:
    """The encoding of the file: as declared, unless its byte order mark says that it is UTF-16 or UTF-32."""
    try:
        ascii_like = _ascii_like(declared)
    except (LookupError, UnicodeError):
        raise SourceError(
            f"{path}: {declared!r} is not an encoding. Use for example utf-8, utf-16, cp1252 or latin-1."
        ) from None
    begins = next(_chunks(path), b"")
    for magic, kind, advice in _OTHER_KINDS:
        if re.match(magic, begins):
            raise SourceError(f"{path} is not a text file but {kind}. {advice}")
    for mark, name in _WIDE_MARKS:
        if begins.startswith(mark):
            return name
    wide = declared.lower().replace("_", "-")
    if ascii_like or not wide.startswith(("utf-16", "utf-32", "utf16", "utf32")):
        return declared
    if b"\0" not in begins[:1024]:
        raise SourceError(
            f"{path} is not {declared}: it has neither a byte order mark nor a NUL byte. "
            "Correct `encoding` in source.yaml, or leave it out for UTF-8."
        )
    if wide.endswith(("le", "be")):
        return declared
    width = 4 if "32" in wide else 2
    return f"utf-{8 * width}-{'be' if begins[0] == 0 else 'le'}"  # the first sign is below 256 in any header


def _ascii_like(encoding: str) -> bool:
    return _SIGNS.encode(encoding) == _SIGNS.encode("ascii")


def _chunks(path: Path) -> Iterator[bytes]:
    """The file's bytes, uncompressed."""
    how = compression(path)
    try:
        with _opened(path, how) as stream:
            while chunk := stream.read(_BLOCK):
                yield chunk
    except (EOFError, zlib.error) as error:
        raise SourceError(f"{path} is not a complete gzip file ({error}). Fetch it again.") from None
    except OSError as error:  # an operating system's error has a number, a broken stream has none
        if error.errno is None:
            raise SourceError(f"{path} is not a complete {how} file ({error}). Fetch it again.") from None
        raise SourceError(f"{path} cannot be read: {error.strerror}. Grant access to it, or fetch it again.") from None


def _opened(path: Path, how: str) -> BinaryIO:
    if how == "gzip":
        return cast("BinaryIO", gzip.open(path, "rb"))
    if how == "zstd":
        return cast("BinaryIO", pa.input_stream(str(path), compression="zstd"))
    return path.open("rb")


def _utf8(path: Path, encoding: str) -> Iterator[bytes]:
    """The file's bytes; in UTF-8 if they cannot be cut at line ends otherwise, with what is invalid left invalid."""
    if _ascii_like(encoding):
        yield from _chunks(path)
        return
    decoder = codecs.getincrementaldecoder(encoding)("surrogatepass" if encoding.startswith("utf") else "strict")
    try:
        for chunk in _chunks(path):
            yield decoder.decode(chunk).encode("utf-8", "surrogatepass")
        decoder.decode(b"", final=True)
    except UnicodeError as error:
        raise SourceError(f"{path} is not complete {encoding} text: {error}. Fetch it again.") from None


def line_encoding(encoding: str) -> str:
    """How the lines of `blocks` are encoded."""
    return encoding if _ascii_like(encoding) else "utf-8"


def blocks(path: Path, encoding: str) -> Iterator[bytes]:
    """The file in blocks of whole lines; the last may lack its line end."""
    rest = b""
    for chunk in _utf8(path, encoding):
        cut = chunk.rfind(b"\n") + 1
        if cut:
            yield rest + chunk[:cut]
            rest = chunk[cut:]
        else:
            rest += chunk
        if len(rest) > _LONGEST_LINE:
            raise SourceError(f"{path} has a line of more than {_LONGEST_LINE >> 20} MB: is it a text file?")
    if rest:
        yield rest
