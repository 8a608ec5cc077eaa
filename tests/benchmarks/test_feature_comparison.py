"""The comparison of the feature stage with group-bys: all compute the same, and a difference would be noticed."""

from pathlib import Path

import polars as pl
import pytest

from benchmarks.agreement import Disagreement, largest_difference
from benchmarks.compared import COMPARED, NOT_COMPARED
from benchmarks.events import write_events
from benchmarks.features import main
from benchmarks.task import Task, instant
from fedelta.features.contract import INTERACTIONS
from fedelta.features.registry import FEATURES

CUTOFF = instant(20_000)
SHOWN = tuple(feature for feature in FEATURES if feature.name in ("purchase_count", "bad_experience_rate"))


def written(folder: Path, purchases: int, share: float | None, customer: str = "ann") -> Path:
    """A folder with the features of one customer at one cutoff."""
    folder.mkdir()
    row = {"customer_id": customer, "cutoff": CUTOFF, "purchase_count": purchases, "bad_experience_rate": share}
    schema = {"cutoff": pl.Datetime("us", "UTC"), "bad_experience_rate": pl.Float32}
    pl.DataFrame([row], schema_overrides=schema).write_parquet(folder / "part.parquet")
    return folder


def compared(folder: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> list[list[str]]:
    """Names of the contenders the comparison ran, in the order of its tables."""
    assert main(["--folder", str(folder), "--runs", "1", *arguments]) == 0, capsys.readouterr().err
    tables = capsys.readouterr().out.split("largest difference\n")[1:]
    return [[line.split()[0] for line in table.split("\n\n")[0].splitlines()] for table in tables]


@pytest.mark.long
def test_the_usual_group_bys_agree_with_the_kernel_and_the_strongest_does_at_more_cutoffs_too(tmp_path, capsys):
    few, more = compared(tmp_path, capsys, "--events", "2e5", "--cutoffs", "2", "--scale-cutoffs", "4")
    assert few == ["ours", "pandas-plain-day", "duckdb-day", "polars-period", "polars-day"]
    assert more == ["ours", "polars-period"]


@pytest.mark.long
def test_group_bys_over_other_partial_sums_agree_with_the_kernel(tmp_path, capsys):
    others = ["duckdb-period", "pandas-period", "pandas-day"]
    once = ["--events", "6000", "--cutoffs", "2", "--scale-cutoffs", "0"]
    assert compared(tmp_path, capsys, *once, "--only", *others) == [["ours", *others]]


def test_ours_runs_alone_where_no_rival_is_named(tmp_path, capsys):
    once = ["--events", "600", "--cutoffs", "1", "--scale-cutoffs", "0"]
    assert compared(tmp_path, capsys, *once, "--only", "ours") == [["ours"]]


def test_more_than_a_hundred_features_are_compared_and_none_is_forgotten():
    assert len(COMPARED) >= 100
    assert {*COMPARED, *(f for f in FEATURES if f.name in NOT_COMPARED)} == set(FEATURES)


@pytest.mark.parametrize(
    ("purchases", "share", "customer"),
    [
        pytest.param(4, 0.25, "ann", id="one purchase more"),
        pytest.param(3, 0.250002, "ann", id="a share beyond the tolerance"),
        pytest.param(3, None, "ann", id="a share where there is none"),
        pytest.param(3, 0.25, "bob", id="another customer"),
    ],
)
def test_a_difference_is_refused(tmp_path, purchases, share, customer):
    ours = written(tmp_path / "ours", 3, 0.25)
    theirs = written(tmp_path / "theirs", purchases, share, customer)
    with pytest.raises(Disagreement, match="theirs"):
        largest_difference(ours, theirs, [CUTOFF], SHOWN)


def test_rounding_in_the_last_digit_is_no_difference(tmp_path):
    ours, theirs = written(tmp_path / "ours", 3, 0.25), written(tmp_path / "theirs", 3, 0.25 + 3e-8)
    assert largest_difference(ours, theirs, [CUTOFF], SHOWN)[0] == 1


def test_the_events_are_those_of_the_contract_and_the_same_every_time(tmp_path):
    one, two = tmp_path / "one.parquet", tmp_path / "two.parquet"
    write_events(one, 500)
    write_events(two, 500)
    events = pl.read_parquet(one)
    assert events.schema == INTERACTIONS
    assert events["interaction_id"].n_unique() == len(events) == 500
    assert events.equals(pl.read_parquet(two))
    assert not events["occurred_at"].is_sorted()


def test_periods_begin_wherever_a_window_or_a_cutoff_stands():
    task = Task("", "", cutoffs=(1000, 1007), threads=1, buckets=1, partial="period", severities={})
    assert task.edges == [635, 642, 820, 827, 910, 917, 970, 977, 993, 1000, 1007]


def test_the_gravest_rule_is_asked_first():
    task = Task("", "", (1000,), 1, 1, "day", severities={"rating < 0.4": 1, "kind = 'outage'": 3})
    assert task.severity_sql == "CASE WHEN kind = 'outage' THEN 3 WHEN rating < 0.4 THEN 1 ELSE 0 END"
