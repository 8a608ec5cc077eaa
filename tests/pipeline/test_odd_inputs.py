"""Inputs that nobody meant: each gives the rows that it says, costs its own, or stops the run with one line."""

import re
from collections.abc import Mapping
from datetime import date, datetime, time
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tiny_source import GOOD, HEADER, SQL, YAML, Tiny, csv

from fedelta.features.errors import FedeltaError

TWO = csv(GOOD, "2,bob,2024-01-06,visit,app,,")
OBJECT = '{"id": %s, "who": "ann", "at": "2024-01-05", "what": "visit", "how": "web", "money": null, "stars": 1}'
OTHER = "who,id,what,at,how,money,stars"
DEEP = f'{(OBJECT % 1)[:-1]}, "x": {"[" * 999}{"]" * 999}}}'
JSONL, JSON = YAML.replace("csv}", "jsonl}"), YAML.replace("csv}", "json}")
COLUMNS: Mapping[str, Any] = {
    "id": ["1", "2"], "who": ["ann", "bob"], "at": ["2024-01-05", "2024-01-06"], "what": ["visit", "visit"],
    "how": ["web", "web"], "money": [None, None], "stars": [1.0, None],
}  # fmt: skip


def parquet(**columns: object) -> dict[str, Any]:
    made = BytesIO()
    pq.write_table(pa.table({**COLUMNS, **columns}), made)
    return of_parquet(made.getvalue())


def of_parquet(content: bytes) -> dict[str, Any]:
    yaml = YAML.replace("csv*", "parquet").replace("csv}", "parquet}")
    return {"yaml": yaml, "name": "events.parquet", "events": content}


def nothing() -> bytes:
    made = BytesIO()
    pq.write_table(pa.table({}), made)
    return made.getvalue()


def workbook(*rows: list[object]) -> dict[str, Any]:
    book, made = openpyxl.Workbook(), BytesIO()
    for row in rows:
        book.worksheets[0].append(row)
    book.save(made)
    yaml = YAML.replace("csv*", "xlsx").replace("csv}", "xlsx}")
    return {"yaml": yaml, "name": "events.xlsx", "events": made.getvalue()}


def objects(*ids: object) -> dict[str, Any]:
    return {"yaml": JSONL, "events": "\n".join(OBJECT % one for one in ids).encode()}


def files(*others: bytes) -> dict[str, Any]:
    return {"events": TWO, "others": {f"events.csv{n}": content for n, content in enumerate(others)}}


# What is odd, the source, the ids that come out, the rules that cost rows and how many.
COSTS: list[tuple[str, dict[str, Any], list[str], dict[str, int]]] = [
    ("whole numbers and nulls as ids", parquet(id=pa.array([1, None])), ["1"], {"missing_interaction_id": 1}),
    ("ids as fractions", parquet(id=[1.0, 1e20]), ["1.0"], {"id_digits_lost": 1}),
    ("ids as short fractions", parquet(id=pa.array([1, 2**24], pa.float32())), ["1.0"], {"id_digits_lost": 1}),
    ("an id that is not a number", parquet(id=[2.0, float("nan")]), ["2.0"], {"id_digits_lost": 1}),
    ("customers as fractions", parquet(who=[2.0**53, 7.0]), ["2"], {"id_digits_lost": 1}),
    ("JSON ids of 23 digits", objects(12345678901234567890123, 12345678901234567890124), [], {"id_digits_lost": 2}),
    ("JSON ids of 16 digits", objects(9007199254740993, 9007199254740992),
     ["9007199254740992", "9007199254740993"], {}),
    ("JSON ids of all types", objects(1, '"x"', "true"), ["1", "true", "x"], {}),
    ("JSON with its mark", {"yaml": JSONL, "events": b"\xef\xbb\xbf" + (OBJECT % 1).encode()}, ["1"], {}),
    ("one JSON object", {"yaml": JSON, "events": (OBJECT % 1).encode()}, ["1"], {}),
    ("NaN in JSON", {"yaml": JSONL, "events": f"{OBJECT % 1}\n{(OBJECT % 2).replace('null', 'NaN')}".encode()},
     ["1"], {"amount_not_finite": 1}),
    ("nanoseconds", parquet(at=pa.array([datetime(2024, 1, 5), datetime(2024, 1, 6)], pa.timestamp("ns"))),  # noqa: DTZ001
     ["1", "2"], {}),
    ("days", parquet(at=[date(2024, 1, 5), date(2024, 1, 6)]), ["1", "2"], {}),
    ("categories", parquet(what=pa.array(["visit", "purchase"]).dictionary_encode()), ["1", "2"], {}),
    ("more decimals than money has", parquet(money=[Decimal("1.0000000001"), Decimal(2)]), ["1", "2"], {}),
    ("money as whole numbers", parquet(money=[2**62, 3]), ["2"], {"amount_absurd": 1}),
    ("money that is not a number", parquet(money=[float("nan"), 5.0]), ["2"], {"amount_not_finite": 1}),
    ("dates and text of Excel", workbook(HEADER.split(","), [1, "ann", datetime(2024, 1, 5, 3), "visit", "web", 1, 1]),  # noqa: DTZ001
     ["1"], {}),
    ("a header in the middle of a sheet", workbook(
        HEADER.split(","), [1, "ann", date(2024, 1, 5), "visit", "web", 1, 1], HEADER.split(",")), ["1"],
     {"unreadable": 1}),
    ("a header in the middle", {"events": csv(GOOD, HEADER)}, ["1"], {"unreadable": 1}),
    ("a line of totals", {"events": csv(GOOD, "Total,,,,,12.50,")}, ["1"], {"missing_customer_id": 1}),
    ("NULL for null", {"events": csv(GOOD, "2,bob,2024-01-06,visit,app,NULL,")}, ["1"], {"unreadable": 1}),
    ("a minus of typographers", {"events": csv(GOOD, "2,bob,2024-01-06,visit,app,\u22125,")}, ["1"], {"unreadable": 1}),
    ("a blank of typographers", {"events": csv(GOOD, "2,bob,2024-01-06,visit,app,1\xa0250,")}, ["1"],
     {"unreadable": 1}),
    ("a debit in brackets", {"events": csv(GOOD, "2,bob,2024-01-06,purchase,app,(5),")}, ["1"], {"unreadable": 1}),
    ("a debit with its sign behind", {"events": csv(GOOD, "2,bob,2024-01-06,purchase,app,5-,")}, ["1"],
     {"unreadable": 1}),
    ("digits of Arabic", {"events": csv(GOOD, "2,bob,2024-01-06,purchase,app,١٢,")}, ["1"], {"unreadable": 1}),
    ("a second that leaps", {"events": csv(GOOD, "2,bob,2016-12-31 23:59:60,visit,app,,")}, ["1"], {"unreadable": 1}),
    ("hours after noon", {"events": csv(GOOD, "2,bob,2024-01-06 10:00 PM,visit,app,,")}, ["1"], {"unreadable": 1}),
    ("a week's day", {"events": csv(GOOD, "2,bob,2024-W05-2,visit,app,,")}, ["1"], {"unreadable": 1}),
    ("files with their columns in other orders", files(csv("eve,3,visit,2024-01-06,app,,", header=OTHER)),
     ["1", "2", "3"], {}),
    ("a file and its copy", files(TWO), ["1", "2"], {}),
    ("a file that is a header alone", files(csv()), ["1", "2"], {}),
    ("a join that multiplies rows", {"events": TWO, "sql": SQL + ", range(3)"}, ["1", "2"], {}),
    ("a table called like a word of SQL", {
        "events": TWO, "yaml": YAML.replace("  events:", "  order:"), "sql": SQL.replace("events", '"order"')},
     ["1", "2"], {}),
]  # fmt: skip

# What is wrong, the source, what the one line must say.
STOPPED: list[tuple[str, dict[str, Any], str]] = [
    ("a time without a day", parquet(at=[time(3), time(4)]), "yields occurred_at as TIME; it must be a timestamp"),
    ("seconds since 1970", parquet(at=[1704447600, 1704447601]), "occurred_at as BIGINT.*to_timestamp"),
    ("Parquet without columns", of_parquet(nothing()), r"not a Parquet file that can be read: .*\. Fetch it again\."),
    ("JSON a thousand deep", {"yaml": JSONL, "events": DEEP.encode()},
     "maximum recursion depth of 128$"),
    ("JSON with a comma at its end", {"yaml": JSON, "events": f"[{OBJECT % 1},]".encode()}, "is not JSON"),
    ("two arrays in one file", {"yaml": JSON, "events": f"[{OBJECT % 1}][{OBJECT % 2}]".encode()}, "are not objects"),
    ("an export in an envelope", {"yaml": JSON, "events": f'{{"orders": [{OBJECT % 1}]}}'.encode()},
     r"\"id\" not found.*events \(orders\)"),
    ("formulas that nobody computed", workbook(HEADER.split(","), [1, "ann", "2024-01-05", "visit", "web", "=1+1", 1]),
     "formulas without a stored value"),
    ("another separator in the second file", files(TWO.replace(b",", b";")), r"csv0: .*fields seem to end with ';'"),
    ("no header in the second file", files(csv(header="3,eve,2024-01-06,visit,app,1,0.5")),
     "csv0 has the columns 3, eve, .*the same columns"),
    ("an empty second file", files(b""), r"csv0 is empty"),
    ("a file copied out", {"events": TWO, "sql": "COPY (SELECT 1) TO 'x.csv'"}, "exactly one SELECT"),
    ("a zone without a place", {"events": TWO, "yaml": YAML.replace("Europe/Rome", "+02:00")}, r"'\+02:00' is unknown"),
    ("names that differ in capitals", {"events": TWO, "yaml": f'{YAML}  Events: {{path: "x.csv"}}\n'}, "small letters"),
]  # fmt: skip


@pytest.mark.parametrize(("odd", "parts", "ids", "rules"), COSTS, ids=[case[0] for case in COSTS])
def test_an_odd_input_gives_the_rows_it_says_and_costs_no_other(
    tmp_path: Path, odd: str, parts: dict[str, Any], ids: list[str], rules: dict[str, int]
) -> None:
    tiny = Tiny(tmp_path, **parts)
    if not ids:
        (rule,) = rules
        with pytest.raises(FedeltaError, match=f"nothing valid.*{rule} {rules[rule]}"):
            tiny.ingest()
        return
    report = tiny.ingest()
    assert report.interactions.quarantined_for == rules, odd
    assert sorted(tiny.interactions()["interaction_id"]) == ids
    e = report.interactions.equation
    assert e.rows_in == e.valid + e.duplicate + e.out_of_scope + e.quarantined


@pytest.mark.parametrize(("wrong", "parts", "says"), STOPPED, ids=[case[0] for case in STOPPED])
def test_what_cannot_be_meant_as_a_table_stops_the_run_with_one_line(
    tmp_path: Path, wrong: str, parts: dict[str, Any], says: str
) -> None:
    tiny = Tiny(tmp_path, **parts)
    with pytest.raises(FedeltaError) as stopped:
        tiny.ingest()
    assert re.search(says, str(stopped.value)), (wrong, str(stopped.value))
    assert "\n" not in str(stopped.value)
    assert "Stack Trace" not in str(stopped.value)
    assert not tiny.outputs.interactions.exists()


@pytest.mark.parametrize("value", ["unsubscribed", "2024-02-30", "✗", "2", "[true]", "x"])
def test_an_opt_out_in_whatever_form_is_one(tmp_path: Path, value: str) -> None:
    tiny = Tiny(tmp_path, TWO, customers_sql=f"SELECT who AS customer_id, '{value}' AS opted_out FROM events")
    tiny.ingest()
    assert tiny.customers()["opted_out"].to_list() == [True, True]


LABELS = "SELECT who AS customer_id, {} AS as_of, {} AS churned FROM events"


@pytest.mark.parametrize(
    ("sql", "valid", "rules"),
    [
        (LABELS.format("DATE '2024-02-01'", "'maybe'"), 0, {"unreadable": 2}),
        (LABELS.format("DATE '2024-02-01'", "0.7"), 0, {"unreadable": 2}),
        (LABELS.format("DATE '2030-01-01'", "true"), 0, {"in_the_future": 2}),
        (LABELS.format("'2024-02-01'", "'yes'"), 2, {}),
        (LABELS.format("DATE '2024-02-01'", "true") + " WHERE false", 0, {}),
        ("SELECT 'ann' AS customer_id, DATE '2024-02-01' AS as_of, unnest([true, false]) AS churned", 1, {}),
    ],
)
def test_labels_that_cannot_be_meant_are_never_guessed(
    tmp_path: Path, sql: str, valid: int, rules: dict[str, int]
) -> None:
    tiny = Tiny(tmp_path, TWO)
    tiny.source()
    (tmp_path / "sources/tiny/labels.sql").write_text(sql)
    account = tiny.ingest().declared_labels
    assert account is not None
    assert (account.equation.valid, account.quarantined_for) == (valid, rules)
