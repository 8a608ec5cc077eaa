"""The stage that learns loyalty and personas: evidence out of time, nothing invented, the same bytes twice."""

import json
import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pytest
import tiny_project

from fedelta.features.kernel import KernelSettings, features_at
from fedelta.models.loyalty.storage import load_loyalty, load_personas
from fedelta.models.panel import Panel
from fedelta.pipeline import fit_btyd, paths, train_loyalty
from fedelta.pipeline.params import load_params
from fedelta.pipeline.paths import EXPERIENCES, LOYALTY_BUNDLE, LOYALTY_REPORT, PERSONAS_BUNDLE
from fedelta.pipeline.train_loyalty import referred_in_horizon


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project before its first training: features, labels, what BTYD says, and no bad experience."""
    folder = tmp_path_factory.mktemp("loyalty")
    (folder / "params.yaml").write_text(tiny_project.PARAMS.replace("TREES", "2"))
    (folder / "sources").symlink_to(tiny_project.HERE / "sources")
    with tiny_project.inside(folder):
        events = tiny_project.interactions(400)
        table, labels = features_at(events, tiny_project.CUTOFFS, KernelSettings(load_params().experience))
        for path, frame in ((paths.INTERACTIONS, events), (paths.FEATURES, table), (paths.LABELS, labels)):
            path.mkdir(parents=True)
            frame.write_parquet(path / "part-00000.parquet")
        ledger = {"customer_id": pl.String, "occurred_at": pl.Datetime("us", "UTC"), "rule": pl.String}
        pl.DataFrame(schema=ledger).write_parquet(EXPERIENCES)
        fit_btyd.main()
    return folder


def test_the_columns_that_the_stage_reads_are_all_that_it_takes(project: Path, monkeypatch: pytest.MonkeyPatch):
    with_voices()
    written = []
    for columns in (train_loyalty.COLUMNS, None):
        monkeypatch.setattr(train_loyalty, "COLUMNS", columns)
        train_loyalty.main()
        written.append({path: path.read_bytes() for path in (LOYALTY_REPORT, *LOYALTY_BUNDLE.rglob("*.json"))})
    assert written[0] == written[1]


@pytest.fixture
def project(made: Path, tmp_path: Path) -> Iterator[Path]:
    shutil.copytree(made, tmp_path / "project")
    with tiny_project.inside(tmp_path / "project") as folder:
        yield folder


def with_voices() -> None:
    """Let every second customer rate, by a number of their own; and half of all fare badly, by the app."""
    path = paths.FEATURES / "part-00000.parquet"
    number = pl.col("customer_id").str.slice(1).cast(pl.Int32)
    app = (number % 4 < 2).cast(pl.Float32)
    pl.read_parquet(path).with_columns(
        rated_count=pl.when(number % 2 == 0).then(3).otherwise(0).cast(pl.Int32),
        mean_rating=pl.when(number % 2 == 0).then((number % 10 / 10).cast(pl.Float32)),
        app_share_365d=app,
        web_share_365d=1 - app,
        interaction_count_365d=pl.lit(50, pl.Int32),
        bad_experience_rate_365d=0.4 * app,
    ).write_parquet(path)


def reported() -> dict[str, Any]:
    held: dict[str, Any] = json.loads(LOYALTY_REPORT.read_text())
    return held


def test_a_source_of_purchases_and_deliveries_gets_no_class_and_the_reason(project: Path):
    train_loyalty.main()
    report = reported()
    assert report["reason"].startswith("Attitude is unknown")
    assert report["attitude_adds"]["verdict"] == report["reason"]
    assert report["now"]["silent"] == sum(report["now"].values()) > 0
    assert report["spurious"]["customers"] == []
    assert load_loyalty(LOYALTY_BUNDLE).reason == report["reason"]


def test_who_speaks_is_classed_and_judged_by_the_next_horizon(project: Path):
    with_voices()
    train_loyalty.main()
    report = reported()
    assert report["reason"] is None
    assert all(report["now"][name] > 0 for name in ("loyal", "latent", "spurious", "none", "silent"))
    by_class = {row["class"]: row for row in report["classes"]}
    assert by_class["loyal"]["bought"]["value"] > by_class["latent"]["bought"]["value"]
    assert by_class["loyal"]["referred"]["value"] == 0  # the scoring cutoff ends the horizon, and nobody referred


def test_a_second_run_writes_the_same_bytes(project: Path):
    with_voices()
    train_loyalty.main()
    written = {path: path.read_bytes() for path in (LOYALTY_BUNDLE / "model.json", PERSONAS_BUNDLE / "model.json")}
    report = LOYALTY_REPORT.read_bytes()
    assert load_personas(PERSONAS_BUNDLE).personas
    train_loyalty.main()
    assert {path: path.read_bytes() for path in written} == written
    assert LOYALTY_REPORT.read_bytes() == report


def test_complaints_come_from_the_ledger_of_the_year_before_the_cutoff(project: Path):
    with_voices()
    names, cutoff = pl.read_parquet(paths.FEATURES)["customer_id"].unique().sort(), tiny_project.CUTOFFS[-1].at
    moments = {"late_delivery": timedelta(days=-1), "too_late": timedelta(0), "too_old": timedelta(days=-366)}
    pl.concat(
        pl.DataFrame({"customer_id": names}).with_columns(
            occurred_at=pl.lit(cutoff + after).cast(pl.Datetime("us", "UTC")), rule=pl.lit(rule)
        )
        for rule, after in moments.items()
    ).write_parquet(EXPERIENCES)
    train_loyalty.main()
    cards = reported()["personas"]["cards"]
    assert len(cards) >= 2
    assert {tuple(card["complains"]) for card in cards} == {
        ("late delivery (expectations): 100.0 per 100 customers, of all 100.0",)
    }


def test_referrals_in_the_horizon_are_those_counted_when_it_ends():
    at = pd.to_datetime(["2025-01-01", "2025-01-01", "2025-04-01", "2025-04-01"])
    table = pd.DataFrame({"customer_id": ["a", "b", "b", "a"], "cutoff": at, "referral_count": [1, 0, 2, 1]})
    table = table.assign(lead_days=0, horizon_days=90)
    panel = Panel(table, pd.DataFrame(index=table.index))
    assert list(referred_in_horizon(panel, table.head(2))) == [0, 2]
    assert referred_in_horizon(panel, table.tail(2)) is None
