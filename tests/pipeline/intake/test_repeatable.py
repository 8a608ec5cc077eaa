"""The same files give the same rows: other SQL is refused, and what an unsaid order decides is warned of."""

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from tiny_source import GOOD, SQL, YAML, Tiny, csv

from fedelta.pipeline.intake.repeatable import must_be_repeatable, warning_of_order
from fedelta.pipeline.intake.section import SourceError

HERE = Path(__file__).parents[3]
# The words that a user would type: checked one by one, whatever DuckDB says of them.
CHANGING = [
    "uuid()", "gen_random_uuid()", "uuidv4()", "uuidv7()", "random()", "now()", "today()", "current_date",
    "CURRENT_DATE", "current_timestamp", "current_time", "localtime", "localtimestamp", "get_current_timestamp()",
    "transaction_timestamp()", "current_localtimestamp()", "nextval('s')", "currval('s')", "txid_current()",
    "ago(INTERVAL 1 DAY)", "age(since)", "NOW ( )", '"now"()', "pg_catalog.now()", "pg_postmaster_start_time()",
]  # fmt: skip
PLACES = [
    "SELECT {} AS x FROM t",
    "SELECT a FROM t WHERE a = {}::VARCHAR",
    "SELECT a, a AS x FROM t ORDER BY {}",
    "WITH c AS (SELECT {} AS x) SELECT * FROM c, t",
    "SELECT (SELECT max({}) FROM t) AS x",
    "SELECT list_transform([1], lambda x: {}) AS x, since FROM t",
    "SELECT a FROM t UNION ALL SELECT {}::VARCHAR FROM t",
    "SELECT CASE WHEN a = '1' THEN {} END AS x FROM t",
    "SELECT * REPLACE ({} AS a) FROM t",
    "SELECT a, lag(a) OVER (ORDER BY {}) AS x FROM t",
    "SELECT a FROM t GROUP BY a HAVING max({}) IS NULL",
    "SELECT t.a FROM t JOIN t AS u ON t.a = u.a AND {}::VARCHAR <> ''",
    "FROM t QUALIFY row_number() OVER (PARTITION BY a ORDER BY {}) = 1",
]


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as made:
        made.execute(
            "CREATE TABLE t (a VARCHAR, since TIMESTAMP, now VARCHAR, random VARCHAR, uuid VARCHAR, today DATE, "
            '"sample" VARCHAR, limit_ VARCHAR, "read_csv" VARCHAR)'
        )
        yield made


@pytest.mark.parametrize("changing", CHANGING)
def test_the_clock_and_chance_are_refused_wherever_they_stand(
    connection: duckdb.DuckDBPyConnection, changing: str
) -> None:
    name = changing.partition("(")[0].rpartition(".")[2].strip(' "').lower()
    for place in PLACES:
        with pytest.raises(SourceError, match=rf"^x\.sql uses .*\b{name}\b"):
            must_be_repeatable(connection, place.format(changing), "x.sql")


def test_every_function_that_duckdb_calls_changeable_is_refused_or_settled(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    names = connection.execute(
        "SELECT DISTINCT function_name FROM duckdb_functions() WHERE stability <> 'CONSISTENT' ORDER BY 1"
    ).fetchall()
    passed = set()
    for (name,) in names:
        try:
            must_be_repeatable(connection, f"SELECT {name}() AS x FROM t", "x.sql")
        except SourceError:
            continue
        passed.add(name)
    assert passed == {
        "current_database", "current_schema", "current_schemas", "current_setting", "error", "getvariable",
        "in_search_path", "vector_type",
    }  # fmt: skip


@pytest.mark.parametrize(
    "sql",
    [
        'SELECT now, random, uuid, today, "sample", limit_, "read_csv" FROM t',
        "SELECT t.now AS current_date FROM t",
        "SELECT current_date, current_timestamp FROM (SELECT a AS current_date, a AS current_timestamp FROM t)",
        "SELECT v.x FROM (VALUES (1)) AS v (x)",
        "SELECT current_date FROM (VALUES (1)) AS v (current_date)",
        "SELECT 'random()', 'now()' AS \"uuid()\" FROM t WHERE a = 'current_date' -- uuid()\n /* now() */",
        "SELECT age(since, TIMESTAMP '2024-01-01'), date_diff('day', since, DATE '2024-01-01') FROM t",
        "SELECT md5(a), hash(a) % 10 = 0, current_setting('TimeZone') FROM t",
        "SELECT * FROM t TABLESAMPLE bernoulli (10%) REPEATABLE (7)",
        "SELECT * FROM t, unnest([1, 2]) AS u (n), range(3) AS r (i), generate_series(1, 2) AS g (i)",
        "SELECT row_number() OVER (PARTITION BY a) AS n, lag(a) OVER (ORDER BY since) FROM t",
        "SELECT list(a ORDER BY since), string_agg(a, '|' ORDER BY a), first(a ORDER BY since), any_value(a) FROM t",
        "SELECT DISTINCT a FROM t ORDER BY a LIMIT 3",
        "SELECT DISTINCT ON (a) a, since FROM t ORDER BY a, since",
        "SELECT sum(count(*)) OVER () AS n FROM t",
    ],
)
def test_names_and_texts_that_only_look_like_it_are_let_through_in_silence(
    connection: duckdb.DuckDBPyConnection, sql: str
) -> None:
    must_be_repeatable(connection, sql, "x.sql")
    assert warning_of_order(connection, sql, "x.sql") is None


@pytest.mark.parametrize(
    ("sql", "named"),
    [
        ("SELECT * FROM t TABLESAMPLE 10%", "a sample without"),
        ("SELECT * FROM t USING SAMPLE 10", "a sample without"),
        ("SELECT * FROM (SELECT * FROM t TABLESAMPLE reservoir (10 ROWS))", "a sample without"),
        ("SELECT current_date AS current_date FROM t", "current_date"),
        ("SELECT * FROM 'more.csv'", r"reads 'more\.csv', which is no table"),
        ("SELECT * FROM t JOIN 'https://example.org/rates.parquet' AS r ON true", "rates"),
        ("SELECT * FROM read_csv('more.csv')", "read_csv"),
        ("SELECT * FROM glob('*')", "glob"),
        ("SELECT * FROM query('SELECT now()')", "query"),
        ("SELECT a IN (SELECT x FROM read_parquet('more.parquet')) FROM t", "read_parquet"),
    ],
)
def test_draws_without_a_seed_and_files_of_no_table_are_refused(
    connection: duckdb.DuckDBPyConnection, sql: str, named: str
) -> None:
    with pytest.raises(SourceError, match=named):
        must_be_repeatable(connection, sql, "x.sql")


@pytest.mark.parametrize(
    ("sql", "named"),
    [
        ("SELECT row_number() OVER () AS n FROM t", r"row_number\(\) OVER \(\)"),
        ("SELECT lag(a) OVER () AS n FROM t", "lag"),
        ("SELECT string_agg(a) FROM t", "string_agg"),
        ("SELECT list(a), first(now) FROM t", r"first\(\), list\(\)"),
        ("SELECT a FROM t LIMIT 3", "LIMIT"),
        ("SELECT * FROM (SELECT a FROM t LIMIT 10%)", "LIMIT"),
        ("SELECT DISTINCT ON (a) a, since FROM t", "DISTINCT ON"),
        ("SELECT approx_quantile(1, 0.5) FROM t", "approx_quantile"),
    ],
)
def test_what_an_unsaid_order_decides_is_warned_of(connection: duckdb.DuckDBPyConnection, sql: str, named: str) -> None:
    must_be_repeatable(connection, sql, "x.sql")
    assert named.replace("\\", "") in str(warning_of_order(connection, sql, "x.sql"))


def test_the_sources_that_come_along_are_repeatable(connection: duckdb.DuckDBPyConnection) -> None:
    for path in sorted((HERE / "sources").glob("*/*.sql")):
        must_be_repeatable(connection, path.read_text(), str(path))
        assert warning_of_order(connection, path.read_text(), str(path)) is None, path


def test_a_source_that_asks_for_the_time_stops_and_one_without_an_order_is_warned_of(tmp_path: Path) -> None:
    clock = Tiny(tmp_path / "clock", csv(GOOD), sql=SQL.replace('"at" AS', "now() AS"))
    clock.folder.mkdir()
    with pytest.raises(SourceError, match=r"^tiny/interactions\.sql uses now\(\): "):
        clock.ingest()
    drawn = Tiny(tmp_path / "drawn", csv(GOOD), sql=SQL.replace("id AS", "row_number() OVER () AS"))
    drawn.folder.mkdir()
    assert sum("interactions.sql uses row_number() OVER ()" in words for words in drawn.ingest().warnings) == 1
    column = Tiny(tmp_path / "column", csv("now,1", header="current_date,id"), YAML)
    column.folder.mkdir()
    named = "current_date AS customer_id, '2024-01-05' AS occurred_at, 'visit' AS kind"
    column.sql = f"SELECT id AS interaction_id, {named} FROM events"
    column.ingest()
    assert column.interactions()["customer_id"].to_list() == ["now"]
