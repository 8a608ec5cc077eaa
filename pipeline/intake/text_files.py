"""What the physical lines of a text file are: how many records, whether a CSV reader can trust their quotes.

DuckDB reads CSV in parallel chunks, and a quote that never closes makes it drop what follows without a word, up to the
next chunk. So every text file is read once here, as bytes, before DuckDB reads it: that checks the compression to its
last byte, counts the records independently of DuckDB, and finds files whose line ends, quotes or encoding it would
stumble over. Those, and only those, are rewritten into a tidy copy in UTF-8 in which each bad line is one malformed
line and costs no other.
"""

import csv
import io
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from fedelta.pipeline.intake.headers import column_names, must_be_header, must_not_be_one_column, shown
from fedelta.pipeline.intake.section import SourceError
from fedelta.pipeline.intake.sources import ReadOptions
from fedelta.pipeline.intake.text_bytes import BOM, blocks, encoding_of, line_encoding

_LOOKED_AT = 5  # lines after the first, to see whether it is a header
LONGEST_FIELD_LINES = 100  # a quoted field spanning more lines than this is a quote that was never closed


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
    options = replace(options, encoding=encoding_of(path, options.encoding))
    first = _first_lines(path, options)
    names = columns or _header(path, first, options)
    found = TextFile(path, options.encoding, names, options.skip + options.header, 0, spans_lines=False)
    records = _count_if_trustworthy(path, options, found)
    return replace(found, records=records) if records is not None else _tidied(path, options, found, tidy)


def _first_lines(path: Path, options: ReadOptions) -> list[bytes]:
    if not (block := next(blocks(path, options.encoding), b"")):
        raise SourceError(f"{path} is empty, once it is unpacked. Fetch it again.")
    while block.startswith(BOM):
        block = block.removeprefix(BOM)
    return block.split(b"\n", options.skip + 1 + _LOOKED_AT)


def _header(path: Path, first: list[bytes], options: ReadOptions) -> tuple[str, ...]:
    """Names of the columns: of the options, of the header line, or column0, column1, … ."""
    if options.skip >= len(first):
        raise SourceError(f"{path} has no line after the {options.skip} skipped ones.")
    try:
        line = first[options.skip].decode(line_encoding(options.encoding)).rstrip("\r")
    except UnicodeDecodeError:
        raise SourceError(
            f"{path}: the header is not {options.encoding}. "
            "Say which it is in source.yaml, for example `options: {encoding: cp1252}`."
        ) from None
    must_be_header(path, line)
    try:
        cells = next(_parser(options, strict=True)([line]), [])
    except csv.Error:
        raise SourceError(
            f"{path}: a quote in the first line {shown(line)} does not close there. If the header has several lines, "
            "name the columns with `options: {names: [...], header: false, skip: LINES}`; else correct `quote`."
        ) from None
    names = column_names(path, cells, options)
    if options.header and not options.names and len(names) == 1:
        after = (part.decode("latin-1").strip() for part in first[options.skip + 1 : options.skip + 1 + _LOOKED_AT])
        fields = [len(next(_parser(options)([text]), [])) for text in after if text]
        must_not_be_one_column(path, cells[0], fields, options)
    return names


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
    for number, block in enumerate(blocks(path, options.encoding)):
        marks = block.count(BOM) - (number == 0 and block.startswith(BOM))
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
    """A copy in UTF-8 with plain line ends, in which a line that leaves a quote open is blank, and listed as bad."""
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
    for block in blocks(path, encoding):
        for line in block.removesuffix(b"\n").split(b"\n"):
            number += 1
            if number <= skip:
                continue
            try:
                text = line.removesuffix(b"\r").decode(line_encoding(encoding))
            except UnicodeDecodeError:
                yield BadLine(number, line.decode(line_encoding(encoding), "replace"), f"not {encoding}")
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
