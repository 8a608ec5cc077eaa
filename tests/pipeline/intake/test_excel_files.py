"""What an Excel workbook holds comes out as its owner sees it: ids with their zeros, numbers without a tail, days."""

import datetime as dt
import io
import re
from collections.abc import Sequence
from pathlib import Path

import openpyxl
import pytest
from tiny_source import YAML, Tiny, csv

from fedelta.features.errors import FedeltaError
from fedelta.pipeline.intake.excel_files import sheet_rows
from fedelta.pipeline.intake.section import SourceError
from fedelta.pipeline.intake.sources import ReadOptions

HEADER = ("id", "who", "at", "what", "how", "money", "stars")
EXCEL = YAML.replace('"events.csv*", format: csv', '"events.xlsx", format: xlsx%s')


def row(**cells: object) -> tuple[object, ...]:
    """A good row of ann's, but for these cells."""
    usual = dict(zip(HEADER, ("1", "ann", dt.datetime.fromisoformat("2024-01-05 10:00"), "purchase", "web", 12.5, 0.8),
                     strict=True))  # fmt: skip
    return tuple((usual | cells).values())


def workbook(**sheets: Sequence[Sequence[object]]) -> bytes:
    """An Excel file of these sheets."""
    book, content = openpyxl.Workbook(), io.BytesIO()
    book.remove(book.worksheets[0])
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for cells in rows:
            sheet.append(list(cells))
    book.save(content)
    return content.getvalue()


def read(tmp_path: Path, content: bytes, options: ReadOptions | None = None) -> list[tuple[str | None, ...]]:
    """Names and rows of the sheet."""
    path = tmp_path / "events.xlsx"
    path.write_bytes(content)
    with sheet_rows(path, options or ReadOptions()) as (names, rows):
        return [names, *rows]


def tiny(tmp_path: Path, content: bytes, options: str = "") -> Tiny:
    yaml = EXCEL % (f", options: {{{options}}}" if options else "")
    return Tiny(tmp_path, content, yaml=yaml, name="events.xlsx")


def test_every_cell_becomes_the_text_that_its_owner_sees(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    sheet = book.worksheets[0]
    values = [
        ("00123", "00123"),
        (412.0, "412"),
        (412.5, "412.5"),
        (0.1 + 0.2, "0.3"),
        (123456789012345, "123456789012345"),
        (True, "true"),
        ("#N/A", "#N/A"),
        (dt.date(2024, 1, 5), "2024-01-05"),
        (dt.datetime.fromisoformat("2024-01-05 10:30:15"), "2024-01-05 10:30:15"),
        (dt.time(9, 30), "09:30:00"),
        (dt.timedelta(hours=30), "30"),
        (" padded ", " padded "),
        ("two\nlines; and, signs\"'", "two\nlines; and, signs\"'"),
        (None, None),
        ("end", "end"),
    ]
    sheet.append([f"c{k}" for k in range(len(values))])
    sheet.append([value for value, _ in values])
    midnight = sheet.cell(3, 9, dt.datetime.fromisoformat("2024-01-05 00:00"))
    midnight.number_format = 'dd.mm.yyyy hh:mm "Uhr"'
    day = sheet.cell(3, 8, dt.datetime.fromisoformat("2024-01-05 00:00"))
    day.number_format = '[$-407]d. mmm yyyy "(Tagesschluss)"'
    content = io.BytesIO()
    book.save(content)
    _, first, second = read(tmp_path, content.getvalue())
    assert list(first) == [text for _, text in values]
    assert second[7:9] == ("2024-01-05", "2024-01-05 00:00:00"), "a day is no midnight where only the day is shown"


def test_a_workbook_gives_what_the_same_rows_give_as_csv(tmp_path: Path) -> None:
    rows = (row(), row(id="00123", who=412.0, money="#N/A"), row(id="3", at=dt.date(2024, 2, 1)))
    lines = ("1,ann,2024-01-05 10:00,purchase,web,12.5,0.8", "00123,412,2024-01-05 10:00,purchase,web,#N/A,0.8")
    excel = tiny(tmp_path / "excel", workbook(Export=[HEADER, *rows]))
    text = Tiny(tmp_path / "csv", csv(*lines, "3,ann,2024-02-01,purchase,web,12.5,0.8"))
    for source in (excel, text):
        source.folder.mkdir()
        report = source.ingest()
        assert report.interactions.equation.rows_in == 3
        assert report.interactions.quarantined_for == {"unreadable": 1}, "an error of Excel's is no empty cell"
    assert excel.interactions().equals(text.interactions())
    assert excel.interactions()["interaction_id"].to_list() == ["1", "3"]


def test_customers_read_as_numbers_or_as_text_are_the_same(tmp_path: Path) -> None:
    source = tiny(tmp_path, workbook(Export=[HEADER, row(who=412.0), row(id="2", who="412")]))
    source.ingest()
    assert set(source.interactions()["customer_id"]) == {"412"}


def test_several_workbooks_make_one_table_in_any_order_of_columns(tmp_path: Path) -> None:
    source = tiny(tmp_path, workbook(Export=[HEADER, row()]))
    source.yaml = source.yaml.replace("events.xlsx", "events*.xlsx")
    source.others = {"events-2.xlsx": workbook(Other=[HEADER[::-1], row(id="2")[::-1]]), "~$events.xlsx": b"a lock"}
    source.ingest()
    assert sorted(source.interactions()["interaction_id"]) == ["1", "2"]


@pytest.mark.parametrize(
    ("sheets", "options"),
    [
        ({"Export": [HEADER, row()], "Empty": []}, ReadOptions()),
        ({"Notes": [("hello",)], "Export": [HEADER, row()]}, ReadOptions(sheet="Export")),
        ({"Export": [("Report of May",), (), HEADER, (), row()]}, ReadOptions(skip=2)),
        ({"Export": [(*HEADER, None), (*row(), None), (None,) * 8]}, ReadOptions()),
        ({"Export": [("id", "id", "x", "", "y", "z", "a"), row()]}, ReadOptions(names=HEADER)),
        ({"Export": [row()]}, ReadOptions(header=False, names=HEADER)),
    ],
    ids=["one filled sheet", "a sheet by name", "lines above the header", "a blank edge", "own names", "no header"],
)
def test_the_table_is_found_in_its_sheet(
    tmp_path: Path, sheets: dict[str, Sequence[Sequence[object]]], options: ReadOptions
) -> None:
    names, *rows = read(tmp_path, workbook(**sheets), options)
    assert names == HEADER
    assert [cells[:2] for cells in rows] == [("1", "ann")]


def test_a_hidden_sheet_is_read_only_by_name(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    for name, value in (("Seen", "a"), ("Hidden", "b")):
        sheet = book.create_sheet(name)
        sheet.append([value])
        sheet.append([value])
    book.remove(book.worksheets[0])
    book["Hidden"].sheet_state = "hidden"
    content = io.BytesIO()
    book.save(content)
    assert read(tmp_path, content.getvalue())[0] == ("a",)
    assert read(tmp_path, content.getvalue(), ReadOptions(sheet="Hidden"))[0] == ("b",)


GOOD = workbook(Export=[HEADER, row()])
BAD = [
    ("two sheets", workbook(A=[HEADER], B=[HEADER]), "", "several sheets: A, B.*options: {sheet: 'A'}"),
    ("no such sheet", GOOD, "sheet: Exprot", "no sheet 'Exprot'. Its sheets: Export"),
    ("nothing in it", workbook(A=[]), "", "no visible sheet with a value"),
    ("two lines of header", workbook(A=[("Order", None, "Money"), HEADER, row()]), "", "without a name.*`skip`"),
    ("a name twice", workbook(A=[("id", "Id"), (1, 2)]), "", r"repeats Id, id.*names: \[id, Id_2\]"),
    ("a value without a name", workbook(A=[("id", "who"), (1, 2, 3)]), "", "row 2 has a value right of"),
    ("a formula never calculated", workbook(A=[HEADER, row(money="=1+1")]), "", "formulas without a stored value"),
    ("more skipped than there are", GOOD, "skip: 9", "only 2 rows, but 9"),
    ("no workbook", b"id,who\n1,ann\n", "", "not an Excel workbook"),
    ("cut short", GOOD[:-200], "", "not an Excel workbook"),
    ("another archive", b"PK\x05\x06" + bytes(18), "", "not an Excel workbook"),
    ("an empty file", b"", "", "not an Excel workbook"),
    ("an option of CSV's", GOOD, 'delim: ";"', "unknown delim. Known: header, names, nullstr, sheet, skip"),
]


@pytest.mark.parametrize(("wrong", "content", "options", "says"), BAD, ids=[case[0] for case in BAD])
def test_what_is_no_table_stops_the_run_with_one_line(
    tmp_path: Path, wrong: str, content: bytes, options: str, says: str
) -> None:
    source = tiny(tmp_path, content, options)
    with pytest.raises(FedeltaError) as stopped:
        source.ingest()
    assert re.search(says, str(stopped.value)), (wrong, str(stopped.value))
    assert "\n" not in str(stopped.value)


def test_workbooks_of_other_columns_are_not_one_table(tmp_path: Path) -> None:
    source = tiny(tmp_path, GOOD)
    source.yaml = source.yaml.replace("events.xlsx", "*.xlsx")
    source.others = {"other.xlsx": workbook(A=[("x",), (1,)])}
    with pytest.raises(SourceError, match="same columns"):
        source.ingest()
