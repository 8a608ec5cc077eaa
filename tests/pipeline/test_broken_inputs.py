"""Deliberately broken inputs: each costs its own rows and says why, or stops the run with one line that helps."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_source import GOOD, HEADER, SQL, YAML, Tiny, csv, zipped

from fedelta.features.errors import FedeltaError

MANY = csv(GOOD, *(f"{n},ann,2024-01-05,visit,web,,{n % 7 / 7}" for n in range(2, 3000)))
TWO_GOOD = (GOOD, "2,bob,2024-01-06,visit,app,,")


def row(**cells: str) -> str:
    """A good row of eve's, but for these cells."""
    usual = dict(zip(HEADER.split(","), ("7", "eve", "2024-02-01", "purchase", "web", "5", "0.5"), strict=True))
    return ",".join((usual | cells).values())


# What is wrong, the lines beside two good ones, the rule that must name it, how many it costs.
QUARANTINED = [
    ("too few fields", ["7,eve,2024-02-01"], "malformed_line", 1),
    ("too many fields", [row() + ",and,more"], "malformed_line", 1),
    ("a quote inside a field", ['7,eve,2024-02-01,purchase,"we"b,5,0.5'], "malformed_line", 1),
    ("a quote that never closes", ['7,"eve,2024-02-01,purchase,web,5,0.5'], "malformed_line", 1),
    ("a quote opened in the last field", ['7,eve,2024-02-01,purchase,web,5,"0.5'], "malformed_line", 1),
    ("a carriage return in a field", ["7,e\rve,2024-02-01,purchase,web,5,0.5"], "malformed_line", 1),
    ("no id", [row(id="")], "missing_interaction_id", 1),
    ("an id of spaces", [row(id="  ")], "missing_interaction_id", 1),
    ("no customer", [row(who="")], "missing_customer_id", 1),
    ("no time", [row(at="")], "missing_occurred_at", 1),
    ("no kind", [row(what="")], "missing_kind", 1),
    ("text for a time", [row(at="yesterday")], "unreadable", 1),
    ("an impossible date", [row(at="2024-02-30")], "unreadable", 1),
    ("a date the American way", [row(at="02/13/2024")], "unreadable", 1),
    ("text for an amount", [row(money="five")], "unreadable", 1),
    ("a thousands separator", [row(money='"1,234.50"')], "unreadable", 1),
    ("text for a rating", [row(stars="good")], "unreadable", 1),
    ("before 1970", [row(at="1969-12-31 12:00:00")], "before_1970", 1),
    ("a customer from the future", [row(at="2024-06-03")], "in_the_future", 1),
    ("the end of time", [row(at="infinity")], "in_the_future", 1),
    ("an unknown kind", [row(what="purchse"), row(id="8", what="Purchase")], "unknown_kind", 2),
    ("an unknown channel", [row(how="fax")], "unknown_channel", 1),
    ("a negative amount", [row(money="-0.01")], "amount_negative", 1),
    ("not a number", [row(money="nan")], "amount_not_finite", 1),
    ("infinite money", [row(money="inf"), row(id="8", money="-inf")], "amount_not_finite", 2),
    ("an absurd amount", [row(money="100000000000000"), row(id="8", money="1e300")], "amount_absurd", 2),
    ("a rating of 11", [row(stars="11")], "rating_out_of_range", 1),
    ("a rating below 0", [row(stars="-0.1"), row(id="8", stars="nan")], "rating_out_of_range", 2),
]


@pytest.mark.parametrize(("wrong", "lines", "rule", "cost"), QUARANTINED, ids=[case[0] for case in QUARANTINED])
def test_a_broken_row_is_quarantined_under_its_rule_and_costs_no_other(
    tmp_path: Path, wrong: str, lines: list[str], rule: str, cost: int
) -> None:
    tiny = Tiny(tmp_path, csv(TWO_GOOD[0], *lines, TWO_GOOD[1]))
    report = tiny.ingest()
    assert report.interactions.quarantined_for == {rule: cost}, wrong
    assert tiny.interactions()["customer_id"].to_list() == ["ann", "bob"]
    assert report.interactions.equation.rows_in == 2 + len(lines)
    kept = tiny.quarantine()
    assert kept["rule"].to_list() == [rule] * cost
    assert kept["reason"].is_not_null().all()
    assert kept["source_text"].str.contains("2024-0|eve").any(), "the row as it came"


# Odd but right: nothing is quarantined, and these ids come out.
KEPT = [
    ("a separator after the last field", csv(GOOD + ","), ["1"]),
    ("a byte order mark", b"\xef\xbb\xbf" + csv(GOOD), ["1"]),
    ("line ends of Windows", csv(GOOD, end="\r\n"), ["1"]),
    ("line ends of both kinds", csv(GOOD) + row().encode() + b"\r\n" + row(id="8").encode() + b"\n", ["1", "7", "8"]),
    ("no line end at the end", csv(GOOD).rstrip(b"\n"), ["1"]),
    ("blank lines", csv("", GOOD, "", "", row()), ["1", "7"]),
    (
        "a line end inside quotes",
        csv(GOOD, '"7\n7",eve,2024-02-01,purchase,web,5,0.5', row(id="8")),
        ["1", "7\n7", "8"],
    ),
    ("an hour that daylight saving skips", csv(row(at="2024-03-31 02:30:00")), ["7"]),
    ("an amount without a purchase's price", csv(row(money="")), ["7"]),
    ("quotes in an id", csv(row(id='"a""b"')), ['a"b']),
    ("slashes and apostrophes in an id", csv(row(id="a/../b\\'; DROP TABLE x;--")), ["a/../b\\'; DROP TABLE x;--"]),
    ("Unicode in an id", csv(row(id="ü-顧客-🙂")), ["ü-顧客-🙂"]),
    ("500 characters in an id", csv(row(id="x" * 500)), ["x" * 500]),
    ("a compressed file", zipped(csv(GOOD)), ["1"]),
]


@pytest.mark.parametrize(("odd", "content", "ids"), KEPT, ids=[case[0] for case in KEPT])
def test_an_odd_row_that_is_right_is_kept(tmp_path: Path, odd: str, content: bytes, ids: list[str]) -> None:
    tiny = Tiny(tmp_path, content, name="events.csv.gz" if content[:2] == b"\x1f\x8b" else "events.csv")
    report = tiny.ingest()
    assert report.interactions.quarantined_for == {}, odd
    assert sorted(tiny.interactions()["interaction_id"]) == sorted(ids)


def _without(what: str) -> Callable[[Tiny], None]:
    def remove(tiny: Tiny) -> None:
        setattr(tiny, what, None)

    return remove


def _with(**parts: object) -> Callable[[Tiny], None]:
    def change(tiny: Tiny) -> None:
        for name, value in parts.items():
            setattr(tiny, name, value)

    return change


def _parquet(content: bytes) -> Callable[[Tiny], None]:
    return _with(
        yaml=YAML.replace("csv*", "parquet").replace("csv}", "parquet}"), name="events.parquet", events=content
    )


ATTRIBUTES = YAML + "attributes:\n  plan: {type: categorical, %s}\n"
JSON = YAML.replace("format: csv", "format: json")
BAD_GZIP = zipped(MANY)[:-8] + b"1234" + zipped(MANY)[-4:]  # its checksum is wrong
CUSTOMERS = "SELECT who AS customer_id, how AS plan FROM events"

# What is wrong, how it is brought about, what the one line must say.
STOPPED = [
    ("no such file", _without("events"), r"No file events\.csv\*"),
    ("an empty file", _with(events=b""), r"events\.csv is empty \(0 bytes\)"),
    ("a header and nothing else", _with(events=csv()), "nothing valid: 0 rows in"),
    (
        "nothing valid",
        _with(events=csv(row(what="dance"))),
        r"nothing valid.*unknown_kind 1.*fedelta source check tiny",
    ),
    ("other columns", _with(events=csv("1,2", header="a,b")), r'interactions\.sql: .*"?id"? not found'),
    *(
        (
            f"{delim!r} between fields",
            _with(events=csv(GOOD).replace(b",", delim.encode())),
            rf"ends with ',', the `delim`.*Say `options: \{{delim: {re.escape(json.dumps(delim))}\}}`",
        )
        for delim in ";\t|^"
    ),
    (
        "a comma between fields where a semicolon is said",
        _with(events=csv(GOOD), yaml=YAML.replace("csv}", 'csv, options: {delim: ";"}}')),
        r'Say `options: \{delim: ","\}`',
    ),
    ("no header", _with(events=csv(header=GOOD)), r"events \(1, ann, 2024.*looks like a row.*header: false"),
    ("no header and equal values", _with(events=csv(header="1,1,x")), "repeats 1.*looks like a row.*`header: false`"),
    (
        "a title above the header",
        _with(events=b"Orders of May\n" + csv(GOOD)),
        "has one column and those after it.*skip",
    ),
    ("a line for spreadsheets", _with(events=b"sep=;\n" + csv(GOOD)), r'skip: 1, delim: ";"'),
    ("lines in quotes", _with(events=b'"a,b"\n"1,2"\n'), "quoted as a whole"),
    ("a separator after the last name", _with(events=csv(GOOD + ",", header=HEADER + ",")), "without a name.*column_8"),
    (
        "keys apart by capitals",
        _with(yaml=YAML.replace("csv}", "jsonl}"), events=b'{"id": 1, "who": 2}\n{"ID": 1, "who": 2}'),
        r"keys id, ID differ only in capitals",
    ),
    (
        "keys within apart by capitals",
        _with(yaml=JSON, events=b'[{"id": [{"a": {"x": 1}}]}, {"id": [{"a": {"X": 1}}]}]'),
        r"keys x, X differ only in capitals",
    ),
    ("a key without a name", _with(yaml=JSON, events=b'[{"": 1, "who": 2}]'), "a key without a name"),
    ("an array as JSON lines", _with(yaml=YAML.replace("csv}", "jsonl}"), events=b"[{}]"), "say `format: json`"),
    ("a column twice", _with(events=csv("1,2", header="id,id")), "repeats id"),
    ("a column without a name", _with(events=csv("1,2", header="id,")), "column without a name"),
    ("a header in another encoding", _with(events="id,wé\n1,2\n".encode("latin-1")), "header is not utf-8.*encoding"),
    ("bytes of a program", _with(events=bytes(range(256)) * 40), "line ends|not utf-8|not text"),
    ("line ends of old Macs", _with(events=csv(GOOD, end="\r")), "not text with line ends"),
    (
        "UTF-16",
        _with(yaml=YAML.replace("csv}", "csv, options: {encoding: utf-16}}"), events=csv(GOOD)),
        "is not utf-16: it has neither a byte order mark",
    ),
    ("gzip cut short", _with(events=zipped(MANY)[:-20], name="events.csv.gz"), "not a complete gzip file"),
    (
        "gzip with a wrong byte",
        _with(events=BAD_GZIP, name="events.csv.gz"),
        "gzip",
    ),
    ("not gzip", _with(events=csv(GOOD), name="events.csv.gz"), "not a complete gzip file"),
    ("not Parquet", _parquet(csv(GOOD)), "not a Parquet file"),
    ("an empty Parquet file", _parquet(b""), "not a Parquet file"),
    (
        "broken JSON",
        _with(yaml=JSON, events=b'[{"id": 1}, {"id"'),
        "is not JSON",
    ),
    ("JSON of numbers", _with(yaml=JSON, events=b"[1, 2]"), "not objects"),
    (
        "two files of other columns",
        _with(others={"events.csv2": csv("1", header="x")}),
        "same columns",
    ),
    (
        "SQL that is none",
        _with(sql="SELEC id FROM events"),
        r"interactions\.sql: .*syntax error.*line 1",
    ),
    ("two statements", _with(sql=SQL + "; SELECT 1"), "exactly one SELECT"),
    ("a statement that is no SELECT", _with(sql="DROP TABLE events"), "exactly one SELECT"),
    ("no SQL at all", _with(sql="-- nothing"), "exactly one SELECT"),
    ("a column the files lack", _with(sql=SQL.replace("stars AS", "star AS")), '"star" not found'),
    (
        "a table source.yaml lacks",
        _with(sql=SQL.replace("FROM events", "FROM event")),
        "Tables of source",
    ),
    (
        "a column no one knows",
        _with(sql=SQL.replace("amount", "ammount")),
        "ammount, which nothing knows",
    ),
    ("a required column left out", _with(sql=SQL.replace("what AS kind, ", "")), "yields no kind"),
    ("a column named twice", _with(sql=SQL.replace("stars AS rating", "1 AS kind")), "kind twice"),
    (
        "a cast that fails",
        _with(events=csv(row(money="x")), sql=SQL.replace("money AS", "money::INT AS")),
        "Use TRY_CAST",
    ),
    ("a time that is a number", _with(sql=SQL.replace('"at" AS', "1700000000 AS")), "to_timestamp"),
    ("an unknown time zone", _with(yaml=YAML.replace("Rome", "Roma")), "Europe/Roma"),
    ("an attribute without a time", _with(yaml=ATTRIBUTES % "says: x", customers_sql=CUSTOMERS), "leak the future"),
    (
        "an attribute not declared",
        _with(customers_sql=CUSTOMERS),
        "plan, which nothing knows. Declare",
    ),
    (
        "an attribute not yielded",
        _with(
            events=csv(GOOD), yaml=ATTRIBUTES % "static: true", customers_sql="SELECT who AS customer_id FROM events"
        ),
        "yields no plan",
    ),
]


@pytest.mark.parametrize(("wrong", "breaks", "says"), STOPPED, ids=[case[0] for case in STOPPED])
def test_what_cannot_be_read_at_all_stops_the_run_with_one_line(
    tmp_path: Path, wrong: str, breaks: Callable[[Tiny], None], says: str
) -> None:
    tiny = Tiny(tmp_path, csv(GOOD))
    breaks(tiny)
    with pytest.raises(FedeltaError, match=says) as stopped:
        tiny.ingest()
    assert "\n" not in str(stopped.value), wrong
    assert not any(path.exists() for path in (tiny.outputs.interactions, tiny.outputs.customers, tiny.outputs.report))
    assert not list(tmp_path.glob("data/.*")), "nothing half-made stays behind"


@pytest.mark.parametrize("values", [("1", "2"), ('"a, b"', '"c;d"'), ("x|y", "z")])
def test_a_file_of_one_column_may_hold_whatever_separates_in_others(tmp_path: Path, values: tuple[str, ...]) -> None:
    sql = "SELECT note AS interaction_id, note AS customer_id, '2024-01-05' AS occurred_at, 'visit' AS kind FROM events"
    tiny = Tiny(tmp_path, csv(*values, header="note"), sql=sql)
    tiny.ingest()
    assert tiny.interactions()["customer_id"].to_list() == [value.strip('"') for value in values]


def test_there_are_at_least_thirty_broken_inputs() -> None:
    assert len(QUARANTINED) + len(STOPPED) >= 30


def test_a_bad_encoding_costs_its_line_and_the_right_one_reads_it(tmp_path: Path) -> None:
    content = csv(GOOD, row(who="Zoé")).decode().encode("cp1252")
    wrong = Tiny(tmp_path / "wrong", content)
    wrong.folder.mkdir()
    assert wrong.ingest().interactions.quarantined_for == {"malformed_line": 1}
    right = Tiny(tmp_path / "right", content, yaml=YAML.replace("csv}", "csv, options: {encoding: cp1252}}"))
    right.folder.mkdir()
    assert right.ingest().interactions.quarantined_for == {}
    assert "Zoé" in right.interactions()["customer_id"]


@pytest.mark.parametrize("workers", [1, 2])
def test_an_unclosed_quote_in_a_large_file_swallows_nothing(tmp_path: Path, workers: int) -> None:
    # DuckDB alone loses everything up to the next chunk of the file here, without a word.
    lines = [row(id=str(n), money="") for n in range(60_000)]
    lines[30_000] = '30000,"eve,2024-02-01,purchase,web,,0.5'
    tiny = Tiny(tmp_path, csv(*lines))
    report = tiny.ingest(workers=workers)
    assert report.interactions.equation.valid == 59_999
    assert tiny.quarantine()["source_row"].to_list() == ["events.csv:30002"]


def test_a_json_line_that_is_no_object_is_malformed(tmp_path: Path) -> None:
    good = '{"id": 1, "who": "ann", "at": "2024-01-05", "what": "visit", "how": "web", "money": null, "stars": 1}'
    content = "\n".join((good, "[1]", '{"id": 2,', "", good.replace('"id": 1', '"id": "x"'))).encode()
    tiny = Tiny(tmp_path, content, yaml=YAML.replace("format: csv", "format: jsonl"))
    report = tiny.ingest()
    assert report.interactions.quarantined_for == {"malformed_line": 2}
    assert tiny.interactions()["interaction_id"].to_list() == ["1", "x"]
