"""The present version of Delta and Iceberg tables is read: what was deleted or rewritten in them is not there."""

import shutil
import sys
from pathlib import Path

import deltalake
import pyarrow as pa
import pytest
from pyiceberg.catalog.sql import SqlCatalog
from tiny_source import YAML, Tiny

from fedelta.pipeline.intake.section import SourceError

ROWS = pa.table(
    {
        "id": ["00123", "2", "3"],
        "who": ["ann", "bob", "eve"],
        "at": ["2024-01-05 10:00", "2024-01-06", "2024-01-07"],
        "what": ["purchase", "visit", "visit"],
        "how": ["web", "app", "web"],
        "money": [12.5, None, None],
        "stars": [0.5, None, None],
    }
)


def source(tmp_path: Path, file_format: str, path: str = "events") -> Tiny:
    tiny = Tiny(tmp_path, None, YAML.replace('"events.csv*", format: csv', f'"{path}", format: {file_format}'))
    tiny.raw.mkdir()
    return tiny


def delta(tiny: Tiny) -> None:
    place = tiny.raw / "events"
    deltalake.write_deltalake(place, ROWS.slice(0, 2), partition_by=["what"])
    deltalake.write_deltalake(place, ROWS.slice(2), mode="append")
    deltalake.DeltaTable(place).delete("id = '2'")


def iceberg(tiny: Tiny) -> None:
    catalog = SqlCatalog("test", uri=f"sqlite:///{tiny.folder}/catalog.db", warehouse=f"file://{tiny.raw}")
    catalog.create_namespace("shop")
    table = catalog.create_table("shop.events", ROWS.schema, location=f"file://{tiny.raw}/events")
    table.append(ROWS.slice(0, 2))
    table.append(ROWS.slice(2))
    table.delete("id = '2'")
    catalog.close()


MAKE = {"delta": delta, "iceberg": iceberg}


@pytest.mark.parametrize("file_format", MAKE)
def test_the_present_version_of_a_table_is_read(tmp_path: Path, file_format: str) -> None:
    tiny = source(tmp_path, file_format)
    MAKE[file_format](tiny)
    report = tiny.ingest()
    assert [(file.file, file.rows) for file in report.files] == [("events", 2)]
    assert tiny.interactions()["interaction_id"].to_list() == ["00123", "3"]


@pytest.mark.parametrize("file_format", MAKE)
def test_a_folder_that_is_no_table_is_named(tmp_path: Path, file_format: str) -> None:
    tiny = source(tmp_path, file_format)
    (tiny.raw / "events").mkdir()
    with pytest.raises(SourceError, match=r"is not a table of .*it has no folder"):
        tiny.ingest()


@pytest.mark.parametrize(("file_format", "log"), [("delta", "_delta_log"), ("iceberg", "metadata")])
def test_a_table_without_its_log_is_one_line(tmp_path: Path, file_format: str, log: str) -> None:
    tiny = source(tmp_path, file_format)
    MAKE[file_format](tiny)
    for path in (tiny.raw / "events" / log).iterdir():
        path.unlink()
    with pytest.raises(SourceError, match=r"cannot be read|holds no \*\.metadata\.json") as stopped:
        tiny.ingest()
    assert "\n" not in str(stopped.value)


@pytest.mark.parametrize("file_format", MAKE)
def test_a_table_whose_files_are_gone_is_one_line(tmp_path: Path, file_format: str) -> None:
    tiny = source(tmp_path, file_format)
    MAKE[file_format](tiny)
    for path in (tiny.raw / "events").rglob("*.parquet"):
        path.unlink()
    with pytest.raises(SourceError, match=r"table .* cannot be read") as stopped:
        tiny.ingest()
    assert "\n" not in str(stopped.value)


def test_an_iceberg_table_that_was_moved_says_why_it_cannot_be_read(tmp_path: Path) -> None:
    tiny = source(tmp_path, "iceberg", "moved")
    iceberg(tiny)
    shutil.move(tiny.raw / "events", tiny.raw / "moved")
    with pytest.raises(SourceError, match="read it where it was written"):
        tiny.ingest()


def test_two_newest_versions_are_not_guessed_between(tmp_path: Path) -> None:
    tiny = source(tmp_path, "iceberg")
    iceberg(tiny)
    newest = max((tiny.raw / "events/metadata").glob("*.metadata.json"))
    shutil.copy(newest, newest.with_name(newest.name[:6] + "0" * 8 + newest.name[14:]))
    with pytest.raises(SourceError, match="holds 2 files of version"):
        tiny.ingest()


@pytest.mark.parametrize(("file_format", "package"), [("delta", "deltalake"), ("iceberg", "pyiceberg")])
def test_without_its_library_the_message_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file_format: str, package: str
) -> None:
    tiny = source(tmp_path, file_format)
    MAKE[file_format](tiny)
    for name in [name for name in sys.modules if name.split(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(SourceError, match=rf"package {package}.*uv pip install 'fedelta\[lakes\]'.*Parquet"):
        tiny.ingest()
