"""The names of a table's columns: of its header, or of the source's `names`, or numbered."""

import json
import re
from collections.abc import Sequence
from pathlib import Path

from fedelta.pipeline.intake.section import SourceError
from fedelta.pipeline.intake.sources import ReadOptions

_MARKUP = (
    (r"\s*<(!doctype|html)", "an HTML page: perhaps that of a login or an error", "Export the table itself."),
    (r"\s*<\?xml", "an XML document", "Export CSV, JSON lines or Parquet."),
    (r"\s*(\{\s*$|\{\s*\"|\[\s*$|\[\s*\{)", "JSON", "Say `format: json`, or `format: jsonl` for an object a line."),
)
_DELIMITERS = (";", "\t", "|", ",", "^", "~")
_PLAIN_HEADER = re.compile(r"[\w .:/#%()-]*", re.IGNORECASE)
_NUMBER = re.compile(r"[-+]?\d+([.,]\d+)?")
_TIME = re.compile(r"\d{4}-\d\d-\d\d|\d\d?[./]\d\d?[./]\d{4}")
_PLAIN = re.compile(r"(?!(?:y|n|yes|no|on|off|true|false|null)$)[^\W\d]\w*", re.IGNORECASE)  # text in YAML as it is


def must_be_header(path: Path, line: str) -> None:
    """Refuse a first line that is none of a CSV file.

    Raises
    ------
    SourceError
        If it is blank, has bytes that text has not, or is that of another kind of file.
    """
    if not line.strip():
        raise SourceError(f"{path}: the first line is blank. Say with `skip` how many lines stand above the header.")
    if "\0" in line:
        raise SourceError(
            f"{path} has NUL bytes in its first line. If it is UTF-16 without a byte order mark, say "
            "`options: {encoding: utf-16-le}`; else it is not text: export it again."
        )
    if re.match(r'"?sep=.', line, re.IGNORECASE):
        raise SourceError(
            f"{path}: the first line {shown(line)} tells a spreadsheet what separates fields and is no header. Say "
            f"`options: {{skip: 1, delim: {json.dumps(line.lower().partition('sep=')[2][0])}}}`."
        )
    if "\r" in line:
        raise SourceError(f"{path} is not text with line ends of \\n or \\r\\n. Convert it to UTF-8 text.")
    for begins, kind, advice in _MARKUP:
        if re.match(begins, line, re.IGNORECASE):
            raise SourceError(f"{path} is not a CSV file but {kind}. {advice}")


def column_names(path: Path, cells: Sequence[str], options: ReadOptions) -> tuple[str, ...]:
    """The names of a table's columns, given the cells of its first row.

    Raises
    ------
    SourceError
        If `names` are more or fewer than the cells, or the header repeats a name or leaves one out.
    """
    if options.header and options.names and len(options.names) != len(cells):
        raise SourceError(
            f"{path} has {len(cells)} columns ({shown(options.delim.join(cells))}), but `names` in source.yaml has "
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
        row = looks_like_a_row([name for name in names if name])
        advice += (
            " It looks like a row: if the file has no header, say `header: false` with these names."
            if row
            else " If this line is not the header, say how many lines stand above it with `skip`."
        )
    raise SourceError(f"{path}: the header {shown(options.delim.join(cells))} {wrong}.{advice}")


def must_not_be_one_column(path: Path, header: str, following: Sequence[int], options: ReadOptions) -> None:
    """Refuse a header of one column where it has other separators than `delim` says, or the lines after it have more.

    `following` are the numbers of fields of these lines.

    Raises
    ------
    SourceError
        If it is so.
    """
    for delim in _DELIMITERS:
        names = [name.strip(' "') for name in header.split(delim)]
        if delim != options.delim and len(names) > 1 and all(_PLAIN_HEADER.fullmatch(name) for name in names):
            raise SourceError(
                f"{path}: no field of the header {shown(header)} ends with {options.delim!r}, the `delim` of "
                f"source.yaml; fields seem to end with {delim!r}. Say `options: {{delim: {json.dumps(delim)}}}`."
            )
    if options.delim in header:
        raise SourceError(
            f"{path}: the header {shown(header)} is quoted as a whole, and so is one column. Export the file without "
            "quotes around its lines."
        )
    if following and min(following) > 1:
        raise SourceError(
            f"{path}: the first line {shown(header)} has one column and those after it have more. Say with "
            "`options: {skip: LINES}` how many lines stand above the header."
        )


def looks_like_a_row(names: Sequence[str]) -> bool:
    """Whether the names of columns are rather values: a time, or numbers beside something else."""
    numbers = sum(bool(_NUMBER.fullmatch(name)) for name in names)
    return any(_TIME.match(name) for name in names) or 0 < numbers < len(names)


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
    return [name if _PLAIN.fullmatch(name) else json.dumps(name, ensure_ascii=False) for name in plain]


def shown(line: str) -> str:
    """The line, or its beginning, for a message."""
    return repr(line if len(line) <= 200 else line[:200] + "…")
