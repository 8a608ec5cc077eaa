"""Tables of a real PostgreSQL server come out as they are, all of one moment; its password stays where it was."""

import datetime as dt
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

import duckdb
import polars as pl
import pytest
from postgres import PASSWORD, Server, running
from tiny_source import NOW, SQL, YAML, Tiny

from fedelta.pipeline.commands.use import fetch as fetch_command
from fedelta.pipeline.commands.use import use
from fedelta.pipeline.intake.databases import fetch
from fedelta.pipeline.intake.section import SourceError
from fedelta.pipeline.intake.source_check import check
from fedelta.pipeline.intake.sources import DatabaseTable, RawFiles, ReadOptions, Source, load_source

FROM_DATABASE = YAML.split("files:")[0] + 'files:\n  events: {url: "env:TINY_URL", table: shop.events}\n'
PARAMS = """\
source: demo
data: data/raw/demo
horizon_days: 90
lead_days: 0
cutoffs: {step_days: 30, train: 6, score_at: latest}
churn: {definition: inactivity}
"""


@pytest.fixture(scope="module")
def server(needs_system: Callable[[str], Path]) -> Iterator[Server]:
    with running(needs_system("postgresql")) as made:
        made.run(
            "CREATE SCHEMA shop",
            'CREATE TABLE shop.events (id text, who char(8), "at" timestamp, what text, how text, '
            "money numeric(12, 2), stars real)",
            "INSERT INTO shop.events VALUES ('00123', 'ann', '2024-01-05 10:00', 'purchase', 'web', 12.50, 0.5), "
            "('2', '007', '2024-01-06', 'visit', 'app', NULL, NULL)",
        )
        yield made


@pytest.fixture
def password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSWORD", PASSWORD)


def source(url: str, **queries: str) -> Source:
    files = tuple(
        RawFiles(name, f"{name}.parquet", "parquet", ReadOptions(), DatabaseTable(url, query))
        for name, query in queries.items()
    )
    return Source("x", "", "EUR", "UTC", files, "")


@pytest.mark.usefixtures("password")
def test_values_come_out_as_the_database_has_them(server: Server, tmp_path: Path) -> None:
    server.run("CREATE TYPE mood AS ENUM ('glad', 'sad')")
    query = (
        "SELECT 9007199254740993::bigint AS big, 12.50::numeric(12, 2) AS price, 412::numeric(20, 0) AS id, "
        "1.10::numeric AS loose, 'ab'::char(5) AS padded, '00123'::text AS code, true AS yes, '5'::money AS cash, "
        "'2024-01-05'::date AS day, '2024-01-05 10:00'::timestamp AS local, "
        "'2024-01-05 10:00+02'::timestamptz AS \"at\", "
        "'infinity'::timestamp AS never, 'sad'::mood AS mood, '{\"a\": 1}'::jsonb AS doc, NULL::int AS none, "
        "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid AS key, 0.1::float8 AS share -- the last one"
    )
    fetch(source(server.url, t=query), tmp_path)
    table = pl.read_parquet(tmp_path / "t.parquet").drop("never")
    assert table.row(0, named=True) == {
        "big": 9007199254740993,
        "price": Decimal("12.50"),
        "id": Decimal(412),
        "loose": "1.10",
        "padded": "ab",
        "code": "00123",
        "yes": True,
        "cash": "5.00",
        "day": dt.date(2024, 1, 5),
        "local": dt.datetime(2024, 1, 5, 10, tzinfo=dt.UTC).replace(tzinfo=None),
        "at": dt.datetime(2024, 1, 5, 8, tzinfo=dt.UTC),
        "mood": "sad",
        "doc": '{"a": 1}',
        "none": None,
        "key": "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
        "share": 0.1,
    }
    with duckdb.connect() as connection:
        never = connection.execute(f"SELECT never::VARCHAR, id::VARCHAR FROM '{tmp_path / 't.parquet'}'").fetchone()
    assert never == ("infinity", "412"), "neither a date BC nor 412.0"


@pytest.mark.usefixtures("password")
def test_a_table_that_did_not_change_gives_the_same_bytes_in_whatever_order_it_is_read(
    server: Server, tmp_path: Path
) -> None:
    rows = "SELECT i, md5(i::text) AS m FROM generate_series(1, 50000) AS g(i) ORDER BY random()"
    for name in ("first", "second"):
        assert fetch(source(server.url, t=rows), tmp_path / name) == ["t: 50,000 rows"]
    assert (tmp_path / "first/t.parquet").read_bytes() == (tmp_path / "second/t.parquet").read_bytes()
    assert [path.name for path in (tmp_path / "first").iterdir()] == ["t.parquet"]


@pytest.mark.usefixtures("password")
def test_all_tables_are_of_one_moment(server: Server, tmp_path: Path) -> None:
    server.run("CREATE TABLE growing (n int)", "INSERT INTO growing VALUES (1)")
    count = "SELECT count(*) AS n FROM growing"

    def grow(_: str) -> None:
        server.run("INSERT INTO growing VALUES (2)")

    grow("")
    fetch(source(server.url, a=count, b=count), tmp_path, grow)
    assert pl.read_parquet(tmp_path / "a.parquet").equals(pl.read_parquet(tmp_path / "b.parquet"))


@pytest.mark.usefixtures("password")
@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("SELECT nosuch FROM shop.events", 'refused its query: column "nosuch" does not exist'),
        ("SELECT 1; SELECT 2", "multiple commands"),
        ("DELETE FROM shop.events RETURNING *", "syntax error"),
        ("SELECT nextval('counter')", "read-only transaction"),
        ('SELECT 1 AS a, 2 AS "A"', "yields A, a more than once"),
        ("SELECT", "no column"),
        ("SELECT 'NaN'::numeric(5, 2) AS x", "Cast the column to text"),
    ],
)
def test_a_query_that_fails_is_one_line_and_leaves_the_copies_of_before(
    server: Server, tmp_path: Path, query: str, says: str
) -> None:
    server.run("CREATE SEQUENCE IF NOT EXISTS counter")
    fetch(source(server.url, a="SELECT 1 AS x"), tmp_path)
    before = (tmp_path / "a.parquet").read_bytes()
    with pytest.raises(SourceError, match=says) as stopped:
        fetch(source(server.url, a="SELECT 2 AS x", b=query), tmp_path)
    assert "\n" not in str(stopped.value)
    assert (tmp_path / "a.parquet").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["a.parquet"]


def test_a_wrong_password_is_one_line_without_it(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TINY_URL", server.secret_url.replace(PASSWORD, "open-sesame"))
    with pytest.raises(
        SourceError, match=r"env:TINY_URL cannot be reached: .*authentication failed.*PGPASSWORD"
    ) as wrong:
        fetch(source("env:TINY_URL", t="SELECT 1 AS x"), tmp_path)
    assert "open-sesame" not in str(wrong.value)
    assert "\n" not in str(wrong.value)


def test_using_a_source_copies_its_tables_and_the_password_is_written_nowhere(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TINY_URL", server.secret_url)
    tiny = Tiny(tmp_path, None, FROM_DATABASE)
    tiny.source()
    params, root = tmp_path / "params.yaml", tmp_path / "sources"
    params.write_text(PARAMS)
    assert "events < events.parquet: 2 rows" in check("tiny", tiny.raw, root, NOW), "before there is any copy"
    assert not tiny.raw.exists(), "a check writes nothing"
    assert "fetched events: 2 rows" in use("tiny", tiny.raw, params, root)
    tiny.ingest()
    kept = tiny.interactions()
    assert kept["interaction_id"].to_list() == ["2", "00123"]
    assert kept["customer_id"].to_list() == ["007", "ann"]
    assert kept["occurred_at"].to_list()[1] == dt.datetime(2024, 1, 5, 9, tzinfo=dt.UTC), "in the source's zone"
    assert kept["amount"].to_list() == [None, Decimal("12.5000")]
    server.run("INSERT INTO shop.events (id, who, \"at\", what) VALUES ('3', 'bob', '2024-02-01', 'visit')")
    assert fetch_command(None, None, params, root).startswith("events: 3 rows\nCopied into")
    assert tiny.ingest().interactions.equation.valid == 3
    for path in tmp_path.rglob("*"):
        assert path.is_dir() or PASSWORD.encode() not in path.read_bytes(), path


def test_without_a_copy_the_run_says_how_to_make_one(tmp_path: Path) -> None:
    tiny = Tiny(tmp_path, None, FROM_DATABASE)
    with pytest.raises(SourceError, match=r"no copy of the database table events.*fedelta fetch"):
        tiny.ingest()


@pytest.mark.parametrize(
    ("value", "says"),
    [(None, "variable TINY_URL, which source.yaml names, is not set"), ("mysql://x", "must begin with postgresql://")],
)
def test_a_variable_without_a_url_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str | None, says: str
) -> None:
    monkeypatch.delenv("TINY_URL", raising=False)
    if value:
        monkeypatch.setenv("TINY_URL", value)
    with pytest.raises(SourceError, match=says):
        fetch(source("env:TINY_URL", t="SELECT 1 AS x"), tmp_path)


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ('{url: "postgresql://ann:s3cret@db/shop", table: t}', "a URL with a password.*PGPASSWORD"),
        ('{url: "postgresql://db/shop?password=s3cret", table: t}', "a URL with a password"),
        ('{url: "mysql://ann:s3cret@db/shop", table: t}', "postgresql://USER@HOST"),
        ('{url: "env:URL"}', "table and query is .*one of the two"),
        ('{url: "env:URL", table: t, query: SELECT 1}', "one of the two"),
        ('{url: "env:URL", table: "t; DROP TABLE t"}', "a SELECT goes into `query`"),
        ('{url: "env:URL", table: t, path: x.csv}', "unknown path"),
    ],
)
def test_a_database_table_is_described_strictly_and_never_with_a_password(
    tmp_path: Path, entry: str, says: str
) -> None:
    with pytest.raises(SourceError, match=says) as refused:
        Tiny(tmp_path, yaml=YAML.split("files:")[0] + f"files:\n  events: {entry}\n", sql=SQL).source()
    assert "s3cret" not in str(refused.value)


def test_a_table_is_asked_for_whole_and_a_query_as_it_is(tmp_path: Path) -> None:
    entries = '{a: {url: "postgresql://ann@db/shop", table: shop.orders}, b: {url: "env:URL", query: "SELECT 1;"}}'
    Tiny(tmp_path, yaml=YAML.split("files:")[0] + f"files: {entries}\n").source()
    tables = [raw.database for raw in load_source("tiny", tmp_path / "sources").files]
    assert tables == [
        DatabaseTable("postgresql://ann@db/shop", "SELECT * FROM shop.orders"),
        DatabaseTable("env:URL", "SELECT 1"),
    ]


def test_a_part_of_the_system_that_is_missing_is_skipped_or_fails_where_it_is_required(
    needs_system: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(needs_system.__globals__["_PROGRAMS"], "abacus", "nowhere/abacus")  # type: ignore[attr-defined]
    monkeypatch.setenv("FEDELTA_REQUIRE_SYSTEM", "1")
    with pytest.raises(pytest.fail.Exception, match="apt-get install abacus"):
        needs_system("abacus")
    monkeypatch.delenv("FEDELTA_REQUIRE_SYSTEM")
    with pytest.raises(pytest.skip.Exception):
        needs_system("abacus")
