"""The list of a snapshot beside a plain filter of the scores, and what it is exported as."""

import io
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import openpyxl
import orjson
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scoring_runs import AS_OF, Client, Publish, customer, full_url, reason, scores, unscored

from fedelta.features.contract import SCORES
from fedelta.serve.app import create_app
from fedelta.serve.caller.settings import Settings
from fedelta.serve.operational.database import Database
from fedelta.serve.snapshots import pages
from fedelta.serve.snapshots.document import CSV_COLUMNS
from fedelta.serve.snapshots.listing import AtRisk, Filters
from fedelta.serve.snapshots.publish import publish
from fedelta.serve.snapshots.read import SnapshotFile

SORTS = {
    "value_at_risk": "value_at_risk",
    "probability": "churn_probability",
    "delta": "delta",
    "expected_profit": "expected_profit",
}
NUMBERS = st.none() | st.sampled_from([-1.5, 0.0, 1.0, 2.0, 2.5])
CODES = ("silence", "bad_experiences", "open_issue", "rest")


def people(seed: int, rows: int, *, later: bool) -> pl.DataFrame:
    """Random customers, of whom every column of the list has several values and some nulls."""

    def any_of(name: str, *values: object) -> pl.Series:
        numbers = pl.int_range(rows, eager=True).hash(seed + sum(map(ord, name))) % len(values)
        return pl.Series(name, [values[number] for number in numbers])

    some: dict[str, list[object]] = {
        "churn_probability": [0.1, 0.5, 0.9], "risk_tier": ["low", "high", "critical"],
        "clv_expected": [None, 0.0, 2.0],
        "value_at_risk": [None, 0.0, 1.0, 2.5], "expected_profit": [None, -1.5, 2.0], "p_here": [None, 0.2, 0.5, 0.9],
        "previous_probability": [None, 0.1, 0.5], "loyalty_class": [None, "loyal", "none"],
        "persona": [None, "quiet", "loud"], "journey": [None, "use"], "journey_stage": [None, "loyalty", "purchase"],
        "channel": [None, "web", "store"], "action": [None, "keep"],
        "team": [None, "north", "south"], "open_issue": [None, True, False],
        "held_out": [None, True, False, False], "suppression_reason": [None, None, "opted out"],
        "status": ["scored", "scored", "scored", "too_new"],
    }  # fmt: skip
    plain = scores(customer("c", as_of=AS_OF + timedelta(days=30 * later)))[[0] * rows]
    reasons = [
        [reason(code=code, theme=code[:4]) for code in CODES if (row * 7 + len(code)) % 3 == seed % 3] or None
        for row in range(rows)
    ]
    return plain.with_columns(
        *(any_of(name, *values).cast(SCORES[name]) for name, values in some.items()),
        pl.Series("reasons", reasons, SCORES["reasons"]),
        pl.format("c{}", (pl.int_range(rows) * 7_919) % rows).alias("customer_id"),
    )


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[pl.DataFrame, pl.DataFrame, Path, str]:
    """Two runs, published one after the other, the folder, and the id of the second."""
    folder = tmp_path_factory.mktemp("lists")
    database = Database.at(f"sqlite:///{folder}/fedelta.db", folder / "snapshots")
    first, second = people(1, 301, later=False), people(2, 301, later=True)
    for run in (first, second):
        run.write_parquet(folder / "scores.parquet")
        published = publish(folder / "scores.parquet", database, bundle=folder, metrics=folder / "none.json")
    return first, second, folder, published.snapshot_id


def plainly(first: pl.DataFrame, second: pl.DataFrame, filters: Filters, sort: str) -> list[str]:
    """The ids of a list, by the shortest words of Polars."""
    before = first.filter(status="scored").select("customer_id", was="churn_probability", tier="risk_tier")
    table = second.join(before, on="customer_id", how="left").filter(status="scored")
    table = table.with_columns(delta=pl.col("churn_probability") - pl.coalesce("previous_probability", "was"))
    table = table.with_columns(changed=pl.when(pl.col("risk_tier") != pl.col("tier")).then("as_of"))
    wanted = [pl.col(name).is_in(list(values)) for name, values in filters.any_of.items() if values]
    least = {
        "churn_probability": filters.min_probability,
        "clv_expected": filters.min_clv,
        "value_at_risk": filters.min_value_at_risk,
        "delta": filters.min_delta,
        "changed": filters.tier_changed_since,
    }
    wanted += [pl.col(name) >= value for name, value in least.items() if value is not None]
    aside = ((pl.col("held_out").fill_null(value=False), filters.holdout),
             (pl.col("suppression_reason").is_not_null(), filters.suppressed))  # fmt: skip
    wanted += [is_aside == (which == "only") for is_aside, which in aside if which != "include"]
    if filters.open_issue is not None:
        wanted.append(pl.col("open_issue") == filters.open_issue)
    if filters.presence:
        wanted.append(pl.col("p_here") >= 0.5 if filters.presence == "probably_here" else pl.col("p_here") < 0.5)
    for field, values in (("code", filters.reason_codes), ("theme", filters.themes)):
        if values:
            named = pl.element().struct.field(field).is_in(values) & (pl.element().struct.field("code") != "rest")
            wanted.append(pl.col("reasons").list.eval(named).list.any())
    kept = table.filter(*wanted) if wanted else table
    return kept.sort("customer_id").sort(
        SORTS[sort], descending=True, nulls_last=True, maintain_order=True
    )["customer_id"].to_list()  # fmt: skip


def some(*values: str) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(values), max_size=2, unique=True)


FILTERS = st.builds(
    Filters,
    min_probability=st.none() | st.sampled_from([0.1, 0.3, 0.5, 0.95]),
    min_clv=NUMBERS,
    min_value_at_risk=NUMBERS,
    min_delta=st.none() | st.sampled_from([-0.2, 0.0, 0.05, 0.3]),
    holdout=st.sampled_from(["exclude", "only", "include"]),
    suppressed=st.sampled_from(["exclude", "only", "include"]),
    any_of=st.fixed_dictionaries(
        {},
        optional={
            "risk_tier": some("low", "high", "medium"), "persona": some("quiet", "nobody's"),
            "channel": some("web", "store", "nobody's"), "journey": some("use"),
            "journey_stage": some("loyalty", "purchase"), "loyalty_class": some("loyal", "none"),
            "action": some("keep"), "team": some("north", "south"),
        },
    ),
    open_issue=st.none() | st.booleans(),
    reason_codes=some("silence", "open_issue", "unheard of", "rest"),
    themes=some("sile", "bad_", "rest"),
    tier_changed_since=st.none() | st.sampled_from([AS_OF, AS_OF + timedelta(days=30), AS_OF + timedelta(days=31)]),
    presence=st.none() | st.sampled_from(["probably_here", "probably_gone"]),
)  # fmt: skip


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    filters=FILTERS,
    sort=st.sampled_from(sorted(SORTS)),
    limit=st.integers(1, 90),
    length=st.sampled_from([3, 64]),
    many=st.sampled_from([0, 1_000]),
)
def test_every_filter_and_sort_lists_whom_a_plain_filter_of_the_scores_does(
    runs: tuple[pl.DataFrame, pl.DataFrame, Path, str],
    monkeypatch: pytest.MonkeyPatch,
    *,
    filters: Filters,
    sort: Any,
    limit: int,
    length: int,
    many: int,
) -> None:
    first, second, folder, snapshot_id = runs
    for name, value in {"RUN_ROWS": length, "_BLOCK": length, "_MANY": many}.items():
        monkeypatch.setattr(pages, name, value)
    file = SnapshotFile(folder / f"snapshots/default/{snapshot_id}.db")
    expected = plainly(first, second, filters, sort)
    wanted = AtRisk(filters, sort)
    found: list[str] = []
    after = 0
    while True:
        kept = pages.quick_page(file, wanted, after, limit)
        rows, total = pages.page(file, wanted, after, limit)
        assert kept in (None, (rows, total))
        assert pages.quick_page(file, wanted, after, limit) == (rows, total)
        assert total == len(expected)
        found += [orjson.loads(file.body(row))["customer_id"] for _, row in rows]
        if len(rows) < limit:
            break
        after = rows[-1][0]
    assert found == expected
    ranks, at = pages.whole(file, wanted, 0, None)
    assert [orjson.loads(file.body(row))["customer_id"] for row in at] == expected
    assert ranks.is_sorted()
    least = expected[: len(expected) // 2]
    narrowed = pages.bits(file, least, value=False)
    rows, total = pages.page(file, wanted, 0, 1_000, narrowed)
    assert [orjson.loads(file.body(row))["customer_id"] for _, row in rows] == expected[len(least) :]


def ask(client: Client, **query: object) -> bytes:
    response = client.get(f"/v1/at-risk?{urlencode(query, doseq=True)}")
    assert response.status_code == 200, response.text
    return response.content


@pytest.fixture
def database(sqlite_database: Database) -> Database:
    """Reads ask the snapshot, whatever the operational database is."""
    return sqlite_database


REASONS = [reason(code="silence", theme="rhythm", text='Quiet <&> for "80" days', contribution=0.5)]
ROWS = (
    customer("ann", value_at_risk=3.5, reasons=REASONS, open_issue=True, expected_next_order_at=AS_OF),
    customer("=1+1", value_at_risk=2.0, persona="x\x01y\r\nz", contact_on=AS_OF.date()),
    customer("cat", value_at_risk=None, next_categories=[{"category": "tea", "probability": 0.5, "reason": "often"}]),
)


def test_every_format_holds_the_same_rows(client: Client, publish_customers: Publish) -> None:
    publish_customers(*ROWS, unscored("dan"))
    rows = orjson.loads(ask(client))["customers"]
    assert [row["customer_id"] for row in rows] == ["ann", "=1+1", "cat"]
    assert [orjson.loads(line) for line in ask(client, format="ndjson").splitlines()] == rows
    parquet = pl.read_parquet(io.BytesIO(ask(client, format="parquet")))
    assert parquet.columns == list(CSV_COLUMNS)
    assert {name: dtype for name, dtype in parquet.schema.items() if name in SCORES} == dict(SCORES)
    kept = scores(*ROWS).drop("previous_probability")
    assert parquet.select(kept.columns).equals(kept)
    csv = pl.read_csv(ask(client, format="csv"), infer_schema=False)
    assert csv["customer_id"].to_list() == ["ann", "'=1+1", "cat"]
    sheet = openpyxl.load_workbook(io.BytesIO(ask(client, format="xlsx")))["at risk"]
    header, *cells = [list(row) for row in sheet.iter_rows(values_only=True)]
    assert header == list(CSV_COLUMNS)
    told = [dict(zip(header, row, strict=True)) for row in cells]
    assert [one["customer_id"] for one in told] == ["ann", "=1+1", "cat"]  # text in a sheet is no formula
    assert told[0]["reasons"] == 'raises: Quiet <&> for "80" days'
    assert told[1]["persona"].replace("\r", "") == "xy\nz"
    assert (told[0]["open_issue"], told[0]["value_at_risk"], told[2]["value_at_risk"]) == (True, 3.5, None)
    assert told[2]["next_categories"] == "tea 50%: often"


@pytest.mark.parametrize("form", ["csv", "ndjson", "parquet", "xlsx"])
def test_a_file_of_nobody_is_a_whole_file(client: Client, publish_customers: Publish, form: str) -> None:
    publish_customers(unscored("ann"))
    content = ask(client, format=form)
    read: dict[str, Callable[[bytes], int]] = {
        "csv": lambda file: pl.read_csv(file).height,
        "ndjson": len,
        "parquet": lambda file: pl.read_parquet(io.BytesIO(file)).height,
        "xlsx": lambda file: openpyxl.load_workbook(io.BytesIO(file)).active.max_row - 1,  # type: ignore[union-attr]
    }
    assert read[form](content) == 0


def test_csv_for_excel_begins_with_a_mark(client: Client, publish_customers: Publish) -> None:
    publish_customers(customer("ann"))
    assert ask(client, format="csv", bom="true") == b"\xef\xbb\xbf" + ask(client, format="csv")


@pytest.mark.parametrize("form", ["csv", "ndjson", "parquet", "xlsx"])
def test_the_accept_header_names_every_format(client: Client, publish_customers: Publish, form: str) -> None:
    publish_customers(customer("ann"))
    kind = client.get(f"/v1/at-risk?format={form}").headers["content-type"].split(";")[0]
    response = client.get("/v1/at-risk", headers={"Accept": kind})
    assert response.headers["content-type"].split(";")[0] == kind
    assert f'.{form}"' in response.headers["content-disposition"]


def test_a_page_says_how_many_there_are_and_how_old_they_are(
    database: Database, key: str, client: Client, publish_customers: Publish
) -> None:
    publish_customers(*(customer(f"c{i}") for i in range(30)), customer("x", held_out=True))
    for _ in range(2):  # the second answer needs no thread
        page = client.get("/v1/at-risk?limit=7").json()
        assert (page["total"], page["total_is_exact"], len(page["customers"])) == (30, True, 7)
        assert page["age_seconds"] < 60
        assert page["stale"] is False
    strict = create_app(full_url(database), Settings(access_log="off", stale_after_hours=1e-9), look_again=0)
    asking = Client(strict, key)
    assert asking.get("/v1/at-risk").json()["stale"] is True
    assert asking.get("/v1/models/current").json()["stale"] is True
    assert asking.get("/readyz").json()["stale"] is True
    asking.close()
    strict.state.store.close()
    assert datetime.fromisoformat(page["as_of"]) == AS_OF
