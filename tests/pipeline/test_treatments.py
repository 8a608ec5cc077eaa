"""Customers treated lately are not contacted, and a file that is not clear about it is refused."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from tiny_project import PARAMS, START, TREES, inside, scored_project
from tiny_source import SQL, YAML, Tiny, csv

from fedelta.cli import main
from fedelta.features.contract import TREATMENTS
from fedelta.models.policy.settings import PolicySettings
from fedelta.pipeline import paths, score
from fedelta.pipeline.treatments import BadTreatments, read_treatments, suppressed_at

AT = datetime(2024, 4, 1, 12, tzinfo=UTC)
AS_OF = START + timedelta(days=480)
COSTS = "economics: {contact_cost: 0.1, keep_success_without_offer: 0.5}, capacity: 20, cooldown_days: 30"


def treated(customers: list[str], at: datetime = AT, **columns: object) -> pl.DataFrame:
    """Contacts at one time, in the columns of the contract."""
    rows = {"customer_id": customers, "treated_at": at, "action": "contact", "arm": "treated", **columns}
    return pl.DataFrame(rows).with_columns(pl.lit(None).alias(name) for name in TREATMENTS if name not in rows)


def test_files_of_any_name_are_one_table_in_the_columns_of_the_contract(tmp_path: Path):
    treated(["ann"], cost=2).with_columns(pl.col("treated_at").cast(pl.Datetime("ms", "UTC"))).write_parquet(
        tmp_path / "spring.parquet"
    )
    treated(["bob"], campaign="ours").write_parquet(tmp_path / "autumn.parquet")
    found = read_treatments(tmp_path)
    assert found.schema == TREATMENTS
    assert found.select("customer_id", "treated_at", "cost").rows() == [("bob", AT, None), ("ann", AT, 2.0)]


def test_where_there_is_no_file_nobody_was_treated(tmp_path: Path):
    (tmp_path / "README.md").write_text("words")
    for folder in (tmp_path, tmp_path / "absent"):
        assert read_treatments(folder).equals(TREATMENTS.to_frame())


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (treated(["ann"]).drop("arm", "cost"), "has arm as nothing instead of String, cost as nothing instead of"),
        (treated(["ann"], at=AT.replace(tzinfo=None)), r"treated_at as Datetime.*None.* instead of Datetime.*UTC"),
        (treated(["ann"]).with_columns(customer_id=pl.lit(7)), "has customer_id as Int32 instead of String"),
        (treated(["ann", "bob"], arm="control"), r"2 of 2 rows without .* an arm that is treated or held_out"),
        (treated(["ann"]).with_columns(treated_at=pl.lit(None)), "has 1 of 1 rows without a customer_id"),
        (treated(["ann"], at=AT.replace(year=9999)), "1 of 1 rows with a treated_at such as 9999-04-01"),
        (treated(["ann"], at=AT.replace(year=1900)), "1 of 1 rows with a treated_at such as 1900-04-01"),
    ],
)
def test_what_does_not_keep_to_the_contract_is_refused_in_one_line(tmp_path: Path, wrong: pl.DataFrame, says: str):
    wrong.write_parquet(tmp_path / "ours.parquet")
    with pytest.raises(BadTreatments, match=says) as caught:
        read_treatments(tmp_path)
    assert "ours.parquet" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_of_the_time_before_campaigns_still_reads(tmp_path: Path):
    old = treated(["ann"]).drop("campaign", "reached", "churn_probability", "expected_value")
    old.write_parquet(tmp_path / "old.parquet")
    assert read_treatments(tmp_path).equals(treated(["ann"]).cast(dict(TREATMENTS)).select(list(TREATMENTS)))


@pytest.mark.parametrize(
    ("column", "says"),
    [({"churn_probability": 1.2}, r"churn_probability such as 1\.2; it must be between 0 and 1"),
     ({"cost": -2.0}, r"cost such as -2; it must be at least 0"),
     ({"expected_value": float("nan")}, "expected_value such as nan")],
)  # fmt: skip
def test_figures_that_cannot_be_are_refused(tmp_path: Path, column: dict[str, float], says: str):
    treated(["ann"], **column).write_parquet(tmp_path / "ours.parquet")
    with pytest.raises(BadTreatments, match=says):
        read_treatments(tmp_path)


SENT = "who,sent,name,what,arm,got,paid,risk\n"
SQL_OF_SENT = """SELECT who AS customer_id, sent AS treated_at, name AS campaign, what AS action, arm,
    got AS reached, paid AS cost, risk AS churn_probability FROM sent"""


def sent(folder: Path, *lines: str) -> Tiny:
    """A source with a file of treatments."""
    raw = (SENT + "".join(f"{line}\n" for line in lines)).encode()
    yaml = YAML + '  sent: {path: "sent.csv", format: csv}\n'
    tiny = Tiny(folder, csv("1,ann,2024-01-05,purchase,web,12.5,"), yaml, SQL, others={"sent.csv": raw})
    (folder / "sources/tiny").mkdir(parents=True)
    (folder / "sources/tiny/treatments.sql").write_text(SQL_OF_SENT)
    return tiny


def test_the_treatments_of_a_source_are_judged_like_any_table_and_read_with_the_files(tmp_path: Path):
    tiny = sent(
        tmp_path,
        "ann,2024-02-01 10:00:00,spring,keep,treated,yes,1.5,0.4",
        "ann,2024-02-01 10:00:00,spring,keep,treated,yes,1.5,0.4",
        "bob,2024-02-01 10:00:00,spring,keep,held_out,,,",
        "cid,2024-02-01 10:00:00,spring,keep,control,,,",
        "cid,2024-02-01 10:00:00,spring,keep,treated,,-1,",
        "cid,2024-02-01 10:00:00,spring,keep,treated,,,1.5",
        "cid,,spring,keep,treated,,,",
        "cid,2031-02-01,spring,keep,treated,,,",
    )
    report = tiny.ingest()
    assert report.treatments
    assert str(report.treatments.equation) == "8 rows in = 2 valid + 1 duplicate + 0 out of scope + 5 quarantined"
    assert report.treatments.quarantined_for == {
        "cost_negative": 1, "in_the_future": 1, "missing_treated_at": 1, "probability_out_of_range": 1,
        "unknown_arm": 1,
    }  # fmt: skip
    assert "rows of treatments.sql are quarantined" in " ".join(report.warnings)
    folder = tmp_path / "treatments"
    folder.mkdir()
    treated(["dan"]).write_parquet(folder / "ours.parquet")
    found = read_treatments(folder, tiny.outputs.treatments)
    assert found.schema == TREATMENTS
    assert found.sort("customer_id").select("customer_id", "arm", "reached", "churn_probability").rows() == [
        ("ann", "treated", True, 0.4), ("bob", "held_out", None, None), ("dan", "treated", None, None),
    ]  # fmt: skip
    assert found["treated_at"].min() == datetime(2024, 2, 1, 9, tzinfo=UTC), "read in the source's zone"


def test_a_source_without_treatments_writes_an_empty_table_of_them(tmp_path: Path):
    tiny = Tiny(tmp_path, csv("1,ann,2024-01-05,purchase,web,12.5,"), YAML, SQL)
    assert tiny.ingest().treatments is None
    assert read_treatments(tmp_path / "none", tiny.outputs.treatments).equals(TREATMENTS.to_frame())


def test_a_file_that_is_no_table_is_refused(tmp_path: Path):
    (tmp_path / "ours.parquet").write_text("customer_id,treated_at")
    with pytest.raises(BadTreatments, match=r"ours\.parquet is no readable parquet file"):
        read_treatments(tmp_path)


def test_the_next_run_contacts_others_than_those_just_contacted_until_the_cooldown_is_over(tmp_path: Path):
    with inside(scored_project(tmp_path / "project")):
        text = PARAMS.replace("TREES", str(TREES)).replace("policy: {", f"policy: {{{COSTS}, ")
        paths.PARAMS.write_text(text)
        first = _contacted()
        assert len(first) == 20
        paths.TREATMENTS.mkdir()
        treated(sorted(first), AS_OF - timedelta(days=29)).write_parquet(paths.TREATMENTS / "first.parquet")
        second = _contacted()
        assert len(second) == 20
        assert not second & first
        paths.PARAMS.write_text(text.replace("cooldown_days: 30", "cooldown_days: 29"))
        assert _contacted() == first


def test_treatments_of_a_time_far_after_the_scores_are_mentioned(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    with inside(tmp_path):
        paths.CUSTOMERS.parent.mkdir(parents=True)
        pl.DataFrame({"customer_id": ["ann", "bob"]}).write_parquet(paths.CUSTOMERS)
        paths.TREATMENTS.mkdir()
        treated(["ann"], at=AT.replace(year=2042)).write_parquet(paths.TREATMENTS / "ours.parquet")
        assert suppressed_at(AT, PolicySettings()) == {"ann": "contacted lately"}
        assert "1 of 1 are dated more than a year after the scores, such as 2042-04-01" in capsys.readouterr().out
        treated(["ann"]).write_parquet(paths.TREATMENTS / "ours.parquet")
        suppressed_at(AT, PolicySettings())
        assert not capsys.readouterr().out


def test_ids_that_the_source_does_not_know_are_reported_and_refused_if_none_is_known(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    with inside(scored_project(tmp_path / "project")):
        known = pl.read_parquet(paths.CUSTOMERS)["customer_id"][0]
        paths.TREATMENTS.mkdir()
        treated([known, f"{known} "]).write_parquet(paths.TREATMENTS / "ours.parquet")
        suppressed_at(AS_OF, PolicySettings())
        assert f"1 of 2 customers in treatments/ are not in the source, such as '{known} '" in capsys.readouterr().out
        treated([f"{known} "]).write_parquet(paths.TREATMENTS / "ours.parquet")
        with pytest.raises(BadTreatments, match="1 of 1 customers in treatments/ are not in the source"):
            suppressed_at(AS_OF, PolicySettings())


def test_scores_plan_by_the_measured_success_and_say_what_is_assumed_until_then(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    with inside(scored_project(tmp_path / "project")):
        costs = "economics: {contact_cost: 0.1, offer_cost: 0.1, success: measured, keep_success: 0.1}, "
        paths.PARAMS.write_text(PARAMS.replace("TREES", str(TREES)).replace("policy: {", f"policy: {{{costs}"))
        assumed = _contacted()
        assert "keep_success: 10.0% is still assumed" in capsys.readouterr().err
        active = {"value": 0.9, "standard_error": 0.001, "held_out_mean": 0.0, "held_out_error": 0.001,
                  "treated": 900, "held_out": 100}  # fmt: skip
        comparison = {"by": "action", "group": "keep", "contaminated": 0, "entered": {"held_out": 100},
                      "withheld": None, "result": {"active": active}}  # fmt: skip
        paths.SAVES_REPORT.write_text(json.dumps({"comparisons": [comparison]}))
        assert len(_contacted()) > len(assumed)
        assert "keep_success: 90.0%" in capsys.readouterr().err


def test_the_list_is_recorded_in_both_arms_and_then_nobody_of_it_is_contacted_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    with inside(scored_project(tmp_path / "project")):
        assert main(["saves", "--record", "treatments/may.parquet"]) == 1
        assert "plan no action" in capsys.readouterr().err
        paths.PARAMS.write_text(PARAMS.replace("TREES", str(TREES)).replace("policy: {", f"policy: {{{COSTS}, "))
        listed = _contacted()
        assert main(["saves", "--record", "treatments/may.parquet", "--campaign", "may"]) == 0
        assert "20 customers enter as treated" in capsys.readouterr().out
        found = read_treatments()
        assert set(found.filter(pl.col("arm") == "treated")["customer_id"]) == listed
        assert found.filter(pl.col("arm") == "held_out").height > 0
        assert not _contacted() & listed
        assert main(["saves", "--record", "treatments/may.parquet"]) == 1
        assert "must be a new .parquet file" in capsys.readouterr().err


def _contacted() -> set[str]:
    score.main()
    scores = pl.read_parquet(paths.SCORES)
    return set(scores.filter(pl.col("action").is_not_null())["customer_id"])
