"""Files that are not what they seem: each gives the right rows, or stops the run with one line that helps."""

import gzip
import json
import os
import re
import tempfile
import zipfile
from io import BytesIO
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tiny_source import GOOD, HEADER, YAML, Tiny, csv, zipped

from fedelta.features.errors import FedeltaError
from fedelta.pipeline.intake import raw_files
from fedelta.pipeline.intake.raw_files import found_files
from fedelta.pipeline.intake.section import SourceError

OTHER = "2,bob,2024-01-06,visit,app,,"
BOM = b"\xef\xbb\xbf"
OBJECT = '{"id": "%s", "who": "ann", "at": "2024-01-05", "what": "visit", "how": "web", "money": null, "stars": 1}'
GUEST = GOOD.replace("ann", "Zoë 顧客")


def zst(content: bytes) -> bytes:
    """Compressed with zstd."""
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(content)
    return bytes(sink.getvalue().to_pybytes())


def archive(content: bytes) -> bytes:
    made = BytesIO()
    with zipfile.ZipFile(made, "w") as file:
        file.writestr("events.csv", content)
    return made.getvalue()


def parquet(**columns: object) -> bytes:
    made = BytesIO()
    pq.write_table(pa.table({**pl.read_csv(csv(GOOD)).to_dict(as_series=False), **columns}), made)
    return made.getvalue()


def options(text: str) -> str:
    return YAML.replace("csv}", f"csv, options: {{{text}}}}}")


WIDE = ("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")
MARKED = {name: "\ufeff".encode(name) for name in WIDE}
TEXT = csv(GUEST, OTHER).decode()
LONG = "x" * 1_500_000

# What is odd, the file's name and bytes, source.yaml, the ids that come out and how many lines are malformed.
READ = [
    *((f"{name} with its mark", "events.csv", MARKED[name] + TEXT.encode(name), YAML, ["1", "2"], 0) for name in WIDE),
    *(
        (f"{name} as declared", "events.csv", TEXT.encode(name), options(f"encoding: {name}"), ["1", "2"], 0)
        for name in WIDE
    ),
    ("utf-16 of an unknown end", "events.csv", TEXT.encode("utf-16-be"), options("encoding: utf-16"), ["1", "2"], 0),
    (
        "utf-16, compressed",
        "events.csv.gz",
        zipped(MARKED["utf-16-le"] + TEXT.encode("utf-16-le")),
        YAML,
        ["1", "2"],
        0,
    ),
    (
        "utf-16 of Windows",
        "events.csv",
        MARKED["utf-16-le"] + TEXT.replace("\n", "\r\n").encode("utf-16-le"),
        YAML,
        ["1", "2"],
        0,
    ),
    (
        "a half of a sign in utf-16",
        "events.csv",
        MARKED["utf-16-le"] + TEXT.replace("bob", "\ud83d").encode("utf-16-le", "surrogatepass"),
        YAML,
        ["1"],
        1,
    ),
    ("utf-8 with its mark declared", "events.csv", BOM + TEXT.encode(), options("encoding: utf-8-sig"), ["1", "2"], 0),
    (
        "Japanese, with a backslash in a sign",
        "events.csv",
        csv(GOOD.replace("ann", "表予")).decode().encode("shift_jis"),
        options("encoding: shift_jis"),
        ["1"],
        0,
    ),
    ("EBCDIC", "events.csv", csv(GOOD).decode().encode("cp037"), options("encoding: cp037"), ["1"], 0),
    ("the mark twice", "events.csv", BOM + BOM + csv(GOOD), YAML, ["1"], 0),
    (
        "files with marks, put together",
        "events.csv",
        BOM + csv(GOOD) + BOM + OTHER.encode() + b"\n",
        YAML,
        ["1", "2"],
        0,
    ),
    ("zstd", "events.csv.zst", zst(csv(GOOD, OTHER)), YAML, ["1", "2"], 0),
    ("zstd in two pieces", "events.csv.zst", zst(csv(GOOD)) + zst(OTHER.encode() + b"\n"), YAML, ["1", "2"], 0),
    ("gzip in two pieces", "events.csv.gz", zipped(csv(GOOD)) + zipped(OTHER.encode() + b"\n"), YAML, ["1", "2"], 0),
    ("zstd to be tidied", "events.csv.zst", zst(csv(GOOD, '7,"eve', OTHER)), YAML, ["1", "2"], 1),
    (
        "JSON lines in zstd",
        "events.csv.zst",
        zst(f"{OBJECT % 1}\n{OBJECT % 2}\n".encode()),
        YAML.replace("csv}", "jsonl}"),
        ["1", "2"],
        0,
    ),
    ("a name in capitals", "events.csv.GZ", zipped(csv(GOOD)), YAML, ["1"], 0),
    (
        "a quoted header",
        "events.csv",
        csv(GOOD, header=",".join(f'"{name}"' for name in HEADER.split(","))),
        YAML,
        ["1"],
        0,
    ),
    ("blanks around names", "events.csv", csv(GOOD, header=HEADER.replace(",", " , ")), YAML, ["1"], 0),
    (
        "a header that repeats a name, with names",
        "events.csv",
        csv(GOOD, header="id,id,a,b,c,d,e"),
        options(f"names: [{HEADER}]"),
        ["1"],
        0,
    ),
    ("a NUL in a value", "events.csv", csv(GOOD, OTHER.replace("bob", "b\0b")), YAML, ["1"], 1),
    ("a line of a million signs and more", "events.csv", csv(GOOD, OTHER.replace("bob", LONG)), YAML, ["1", "2"], 0),
    (
        "quotes around a field of 200,000 signs",
        "events.csv",
        csv(GOOD, OTHER.replace("bob", f'"{LONG[:200_000]},"')),
        YAML,
        ["1", "2"],
        0,
    ),
]


@pytest.mark.parametrize(("odd", "name", "content", "yaml", "ids", "malformed"), READ, ids=[case[0] for case in READ])
def test_an_odd_file_gives_its_rows(
    tmp_path: Path, odd: str, name: str, content: bytes, yaml: str, ids: list[str], malformed: int
) -> None:
    tiny = Tiny(tmp_path, content, yaml=yaml, name=name)
    report = tiny.ingest()
    assert sorted(tiny.interactions()["interaction_id"]) == ids, odd
    assert report.interactions.malformed_lines == malformed
    assert report.interactions.equation.rows_in == len(ids) + malformed
    if content.find("顧客".encode()) > 0 or "utf" in odd:
        assert "Zoë 顧客" in tiny.interactions()["customer_id"]


LOGIN = b"<!DOCTYPE html>\n<html><body>Sign in, please</body></html>\n"
JSONL = YAML.replace("csv}", "jsonl}")

# What is wrong, the file's name and bytes, source.yaml, what the one line must say.
STOPPED = [
    ("a login page", "events.csv", LOGIN, YAML, "is not a CSV file but an HTML page.*login"),
    ("XML", "events.csv", b'<?xml version="1.0"?>\n<rows/>\n', YAML, "an XML document"),
    ("JSON", "events.csv", f"[\n{OBJECT % 1}]".encode(), YAML, "but JSON.*format: json"),
    ("JSON lines", "events.csv", (OBJECT % 1).encode(), YAML, "but JSON.*format: jsonl"),
    ("a ZIP archive", "events.csv", archive(csv(GOOD)), YAML, "a ZIP archive or an Excel workbook. Unpack"),
    ("Parquet", "events.csv", parquet(), YAML, "a Parquet file. Say `format: parquet`"),
    ("gzip without its name", "events.csv", zipped(csv(GOOD)), YAML, r"compressed with gzip, without \.gz"),
    ("zstd without its name", "events.csv", zst(csv(GOOD)), YAML, r"compressed with zstd, without \.zst"),
    ("an old workbook", "events.csv", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(500), YAML, r"old Excel workbook"),
    ("zstd cut short", "events.csv.zst", zst(csv(GOOD) * 3000)[:-9], YAML, "not a complete zstd file"),
    ("not zstd", "events.csv.zst", csv(GOOD), YAML, "not a complete zstd file"),
    ("an empty zstd file", "events.csv.zst", b"", YAML, "is empty"),
    ("nothing in a gzip file", "events.csv.gz", zipped(b""), YAML, "is empty, once it is unpacked"),
    ("only blank lines", "events.csv", b"\n\n\n", YAML, "first line is blank"),
    (
        "utf-16 cut short",
        "events.csv",
        (MARKED["utf-16-le"] + TEXT.encode("utf-16-le"))[:-1],
        YAML,
        "not complete utf-16-le text",
    ),
    ("utf-16 without a mark", "events.csv", TEXT.encode("utf-16-le"), YAML, "NUL bytes.*encoding: utf-16-le"),
    (
        "utf-8 declared as utf-16",
        "events.csv",
        csv(GOOD),
        options("encoding: utf-16"),
        "is not utf-16: .*no byte order mark|is not utf-16",
    ),
    ("no encoding at all", "events.csv", csv(GOOD), options("encoding: klingon"), "'klingon' is not an encoding"),
    ("no text encoding", "events.csv", csv(GOOD), options("encoding: base64"), "'base64' is not an encoding"),
    ("a name twice", "events.csv", csv("1,2,3", header="id,who,id"), YAML, r"repeats id\..*names: \[id, who, id_3\]"),
    (
        "names that differ by case",
        "events.csv",
        csv("1,2", header="Id,ID"),
        YAML,
        r"repeats ID, Id\..*names: \[Id, ID_2\]",
    ),
    (
        "a comma too many in the header",
        "events.csv",
        csv(GOOD + ",", header=HEADER + ","),
        YAML,
        r"without a name.*names: \[id, .*column_8\]",
    ),
    (
        "names that are too few",
        "events.csv",
        csv(GOOD),
        options("names: [a, b]"),
        "has 7 columns.*`names` in source.yaml has 2",
    ),
    (
        "a header of two lines",
        "events.csv",
        csv(GOOD, header='id,"who\nor what",at,what,how,money,stars'),
        YAML,
        "does not close there.*skip: LINES",
    ),
    (
        "an option of no reader",
        "events.csv",
        csv(GOOD),
        options('separator: ";"'),
        "unknown separator. Known: all_varchar, delim, encoding, escape, header, names, nullstr, quote, skip",
    ),
    (
        "an option of another format",
        "events.csv",
        parquet(),
        YAML.replace("csv}", 'parquet, options: {delim: ";"}}'),
        "unknown delim. A file of format parquet has no options",
    ),
    ("less than nothing skipped", "events.csv", csv(GOOD), options("skip: -1"), "skip is -1"),
    (
        "a path out of the folder",
        "events.csv",
        csv(GOOD),
        YAML.replace("events.csv*", "../events.csv"),
        "a path inside the data folder",
    ),
    (
        "an absolute path",
        "events.csv",
        csv(GOOD),
        YAML.replace("events.csv*", "/tmp/events.csv"),
        "a path inside the data folder",
    ),
    ("a path that is no pattern", "events.csv", csv(GOOD), YAML.replace("events.csv*", "a**b"), "finds no files"),
    (
        "a pattern that finds nothing",
        "events.csv",
        csv(GOOD),
        YAML.replace("events.csv*", "orders-*.csv"),
        r"No file orders-\*\.csv .*there: events\.csv",
    ),
    ("JSON lines that are one array", "events.csv", f"[{OBJECT % 1}]\n".encode(), JSONL, "no JSON object"),
]


@pytest.mark.parametrize(("wrong", "name", "content", "yaml", "says"), STOPPED, ids=[case[0] for case in STOPPED])
def test_what_is_not_the_table_it_should_be_stops_the_run_with_one_line(
    tmp_path: Path, wrong: str, name: str, content: bytes, yaml: str, says: str
) -> None:
    tiny = Tiny(tmp_path, content, yaml=yaml, name=name)
    with pytest.raises(FedeltaError) as stopped:
        tiny.ingest()
    assert re.search(says, str(stopped.value)), (wrong, str(stopped.value))
    assert "\n" not in str(stopped.value)
    assert not tiny.outputs.interactions.exists()


def test_there_are_at_least_twelve_further_broken_files() -> None:
    assert len(STOPPED) >= 12


@pytest.mark.parametrize("path", ["events.csv", "events"])
def test_a_folder_in_the_place_of_a_file_is_called_one(tmp_path: Path, path: str) -> None:
    tiny = Tiny(tmp_path, None, YAML.replace("events.csv*", path))
    (tiny.raw / path).mkdir(parents=True)
    with pytest.raises(SourceError, match=rf"{path} is a folder.*say {path}/\*"):
        tiny.ingest()


@pytest.mark.parametrize("target", ["events.csv", "nowhere.csv"])
def test_a_link_that_leads_nowhere_is_named(tmp_path: Path, target: str) -> None:
    tiny = Tiny(tmp_path, None)
    tiny.raw.mkdir()
    (tiny.raw / "events.csv").symlink_to(target)
    with pytest.raises(SourceError, match="a link that leads to no file"):
        tiny.ingest()


def test_hidden_files_are_not_read(tmp_path: Path) -> None:
    # What macOS leaves beside a file in an archive, and Excel beside an open one, is no data.
    tiny = Tiny(tmp_path, csv(GOOD), YAML.replace("events.csv*", "*.csv"))
    tiny.others = {"._events.csv": b"\0\x05\x16\x07", "~$events.csv": b"ann"}
    assert [file.file for file in tiny.ingest().files] == ["events.csv"]


def test_a_file_that_may_not_be_read_is_named() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        tiny = Tiny(folder, csv(GOOD))
        tiny.raw.mkdir()
        (tiny.raw / "events.csv").write_bytes(csv(GOOD))
        (tiny.raw / "events.csv").chmod(0)
        user = os.geteuid()
        if user == 0:
            os.seteuid(65534)  # root may read anything
        try:
            source = tiny_source_of(tiny, user)
            with pytest.raises(SourceError, match=r"events\.csv cannot be read: Permission denied"):
                raw_files.survey(found_files(source, tiny.raw)[0], source.options, (), folder / "tidy")
        finally:
            os.seteuid(user)


def tiny_source_of(tiny: Tiny, user: int) -> raw_files.RawFiles:
    os.seteuid(user)
    source = tiny.source().files[0]
    if user == 0:
        os.seteuid(65534)
    return source


@pytest.mark.parametrize("file_format", ["csv", "parquet"])
def test_a_file_that_grows_while_it_is_read_stops_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file_format: str
) -> None:
    yaml = YAML.replace("format: csv", f"format: {file_format}")
    tiny = Tiny(tmp_path, csv(GOOD) if file_format == "csv" else parquet(), yaml=yaml)
    read = raw_files._written if file_format == "csv" else raw_files._one

    def grow_first(connection: object, sql: str) -> object:
        with (tiny.raw / "events.csv").open("ab") as file:
            file.write(OTHER.encode() + b"\n")
        return read(connection, sql)  # type: ignore[arg-type]

    target = "_written" if file_format == "csv" else "_one"
    monkeypatch.setattr(raw_files, target, grow_first)
    with pytest.raises(SourceError, match=r"events\.csv changed while it was read|not a Parquet file"):
        tiny.ingest()
    assert not tiny.outputs.interactions.exists()


def test_a_file_that_changes_between_reading_and_judging_stops_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny = Tiny(tmp_path, csv(GOOD))
    load = raw_files.load_raw_files

    def load_then_change(*arguments: object) -> object:
        counts = load(*arguments)  # type: ignore[arg-type]
        (tiny.raw / "events.csv").write_bytes(csv(OTHER, GOOD))
        return counts

    monkeypatch.setattr("fedelta.pipeline.intake.staging.load_raw_files", load_then_change)
    with pytest.raises(SourceError, match=r"events\.csv changed while it was read"):
        tiny.ingest()


PARQUET = YAML.replace('"events.csv*", format: csv', '"*.parquet", format: parquet')


@pytest.mark.parametrize(
    ("first", "second", "says"),
    [
        ({"who": [412]}, {"who": [412.0]}, "who is BIGINT in events.parquet and DOUBLE in other.parquet"),
        ({"at": [pa.scalar(0, pa.date32())]}, {"at": [pa.scalar(0, pa.timestamp("us"))]}, "at is DATE in"),
    ],
)
def test_parquet_files_whose_types_would_change_values_are_not_one_table(
    tmp_path: Path, first: dict[str, object], second: dict[str, object], says: str
) -> None:
    tiny = Tiny(tmp_path, parquet(**first), yaml=PARQUET, name="events.parquet")
    tiny.others = {"other.parquet": parquet(**second)}
    with pytest.raises(SourceError, match=says):
        tiny.ingest()


def test_parquet_files_of_other_columns_or_wider_types_are_one_table(tmp_path: Path) -> None:
    small = parquet(who=pa.array([7], pa.int16()), stars=pa.array([None], pa.null()))
    tiny = Tiny(tmp_path, small, yaml=PARQUET, name="events.parquet")
    tiny.others = {"other.parquet": parquet(who=pa.array([412]), id=["2"], note=["new"])}
    tiny.ingest()
    assert tiny.interactions()["customer_id"].to_list() == ["412", "7"]


def test_names_with_quotes_commas_and_apostrophes_are_names(tmp_path: Path) -> None:
    header = '"the ""id""",who\'s,"a,t",what,how,money,stars'
    sql = (
        'SELECT "the ""id""" AS interaction_id, "who\'s" AS customer_id, "a,t" AS occurred_at, what AS kind FROM events'
    )
    tiny = Tiny(tmp_path, csv(GOOD, header=header), sql=sql)
    tiny.ingest()
    assert tiny.interactions()["interaction_id"].to_list() == ["1"]


def test_a_json_array_in_gzip_is_read_and_a_broken_one_named(tmp_path: Path) -> None:
    yaml = YAML.replace("csv}", "json}")
    content = json.dumps([json.loads(OBJECT % 1)]).encode()
    tiny = Tiny(tmp_path, gzip.compress(content), yaml=yaml, name="events.csv.gz")
    tiny.ingest()
    assert tiny.interactions()["interaction_id"].to_list() == ["1"]
    with pytest.raises(SourceError, match=r"is not JSON|not a complete"):
        Tiny(tmp_path, gzip.compress(content)[:-20], yaml=yaml, name="events.csv.gz").ingest()
