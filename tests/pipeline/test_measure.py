"""The stage measure: treatments of a project whose effect was planted are measured, and the command prints them."""

import json
from datetime import timedelta
from pathlib import Path

import hashed_project
import numpy as np
import polars as pl
import pytest
from tiny_project import START, inside

from fedelta.cli import main
from fedelta.features.contract import TREATMENTS
from fedelta.models.policy.holdout import held_out
from fedelta.models.policy.settings import HoldoutSettings
from fedelta.models.uplift.storage import load_uplift
from fedelta.pipeline import measure, paths
from fedelta.pipeline.buckets.shuffle import HASH
from fedelta.pipeline.commands import saves

SHARE = 0.4
POLICY = f"policy: {{holdout: {{share: {SHARE}}}, "


def treatments_of(customers: list[str], *, days: int = 20, **columns: object) -> pl.DataFrame:
    """An entry of each customer on one of some days, in the arm of the project's control group."""
    entered = START + timedelta(days=250, hours=9)
    rng = np.random.default_rng(1)
    apart = held_out(customers, HoldoutSettings(share=SHARE))
    table = pl.DataFrame(
        {
            "customer_id": customers,
            "treated_at": [entered + timedelta(days=int(day)) for day in rng.integers(0, days, len(customers))],
            "arm": np.where(apart, "held_out", "treated"),
            "action": "keep",
            **columns,
        }
    )
    others = [pl.lit(None).alias(name) for name in TREATMENTS if name not in table.columns]
    return table.with_columns(others).cast(dict(TREATMENTS))


def with_effect(folder: Path, treatments: pl.DataFrame, share: float) -> None:
    """Let a share of the treated buy once more within the horizon: that is the effect."""
    file = paths.INTERACTIONS / "part-00000.parquet"
    events = pl.read_parquet(file)
    rng = np.random.default_rng(2)
    bought = treatments.filter((pl.col("arm") == "treated") & pl.Series(rng.random(len(treatments)) < share))
    hashes = events.select("customer_id", HASH).unique()
    more = bought.join(hashes, on="customer_id").select(
        pl.format("t{}", pl.int_range(pl.len())).alias("interaction_id"),
        "customer_id",
        (pl.col("treated_at") + pl.duration(days=20)).alias("occurred_at"),
        pl.lit("purchase").alias("kind"),
        pl.lit(50).cast(pl.Decimal(18, 4)).alias("amount"),
        HASH,
    )
    events = pl.concat([events, more], how="diagonal_relaxed").select(events.columns).cast(events.schema)
    events.sort(HASH, "customer_id", "occurred_at", "interaction_id").write_parquet(file)


def project(folder: Path, *, effect: float = 0.8, customers: int = 700) -> Path:
    """A project with treatments of everybody who had bought before, in buckets."""
    hashed_project.make(folder, customers=customers)
    paths_params = folder / "params.yaml"
    paths_params.write_text(paths_params.read_text().replace("policy: {", POLICY))
    with inside(folder):
        before = pl.col("occurred_at") < START + timedelta(days=250)
        early = pl.scan_parquet(paths.INTERACTIONS / "*.parquet").filter(before)
        names = early.select(pl.col("customer_id").unique().sort()).collect()["customer_id"].to_list()
        treatments = treatments_of(names, cost=1.0)
        with_effect(folder, treatments, effect)
        paths.TREATMENTS.mkdir()
        treatments.write_parquet(paths.TREATMENTS / "spring.parquet")
    return folder


@pytest.fixture(scope="module")
def measured_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = project(tmp_path_factory.mktemp("measure") / "project")
    with inside(folder):
        measure.main()
    return folder


def report_of(folder: Path) -> dict:
    return json.loads((folder / paths.SAVES_REPORT).read_text())


def test_the_planted_effect_is_in_the_interval_and_claimed(measured_project: Path):
    report = report_of(measured_project)
    one = report["comparisons"][0]
    active = one["result"]["active"]
    # Four in five of the treated bought once more; only those who would not have bought anyway are saved.
    expected = 0.8 * (1 - active["held_out_mean"])
    assert active["low"] < expected < active["high"]
    assert one["result"]["claimed"]
    assert one["result"]["spend"]["low"] < 0.8 * 50 < one["result"]["spend"]["high"]
    assert one["ratio"]["expected"] == SHARE
    assert one["contaminated"] == 0
    assert report["arms_drawn_by"] == "policy.holdout"
    assert "more" in report["uplift"]["says"]
    with inside(measured_project):
        assert load_uplift(paths.UPLIFT_BUNDLE) is None


def test_what_was_known_before_narrows_the_interval(measured_project: Path):
    with inside(measured_project):
        params = measure.load_params()
        rows = pl.read_parquet(paths.TREATMENTS / "spring.parquet")
        design = measure._design(params)
        with measure._around(rows.select("customer_id", "treated_at"), params) as around:
            assert around is not None
            looked = measure._looked_at(rows, around, params, design)
    bare = looked.drop([name for name in looked.columns if name.startswith("x_")])
    results = [measure.measured(held, design)["comparisons"][0]["result"] for held in (looked, bare)]
    errors = [result["active"]["standard_error"] for result in results]
    assert errors[0] < 0.97 * errors[1]


def test_the_report_does_not_depend_on_buckets(measured_project: Path):
    before = (measured_project / paths.SAVES_REPORT).read_bytes()
    params = measured_project / "params.yaml"
    text = params.read_text()
    params.write_text(text.replace("buckets: 1}", "buckets: 3}"))
    with inside(measured_project):
        measure.main()
    params.write_text(text)
    assert (measured_project / paths.SAVES_REPORT).read_bytes() == before


def test_the_command_prints_what_was_found(measured_project: Path, capsys: pytest.CaptureFixture[str]):
    with inside(measured_project):
        assert main(["saves"]) == 0
        words = capsys.readouterr().out
        assert main(["saves", "--json"]) == 0
        assert json.loads(capsys.readouterr().out) == report_of(measured_project)
    assert "still active in the 90 days after entry" in words
    assert "everybody" in words
    assert "action keep" in words


def test_a_plan_says_what_it_could_find(measured_project: Path, capsys: pytest.CaptureFixture[str]):
    with inside(measured_project):
        assert main(["saves", "--plan", "10000", "--base", "0.2", "--held-out", "0.1"]) == 0
        assert "1,000 of 10,000 entries held out, and 20.0% staying by themselves, a difference of 3.7 points" in (
            capsys.readouterr().out
        )
        assert main(["saves", "--plan", "10", "--base", "0.97", "--held-out", "0.5"]) == 0
        assert "can show nothing; plan more entries" in capsys.readouterr().out
        assert main(["saves", "--plan", "500"]) == 1
        assert "Give it: --base 0.2" in capsys.readouterr().err
        assert main(["saves", "--plan", "500", "--base", "2"]) == 1
        assert main(["saves", "--plan", "4", "--held-out", "0.01", "--base", "0.5"]) == 1
        assert "leaves an arm empty" in capsys.readouterr().err
        assert main(["saves", "--base", "0.2"]) == 2
        assert main(["saves", "--plan", "500", "--record", "treatments/may.parquet"]) == 2


def test_without_treatments_one_line_says_so_and_the_stage_works(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    with inside(hashed_project.make(tmp_path / "project", customers=20)):
        assert main(["saves"]) == 0
        assert "Run `dvc repro measure`" in capsys.readouterr().out
        measure.main()
        capsys.readouterr()
        assert main(["saves"]) == 0
        assert capsys.readouterr().out.count("\n") == 1
        assert report_of(Path())["says"].startswith("No treatments are recorded")
        assert load_uplift(paths.UPLIFT_BUNDLE) is None


def test_treatments_of_strangers_alone_are_said_to_be_so(tmp_path: Path):
    with inside(hashed_project.make(tmp_path / "project", customers=20)):
        paths.TREATMENTS.mkdir()
        treatments_of(["zoe", "abe"]).write_parquet(paths.TREATMENTS / "ours.parquet")
        measure.main()
        assert "are ids written as in the source?" in report_of(Path())["says"]


def test_a_share_declared_of_a_campaign_that_nobody_entered_is_named(
    measured_project: Path, capsys: pytest.CaptureFixture[str]
):
    params = measured_project / "params.yaml"
    text = params.read_text()
    params.write_text(text + "\nmeasure: {held_out: {sprign: 0.4}}\n")
    with inside(measured_project):
        measure.measure(measure.load_params())
    params.write_text(text)
    assert "measure.held_out names sprign, of which no treatments are recorded" in capsys.readouterr().out


def test_of_entries_before_the_history_begins_nobody_says_who_stayed(tmp_path: Path):
    with inside(hashed_project.make(tmp_path / "project", customers=30)):
        names = pl.read_parquet(paths.CUSTOMERS)["customer_id"].to_list()
        paths.TREATMENTS.mkdir()
        early = treatments_of(names).with_columns(pl.col("treated_at") - timedelta(days=600))
        early.write_parquet(paths.TREATMENTS / "early.parquet")
        measure.main()
        one = report_of(Path())["comparisons"][0]
        assert one["measured"] == {"treated": 0, "held_out": 0}
        assert one["lost"] == one["entered"]
        assert any("entered before its history begins" in words for words in one["warnings"])


def test_a_plan_takes_who_stays_from_those_who_would_be_contacted_first(tmp_path: Path):
    table = pl.DataFrame(
        {
            "customer_id": ["gone", "here", "lost", "quiet"],
            "churn_probability": [0.99, 0.5, 0.98, 0.4],
            "expected_profit": [-1.0, 9.0, -1.0, 30.0],
            "suppression_reason": [None, None, None, "opted out"],
        }
    )
    with inside(hashed_project.make(tmp_path / "project", customers=20)):
        table.write_parquet(paths.SCORES)
        assert saves.planned(2, None, 0.5)["base"] == pytest.approx(1 - (0.5 + 0.99) / 2)
        table.with_columns(expected_profit=pl.lit(None, pl.Float64)).write_parquet(paths.SCORES)
        assert saves.planned(2, None, 0.5)["base"] == pytest.approx(1 - (0.99 + 0.98) / 2)
        table.clear().write_parquet(paths.SCORES)
        with pytest.raises(saves.CannotPlan, match="nobody who may be contacted"):
            saves.planned(2, None, 0.5)


def test_a_damaged_report_is_refused_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    with inside(hashed_project.make(tmp_path / "project", customers=20)):
        paths.SAVES_REPORT.parent.mkdir()
        paths.SAVES_REPORT.write_text("[]")
        assert main(["saves"]) == 1
        assert "is damaged" in capsys.readouterr().err
