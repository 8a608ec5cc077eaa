"""Ingest: every row accounted for, the same tables whatever the order, all of it or nothing."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from tiny_source import GOOD, NOW, SQL, YAML, Tiny, csv

from fedelta.features.contract import INTERACTIONS
from fedelta.pipeline.buckets.shuffle import shuffle
from fedelta.pipeline.ingest import Outputs, ingest
from fedelta.pipeline.intake.reconciliation import Equation, ReconciliationError
from fedelta.pipeline.intake.section import SourceError
from fedelta.pipeline.intake.source_check import check
from fedelta.pipeline.intake.sources import load_source
from fedelta.pipeline.intake.staging import OutOfRoom

SHARED = Path("/work/shared/data")

PLANS = """\
attributes:
  plan: {type: categorical, known_from: plan_since}
  income: {type: numeric, static: true}
"""
MEMBERS = """\
SELECT member AS customer_id, since AS signed_up_at, out AS opted_out, plan, plan_since, income FROM members
"""


def with_members(folder: Path, *members: str) -> Tiny:
    yaml = YAML + '  members: {path: "members.csv", format: csv}\n' + PLANS
    header = "member,since,out,plan,plan_since,income"
    return Tiny(folder, csv(GOOD), yaml, customers_sql=MEMBERS, others={"members.csv": csv(*members, header=header)})


def fingerprint(outputs: Outputs) -> dict[str, str]:
    files = [p for place in (outputs.interactions, outputs.quarantine) for p in sorted(place.iterdir())]
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in [*files, outputs.customers, outputs.report]}


def test_a_row_arrives_typed_in_utc(tmp_path: Path) -> None:
    tiny = Tiny(tmp_path, csv(GOOD))
    tiny.ingest()
    row = tiny.interactions().select(INTERACTIONS.names())
    assert row.schema == INTERACTIONS
    assert row.row(0, named=True) == {
        "interaction_id": "1",
        "customer_id": "ann",
        "occurred_at": datetime(2024, 1, 5, 9, tzinfo=UTC),  # ten in Rome
        "kind": "purchase",
        "channel": "web",
        "amount": row["amount"][0],
        "rating": 0.8,
    } | dict.fromkeys(("resolved", "wait_hours", "delay_hours", "effort", "reach", "topic", "margin", "known_at"))
    assert str(row["amount"][0]) == "12.5000"


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2023-07-05 10:00:00", datetime(2023, 7, 5, 8, tzinfo=UTC)),  # summer in Rome
        ("2024-01-05", datetime(2024, 1, 4, 23, tzinfo=UTC)),
        ("2024-01-05T10:00:00Z", datetime(2024, 1, 5, 10, tzinfo=UTC)),
        ("2024-01-05 10:00:00+05:30", datetime(2024, 1, 5, 4, 30, tzinfo=UTC)),
        ("2024-03-31 02:30:00", datetime(2024, 3, 31, 1, 30, tzinfo=UTC)),  # this half hour never was
        ("2023-10-29 02:30:00", datetime(2023, 10, 29, 1, 30, tzinfo=UTC)),  # this one was twice
    ],
)
def test_a_time_without_a_zone_is_read_in_the_source_s(tmp_path: Path, text: str, utc: datetime) -> None:
    tiny = Tiny(tmp_path, csv(GOOD.replace("2024-01-05 10:00:00", text)))
    tiny.ingest()
    assert tiny.interactions()["occurred_at"].to_list() == [utc]


def test_a_timestamp_and_a_date_are_read_in_the_zone_as_well(tmp_path: Path) -> None:
    for made, utc in (("TIMESTAMP '2024-01-05 10:00'", 9), ("TIMESTAMPTZ '2024-01-05 10:00+00'", 10)):
        tiny = Tiny(tmp_path, csv(GOOD), sql=SQL.replace('"at" AS', f"{made} AS"))
        tiny.ingest()
        assert tiny.interactions()["occurred_at"].to_list() == [datetime(2024, 1, 5, utc, tzinfo=UTC)]


def test_the_future_begins_a_day_after_now(tmp_path: Path) -> None:
    rows = csv("1,ann,2024-06-02 14:00:00,visit,,,", "2,ann,2024-06-02 14:00:01,visit,,,")  # noon in UTC, and a second
    tiny = Tiny(tmp_path, rows)
    assert tiny.ingest(now=NOW).interactions.quarantined_for == {"in_the_future": 1}
    assert tiny.ingest(now=NOW + timedelta(seconds=1)).interactions.quarantined_for == {}


def test_one_of_the_rows_with_an_id_is_kept_the_same_one_in_any_order(tmp_path: Path) -> None:
    same = "5,ann,2024-02-01 10:00:00,visit,web,,"
    lines = [GOOD, same, same, "5,ann,2024-02-01 09:00:00,visit,web,,", "5,bob,2024-02-02,purchase,app,1,"]
    made = [one_order(tmp_path, order) for order in (lines, lines[::-1])]
    assert made[0] == made[1]


def one_order(folder: Path, lines: list[str]) -> dict[str, str]:
    tiny = Tiny(folder, csv(*lines))
    report = tiny.ingest()
    assert report.interactions.equation == Equation(5, 2, 3, 0, 0)
    assert report.interactions.conflicting_duplicates == 3, "of the kept row, the earliest, none is a copy"
    assert any("3 duplicates differ" in warning for warning in report.warnings)
    kept = tiny.interactions().filter(interaction_id="5")
    assert kept["occurred_at"].to_list() == [datetime(2024, 2, 1, 8, tzinfo=UTC)]
    return fingerprint(tiny.outputs)


def test_an_exact_copy_is_a_duplicate_without_conflict(tmp_path: Path) -> None:
    report = Tiny(tmp_path, csv(GOOD, GOOD)).ingest()
    assert report.interactions.equation == Equation(2, 1, 1, 0, 0)
    assert report.interactions.conflicting_duplicates == 0


def test_a_valid_row_is_kept_before_a_broken_one_with_its_id(tmp_path: Path) -> None:
    tiny = Tiny(tmp_path, csv("1,ann,2024-01-01,visit,fax,,", GOOD))
    assert tiny.ingest().interactions.equation == Equation(2, 1, 0, 0, 1)


def test_out_of_scope_is_decided_by_the_source_and_not_judged(tmp_path: Path) -> None:
    sql = SQL.replace("FROM events", ", CASE WHEN who = 'test' THEN 'test account' END AS out_of_scope FROM events")
    report = Tiny(tmp_path, csv(GOOD, "2,test,never,dance,fax,-1,11"), sql=sql).ingest()
    assert report.interactions.equation == Equation(2, 1, 0, 1, 0)
    assert report.interactions.out_of_scope_for == {"test account": 1}


def test_what_the_source_calls_unreadable_is_quarantined_in_its_words(tmp_path: Path) -> None:
    helpers = ", CASE WHEN id = '2' THEN 'roman figures' END AS unreadable, 'line ' || id AS source_row FROM events"
    tiny = Tiny(tmp_path, csv(GOOD, "2,ann,2024-01-01,visit,,,"), sql=SQL.replace("FROM events", helpers))
    tiny.ingest()
    quarantined = tiny.quarantine().select("rule", "reason", "source_row")
    assert quarantined.rows() == [("unreadable", "roman figures", "line 2")]


def test_a_source_may_declare_kinds_and_channels(tmp_path: Path) -> None:
    yaml = YAML + "kinds: [redemption]\nchannels: {kiosk: physical}\n"
    tiny = Tiny(tmp_path, csv("1,ann,2024-01-05,redemption,kiosk,,"), yaml)
    assert tiny.ingest().kinds == {"redemption": 1}
    assert tiny.source().all_channels["kiosk"] == "physical"
    assert tiny.source().all_channels["web"] == "digital"


rows = st.builds(
    lambda *cells: ",".join(cells),
    st.sampled_from(["", "1", "2", "3"]),
    st.sampled_from(["", "ann", "bob", "test"]),
    st.sampled_from(["", "2024-01-01", "2024-01-02 10:00", "soon", "1960-01-01", "2999-01-01"]),
    st.sampled_from(["purchase", "visit", "dance", ""]),
    st.sampled_from(["web", "", "fax"]),
    st.sampled_from(["", "1", "-1", "x", "nan", "1e20"]),
    st.sampled_from(["", "0.5", "7", "7,8", '"7', '""']),
)


@settings(max_examples=12, derandomize=True)
@given(st.lists(rows, max_size=12))
def test_every_row_is_accounted_for_once(tmp_path_factory: pytest.TempPathFactory, lines: Sequence[str]) -> None:
    sql = SQL.replace("FROM events", ", CASE WHEN who = 'test' THEN 'test' END AS out_of_scope FROM events")
    tiny = Tiny(tmp_path_factory.mktemp("law"), csv(GOOD.replace("1,", "good,", 1), *lines), sql=sql)
    report = tiny.ingest()
    entry, equation = report.interactions, report.interactions.equation
    assert equation.rows_in == 1 + len(lines), "each line is one row, or one malformed line"
    assert equation.rows_in == equation.valid + equation.duplicate + equation.out_of_scope + equation.quarantined
    assert equation.valid == tiny.interactions().height
    assert equation.quarantined == tiny.quarantine().height == sum(entry.quarantined_for.values())
    assert equation.duplicate == tiny.quarantine("duplicate_interactions").height
    assert tiny.interactions()["interaction_id"].is_unique().all()


def test_rows_lost_on_the_way_are_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def careless(connection: object, select: str, folder: Path) -> int:
        return shuffle(connection, f"SELECT * FROM ({select}) WHERE interaction_id <> '2'", folder)  # type: ignore[arg-type]

    monkeypatch.setattr("fedelta.pipeline.ingest.shuffle", careless)
    with pytest.raises(ReconciliationError, match=r"2 rows in = 1 valid .* 1 rows vanished"):
        Tiny(tmp_path, csv(GOOD, "2,bob,2024-01-05,visit,,,")).ingest()
    assert not (tmp_path / "data" / "interactions").exists()


def test_order_of_rows_workers_and_the_day_of_the_run_change_no_byte(tmp_path: Path) -> None:
    lines = [
        f"{n},c{n % 97},2024-01-{1 + n % 28:02d},purchase,web,{n % 50},{'x' if n % 200 == 0 else ''}"
        for n in range(5_000)
    ]
    tiny = Tiny(tmp_path, csv(*lines))
    tiny.ingest(workers=1)
    first = fingerprint(tiny.outputs)
    again = replace(tiny, events=csv(*lines[::-1]))
    again.ingest(workers=2, now=NOW + timedelta(days=400))
    assert fingerprint(again.outputs) == first


def test_every_customer_with_an_interaction_has_a_row(tmp_path: Path) -> None:
    tiny = with_members(
        tmp_path,
        "zoe,2023-01-01,false,gold,2023-05-01,100.5",
        "ann,2023-02-01,true,,,",
    )
    tiny.others["members.csv"] = tiny.others["members.csv"].replace(b"ann,2023-02-01,true,,,\n", b"")
    report = tiny.ingest()
    customers = tiny.customers()
    assert customers["customer_id"].to_list() == ["ann", "zoe"]
    assert customers.columns == ["customer_id", "signed_up_at", "opted_out", "plan", "income", "plan_since"]
    assert customers.row(0) == ("ann", None, None, None, None, None)
    assert customers.row(1)[2:5] == (False, "gold", 100.5)
    assert report.customers_without_a_row == 1
    assert report.customers is not None
    assert report.customers.equation == Equation(1, 1, 0, 0, 0)


@pytest.mark.parametrize(
    ("member", "rule"),
    [
        (",2023-01-01,false,,,", "missing_customer_id"),
        ("eve,2025-01-01,false,,,", "in_the_future"),
        ("eve,1850-01-01,false,,,", "before_1900"),
        ("eve,soon,false,,,", "unreadable"),
        ("eve,,,gold,,", "attribute_without_time"),
        ("eve,,,,,much", "unreadable"),
        ("eve,,,,,inf", "not_finite"),
        ("eve,,,", "malformed_line"),
    ],
)
def test_a_broken_customer_is_quarantined(tmp_path: Path, member: str, rule: str) -> None:
    tiny = with_members(tmp_path, "ann,2023-01-01,,,,", member)
    report = tiny.ingest()
    assert report.customers is not None
    assert report.customers.quarantined_for == {rule: 1}
    assert report.customers.equation == Equation(2, 1, 0, 0, 1)
    assert report.interactions.equation == Equation(1, 1, 0, 0, 0), "a line of the members is no interaction"
    assert tiny.quarantine("customers")["rule"].to_list() == [rule]


def test_a_customer_named_twice_is_kept_once(tmp_path: Path) -> None:
    report = with_members(tmp_path, "ann,2023-01-01,,,,", "ann,2023-01-01,,,,", "ann,2023-03-01,,,,").ingest()
    assert report.customers is not None
    assert report.customers.equation == Equation(3, 1, 2, 0, 0)
    assert report.customers.conflicting_duplicates == 1


def test_the_report_says_what_there_is_too_little_for(tmp_path: Path) -> None:
    tiny = Tiny(tmp_path, csv("1,ann,2024-01-05,visit,web,,", "2,bob,2024-01-14,visit,,,0.5"))
    tiny.ingest()
    report = tiny.report()
    assert (report["first_at"], report["last_at"], report["span_days"]) == (
        "2024-01-04T23:00:00Z",
        "2024-01-13T23:00:00Z",
        10,
    )
    assert report["channels"] == {"web": 1}
    assert report["nulls"] == dict.fromkeys(INTERACTIONS.names(), 2) | dict.fromkeys(
        ("interaction_id", "customer_id", "occurred_at", "kind"), 0
    ) | {"channel": 1, "rating": 1}
    assert any("No purchase or renewal: customer value" in str(warning) for warning in report["warnings"])  # type: ignore[attr-defined]
    assert report["files"] == [{"table": "events", "file": "events.csv", "rows": 2, "malformed": 0}]


def test_a_failing_run_leaves_the_outputs_of_the_one_before(tmp_path: Path) -> None:
    tiny = Tiny(tmp_path, csv(GOOD))
    tiny.ingest()
    before = fingerprint(tiny.outputs)
    with pytest.raises(SourceError):
        replace(tiny, events=csv("1,ann,never,visit,,,")).ingest()
    assert fingerprint(tiny.outputs) == before


def test_a_killed_run_leaves_nothing_in_the_way(tmp_path: Path) -> None:
    tiny = Tiny(tmp_path, csv(GOOD))
    litter = tmp_path / "data" / ".ingest"
    (litter / "interactions").mkdir(parents=True)
    (litter / "staging.duckdb").write_bytes(b"half a database")
    tiny.ingest()
    assert not litter.exists()
    assert tiny.interactions().height == 1


def test_a_full_disk_is_one_line_and_no_output(tmp_path: Path) -> None:
    tiny = Tiny(tmp_path, csv(*(GOOD.replace("1,", f"{os.urandom(40).hex()},", 1) for _ in range(20_000))))
    tiny.raw.mkdir()
    (tiny.raw / "events.csv").write_bytes(tiny.events or b"")
    tiny.source()
    code = f"""
import resource, sys
sys.path[:0] = [{str(Path(__file__).parent)!r}, {str(Path.cwd())!r}]
from pathlib import Path
from tiny_source import NOW, Tiny
from fedelta.pipeline.ingest import ingest
from fedelta.pipeline.intake.sources import load_source
from fedelta.pipeline.intake.staging import OutOfRoom
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
tiny = Tiny(Path({str(tmp_path)!r}))
source = load_source("tiny", tiny.folder / "sources")
try:
    ingest(source, tiny.raw, tiny.outputs, memory_limit="100MB", workers=1, now=NOW)
except OutOfRoom as error:
    sys.exit(str(error))
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert "could not be written" in ran.stderr
    assert ran.stderr.count("\n") == 1, ran.stderr
    assert not any(place.exists() for place in (tiny.outputs.interactions, tiny.outputs.customers, tiny.outputs.report))


def test_too_little_memory_says_which_setting_to_raise(tmp_path: Path) -> None:
    tiny = Tiny(tmp_path, csv(GOOD))
    tiny.ingest()
    with pytest.raises(OutOfRoom, match=r"raise engine\.memory_limit"):
        ingest(tiny.source(), tiny.raw, tiny.outputs, memory_limit="1MB", workers=1, now=NOW)


def test_a_check_tells_what_would_happen_and_writes_nothing(tmp_path: Path) -> None:
    tiny = Tiny(tmp_path, csv(GOOD, GOOD, "2,eve,2024-01-05,dance,,,", "3,eve"))
    tiny.source()
    tiny.raw.mkdir()
    (tiny.raw / "events.csv").write_bytes(tiny.events or b"")
    text = check("tiny", tiny.raw, tmp_path / "sources", NOW)
    assert "interactions: 4 rows in = 1 valid + 1 duplicate + 0 out of scope + 2 quarantined" in text
    assert "kind is dance" in text
    assert "malformed_line (1)" in text
    assert "3,eve" in text
    assert sorted(path.name for path in tmp_path.iterdir()) == ["raw", "sources"]


@pytest.mark.skipif(not SHARED.exists(), reason="the public data sets are not here")
@pytest.mark.parametrize(
    ("name", "equation", "customers", "kinds"),
    [
        ("cdnow", Equation(69_659, 69_659, 0, 0, 0), 23_570, {"purchase": 69_659}),
        ("grocery_elog", Equation(10_483, 10_483, 0, 0, 0), 1_525, {"purchase": 10_483}),
        ("online_retail", Equation(14_241, 10_531, 0, 3_710, 0), 2_187, {"purchase": 8_823, "return": 1_708}),
        (
            "airline_loyalty",
            Equation(224_650, 126_525, 0, 98_125, 0),
            8_454,
            {"purchase": 104_771, "redemption": 12_265, "enrolment": 8_454, "cancellation": 1_035},
        ),
    ],
)
def test_public_data_arrive_as_published(
    tmp_path: Path, name: str, equation: Equation, customers: int, kinds: dict[str, int]
) -> None:
    outputs = Tiny(tmp_path).outputs
    report = ingest(load_source(name), SHARED / name, outputs, memory_limit="1GB", workers=2, now=NOW)
    assert report.interactions.equation == equation
    assert report.customer_count == customers
    assert report.kinds == kinds
    made = pl.read_parquet(outputs.interactions / "*.parquet")
    if name == "cdnow":
        assert str(made["amount"].sum()) == "2500315.6300"
        assert made.filter(pl.col("amount") == 0).height == 80
    if name == "online_retail":
        held_out = made.filter(pl.col("occurred_at") >= datetime(2011, 9, 1, tzinfo=UTC), kind="purchase")
        earlier = made.filter(pl.col("occurred_at") < datetime(2011, 9, 1, tzinfo=UTC), kind="purchase")
        both = held_out.join(earlier, on="customer_id", how="semi")
        assert (str(both["amount"].sum()), both["customer_id"].n_unique()) == ("1643851.0000", 949)
    if name == "airline_loyalty":
        june = datetime(2018, 7, 1, tzinfo=UTC)
        left = made.filter(kind="cancellation")
        members = made.filter(pl.col("occurred_at") < june, kind="enrolment").join(
            left.filter(pl.col("occurred_at") < june), on="customer_id", how="anti"
        )
        assert members.height == 6_927
        assert members.join(left, on="customer_id", how="semi").height == 170


def test_a_table_of_json_equals_that_of_the_same_csv(tmp_path: Path) -> None:
    made = []
    objects = (
        '[{"id":"1","who":"ann","at":"2024-01-05 10:00:00","what":"purchase","how":"web","money":12.5,"stars":0.8}]'
    )
    for number, (content, yaml) in enumerate(
        ((csv(GOOD), YAML), (objects.encode(), YAML.replace("format: csv", "format: json")))
    ):
        tiny = Tiny(tmp_path / str(number), content, yaml)
        tiny.folder.mkdir()
        tiny.ingest()
        made.append(tiny.interactions())
    assert_frame_equal(made[0], made[1])
