"""What the physical lines of a text file are: how many records, whether a CSV reader can trust their quotes.

DuckDB reads CSV in parallel chunks, and a quote that never closes makes it drop what follows without a word, up to the
next chunk. So every text file is read once here, as bytes, before DuckDB reads it: that checks the compression to its
last byte, counts the records independently of DuckDB, and finds files whose line ends, quotes or encoding it would
stumble over. Those, and only those, are rewritten into a tidy copy in UTF-8 in which each bad line is one malformed
line and costs no other.
"""

import codecs
import csv
import gzip
import io
import json
import re
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, Literal, cast

import pyarrow as pa

from pipeline.sources import ReadOptions, SourceError

LONGEST_FIELD_LINES = 100  # a quoted field spanning more lines than this is a quote that was never closed
_BLOCK = 1 << 22
_LONGEST_LINE = 1 << 26
_SIGNS = ",;\"'\r\n\t|"  # that a file is cut at
_BOM = codecs.BOM_UTF8
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
_MARKUP = (
    (r"\s*<(!doctype|html)", "an HTML page: perhaps that of a login or an error", "Export the table itself."),
    (r"\s*<\?xml", "an XML document", "Export CSV, JSON lines or Parquet."),
    (r"\s*(\{\s*$|\{\s*\"|\[\s*$|\[\s*\{)", "JSON", "Say `format: json`, or `format: jsonl` for an object a line."),
)


@dataclass(frozen=True)
class BadLine:
    """A line no reader can make a row of."""

    line: int  # from 1, in the raw file
    text: str
    reason: str


@dataclass(frozen=True)
class TextFile:
    """A text file a CSV reader can trust."""

    path: Path  # the raw file, or its tidy copy
    encoding: str
    columns: tuple[str, ...]
    skip: int  # lines above the first record
    records: int  # what a reader must find: rows and malformed rows together
    spans_lines: bool  # a quoted field may hold line ends
    bad_lines: tuple[BadLine, ...] = ()  # of the raw file; blank in the tidy copy


def survey(path: Path, options: ReadOptions, columns: tuple[str, ...], tidy: Path) -> TextFile:
    """Read `path` once and make sure that it can be trusted; write the copy `tidy` only where it cannot.

    `columns` are those of the file; if empty, they are named by the options or the header, or numbered.

    Raises
    ------
    SourceError
        If the file is empty, truncated, corrupt, not text, or its header is not usable.
    """
    if path.stat().st_size == 0:
        raise SourceError(f"{path} is empty (0 bytes). Bring the whole file, or remove it.")
    options = replace(options, encoding=_encoding(path, options.encoding))
    first = _first_lines(path, options)
    names = columns or _header(path, first, options)
    found = TextFile(path, options.encoding, names, options.skip + options.header, 0, spans_lines=False)
    records = _count_if_trustworthy(path, options, found)
    return replace(found, records=records) if records is not None else _tidied(path, options, found, tidy)


def compression(path: Path) -> str:
    """How `path` is compressed, by its name: gzip, zstd or none."""
    return _COMPRESSION.get(path.suffix.lower(), "none")


def _encoding(path: Path, declared: str) -> str:
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


def _line_encoding(encoding: str) -> str:
    """How the lines of `_blocks` are encoded."""
    return encoding if _ascii_like(encoding) else "utf-8"


def _blocks(path: Path, encoding: str) -> Iterator[bytes]:
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


def _first_lines(path: Path, options: ReadOptions) -> list[bytes]:
    block = next(_blocks(path, options.encoding), b"")
    while block.startswith(_BOM):
        block = block.removeprefix(_BOM)
    return block.split(b"\n", options.skip + 1)


def _header(path: Path, first: list[bytes], options: ReadOptions) -> tuple[str, ...]:
    """Names of the columns: of the options, of the header line, or column0, column1, … ."""
    if options.skip >= len(first):
        raise SourceError(f"{path} has no line after the {options.skip} skipped ones.")
    try:
        line = first[options.skip].decode(_line_encoding(options.encoding)).rstrip("\r")
    except UnicodeDecodeError:
        raise SourceError(
            f"{path}: the header is not {options.encoding}. "
            "Say which it is in source.yaml, for example `options: {encoding: cp1252}`."
        ) from None
    if not line.strip():
        raise SourceError(
            f"{path} is empty, once it is unpacked. Fetch it again."
            if first == [b""]
            else f"{path}: the first line is blank. Say with `skip` how many lines stand above the header."
        )
    if "\0" in line:
        raise SourceError(
            f"{path} has NUL bytes in its first line. If it is UTF-16 without a byte order mark, say "
            "`options: {encoding: utf-16-le}`; else it is not text: export it again."
        )
    if "\r" in line:
        raise SourceError(f"{path} is not text with line ends of \\n or \\r\\n. Convert it to UTF-8 text.")
    for begins, kind, advice in _MARKUP:
        if re.match(begins, line, re.IGNORECASE):
            raise SourceError(f"{path} is not a CSV file but {kind}. {advice}")
    try:
        cells = next(_parser(options, strict=True)([line]), [])
    except csv.Error:
        raise SourceError(
            f"{path}: a quote in the first line {_shown(line)} does not close there. If the header has several lines, "
            "name the columns with `options: {names: [...], header: false, skip: LINES}`; else correct `quote`."
        ) from None
    return column_names(path, cells, options)


def column_names(path: Path, cells: Sequence[str], options: ReadOptions) -> tuple[str, ...]:
    """The names of a table's columns, given the cells of its first row.

    Raises
    ------
    SourceError
        If `names` are more or fewer than the cells, or the header repeats a name or leaves one out.
    """
    if options.header and options.names and len(options.names) != len(cells):
        raise SourceError(
            f"{path} has {len(cells)} columns ({_shown(options.delim.join(cells))}), but `names` in source.yaml has "
            f"{len(options.names)}. Name each column once, and check `delim`."
        )
    header = list(cells) if options.header else [f"column{k}" for k in range(len(cells))]
    names = [name.strip() for name in options.names or header]
    if repeated := _repeated(names):
        wrong = f"repeats {', '.join(repeated)}"
    elif "" in names:
        wrong = "has a column without a name"
    else:
        return tuple(names)
    advice = ""
    if len(names) > 1 and not options.names:
        advice = f" Name the columns yourself: `options: {{names: [{', '.join(_told_apart(names))}]}}`."
        advice += " If this line is not the header, say how many lines stand above it with `skip`."
    raise SourceError(f"{path}: the header {_shown(options.delim.join(cells))} {wrong}.{advice}")


def _repeated(names: Sequence[str]) -> list[str]:
    """Names that SQL cannot tell apart: it does not distinguish Id from ID."""
    small = [name.lower() for name in names]
    return sorted({name for name in names if name and small.count(name.lower()) > 1})


def _told_apart(names: Sequence[str]) -> list[str]:
    """Each name, and where it comes again or is empty its place behind it, as YAML."""
    small = [name.lower() for name in names]
    plain = [
        f"{name or 'column'}_{k + 1}" if not name or name.lower() in small[:k] else name for k, name in enumerate(names)
    ]
    return [name if name.replace("_", "").isalnum() else json.dumps(name, ensure_ascii=False) for name in plain]


def _shown(line: str) -> str:
    return repr(line if len(line) <= 200 else line[:200] + "…")


def _parser(options: ReadOptions, *, strict: bool = False) -> Callable[[list[str] | io.StringIO], Iterator[list[str]]]:
    quoted = bool(options.quote)
    doubled = options.escape in {options.quote, ""}
    return lambda lines: csv.reader(
        lines,
        delimiter=options.delim,
        quotechar=options.quote or None,
        quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE,
        doublequote=doubled,
        escapechar=None if doubled or not quoted else options.escape,
        strict=strict,
    )


def _count_if_trustworthy(path: Path, options: ReadOptions, found: TextFile) -> int | None:
    """Records of the file if its line ends are of one kind and every quoted field ends on its line; None if not."""
    if options.encoding.lower().replace("_", "-") not in {"utf-8", "utf8"}:
        return None
    quote, parse = options.quote.encode(), _parser(options, strict=True)
    blank_is_record = len(found.columns) == 1
    lines = ends = returns = blanks = 0
    for number, block in enumerate(_blocks(path, options.encoding)):
        marks = block.count(_BOM) - (number == 0 and block.startswith(_BOM))
        if marks or b"\0" in block:
            return None  # a mark where files were put together would become part of a value
        ends += block.count(b"\n")
        returns += block.count(b"\r\n")
        lines += block.count(b"\n") + (not block.endswith(b"\n"))
        if returns not in (0, ends) or block.count(b"\r") != block.count(b"\r\n") + block.endswith(b"\r"):
            return None
        if b"\n\n" in block or b"\n\r\n" in block or block[:1] == b"\n" or block[:2] == b"\r\n":
            blanks += sum(line in {b"", b"\r"} for line in block.removesuffix(b"\n").split(b"\n"))
        if quote and quote in block and not _ends_its_quotes(block, parse):
            return None
    if options.skip and blanks:
        return None  # a blank line among the skipped ones would be counted twice
    return lines - min(lines, found.skip) - (0 if blank_is_record else blanks)


def _ends_its_quotes(block: bytes, parse: Callable[[list[str] | io.StringIO], Iterator[list[str]]]) -> bool:
    """Whether each line is a record of its own: as many records as lines, and none in error."""
    text = io.StringIO(block.decode("latin-1"), newline="\n")
    try:
        return sum(1 for _ in parse(text)) == block.count(b"\n") + (not block.endswith(b"\n"))
    except csv.Error:
        return False


def _tidied(path: Path, options: ReadOptions, found: TextFile, tidy: Path) -> TextFile:
    """A copy in UTF-8 with plain line ends, in which a line that leaves a quote open is blank and told apart."""
    bad: list[BadLine] = []
    count = spanning = 0
    single = len(found.columns) == 1
    with tidy.open("wb") as out:
        out.write(b"-\n" * found.skip)
        for record in _records(path, options, found):
            if isinstance(record, BadLine):
                bad.append(record)
                out.write(b"" if single else b"\n")  # blank, so that the lines below keep their numbers
                continue
            count += single or bool(record)
            spanning += "\n" in record
            out.write(record.encode("utf-8") + b"\n")
    return replace(found, path=tidy, encoding="utf-8", records=count, spans_lines=bool(spanning), bad_lines=tuple(bad))


def _records(path: Path, options: ReadOptions, found: TextFile) -> Iterator[str | BadLine]:
    """Records after the skipped lines: mostly lines, sometimes several that one quoted field joins."""
    parse, width = _parser(options, strict=True), len(found.columns)
    lines = _lines(path, options.encoding, found.skip)
    ahead: deque[tuple[int, str] | BadLine] = deque()
    while (item := ahead.popleft() if ahead else next(lines, None)) is not None:
        if isinstance(item, BadLine):
            yield item
            continue
        number, text = item
        if "\0" in text:
            yield BadLine(number, text.replace("\0", "␀"), "a NUL byte")
            continue
        verdict = _judged(text, parse) if "\r" in text or (options.quote and options.quote in text) else 1
        if verdict == "open":
            joined = _joined(text, ahead, lines, lambda t: _judged(t, parse), width)
            yield joined or BadLine(number, text, "a quote opens and never closes")
        elif verdict == "broken":
            yield BadLine(number, text, "a quote or a carriage return stands inside a field without quotes around it")
        else:
            yield text


def _lines(path: Path, encoding: str, skip: int) -> Iterator[tuple[int, str] | BadLine]:
    number = 0
    for block in _blocks(path, encoding):
        for line in block.removesuffix(b"\n").split(b"\n"):
            number += 1
            if number <= skip:
                continue
            try:
                text = line.removesuffix(b"\r").decode(_line_encoding(encoding))
            except UnicodeDecodeError:
                yield BadLine(number, line.decode(_line_encoding(encoding), "replace"), f"not {encoding}")
            else:
                yield number, text.lstrip("\ufeff")


def _joined(
    text: str,
    ahead: deque[tuple[int, str] | BadLine],
    lines: Iterator[tuple[int, str] | BadLine],
    judged: Callable[[str], int | Literal["open", "broken"]],
    width: int,
) -> str | None:
    """`text` and the lines after it up to the one that closes its quote, taken from `ahead`; None if none does."""
    for k in range(LONGEST_FIELD_LINES - 1):
        if k == len(ahead):
            following = next(lines, None)
            if following is None:
                return None
            ahead.append(following)
        item = ahead[k]
        if isinstance(item, BadLine):
            return None
        text += "\n" + item[1]
        verdict = judged(text)
        if verdict == width:
            for _ in range(k + 1):
                ahead.popleft()
            return text
        if verdict != "open":
            return None
    return None


def _judged(
    text: str, parse: Callable[[list[str] | io.StringIO], Iterator[list[str]]]
) -> int | Literal["open", "broken"]:
    """Number of fields of one record, or what is wrong with it."""
    try:
        records = list(parse(io.StringIO(text, newline="\n")))
    except csv.Error as error:
        if "field limit" in str(error):
            return 0  # long, not wrong: the reader decides
        return "open" if "unexpected end" in str(error) else "broken"
    return len(records[0]) if len(records) == 1 else "broken"
