"""The stage ``experience``: what it writes for a company that delivers, and for one that only sells."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
from tiny_project import HERE, inside, interactions

from fedelta.features.contract import DIGITAL_CHANNELS, PILLARS
from fedelta.models.experience.pillars import COLUMNS
from fedelta.pipeline import experience, paths
from fedelta.pipeline.buckets.customer_hash import customer_hashes, lowest_hashes
from fedelta.pipeline.buckets.shuffle import shuffle

Report = dict[str, Any]


def make(folder: Path, events: pl.DataFrame, *changes: tuple[str, str]) -> Path:
    """A project of these interactions under the repository's own settings, save for the changes, with the stage run."""
    folder.mkdir()
    (folder / "sources").symlink_to(HERE / "sources")
    settings = (HERE / "params.yaml").read_text()
    for old, new in changes:
        assert old in settings
        settings = settings.replace(old, new)
    (folder / "params.yaml").write_text(settings)
    with inside(folder), duckdb.connect() as connection:
        paths.INTERACTIONS.mkdir(parents=True)
        connection.register("events", events.to_arrow())
        shuffle(connection, "SELECT * FROM events", paths.INTERACTIONS)
        number = pl.col("customer_id").str.slice(1).cast(int)
        known = {"country": pl.when(number % 3 == 0).then(pl.lit("IT")).otherwise(pl.lit("FR"))}
        unknown = {"age_group": pl.String, "plan": pl.String, "plan_since": pl.Datetime("us", "UTC")}
        customers = events.select(pl.col("customer_id").unique().sort()).with_columns(
            **known, **{name: pl.lit(None, dtype) for name, dtype in unknown.items()}
        )
        customers.write_parquet(paths.CUSTOMERS)
        experience.main()
    return folder


def report(folder: Path) -> Report:
    def refuse(constant: str) -> None:
        pytest.fail(f"{constant} is not JSON")

    read: Report = json.loads((folder / paths.EXPERIENCE_REPORT).read_text(), parse_constant=refuse)
    return read


@pytest.fixture(scope="module")
def events() -> pl.DataFrame:
    return interactions(250)


@pytest.fixture(scope="module")
def shop(events: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop whose deliveries are sometimes late; it records nothing else that could go wrong."""
    return make(tmp_path_factory.mktemp("experience") / "shop", events, ("buckets: 16", "buckets: 3"))


@pytest.fixture(scope="module")
def seller(events: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Purchases alone, as in the CDNOW data, looked at a hundred days before they end."""
    return make(
        tmp_path_factory.mktemp("experience") / "seller",
        events.filter(pl.col("kind") == "purchase"),
        ("source: demo", "source: cdnow"),
        ("score_at: latest", "score_at: 2024-01-15"),
    )


def test_the_ledger_has_every_bad_experience_in_order(shop: Path, events: pl.DataFrame):
    ledger = pl.read_parquet(shop / paths.EXPERIENCES)
    late = events.filter(pl.col("delay_hours") > 12)
    assert set(ledger["interaction_id"]) == set(late["interaction_id"])
    assert ledger.rows() == ledger.sort("customer_id", "occurred_at", "interaction_id").rows()
    assert set(ledger["journey"]) <= {"onboarding", "use", "maintenance", "renewal"}


def test_every_customer_has_a_row_of_pillars_and_null_where_nothing_was_recorded(shop: Path, events: pl.DataFrame):
    pillars = pl.read_parquet(shop / paths.PILLARS)
    assert pillars["customer_id"].to_list() == events["customer_id"].unique().sort().to_list()
    assert set(COLUMNS.values()) <= set(pillars.columns)
    delivered = events.filter(pl.col("kind") == "delivery")["customer_id"].n_unique()
    assert len(pillars) - pillars["pillar_expectations"].null_count() == delivered
    assert pillars["pillar_expectations"].is_between(0, 100).all()
    for name in set(PILLARS) - {"expectations"}:
        assert pillars[f"pillar_{name}"].is_null().all()


def test_a_late_delivery_lowers_the_index_of_its_customer(shop: Path, events: pl.DataFrame):
    late = events.filter(pl.col("delay_hours") > 12)["customer_id"].unique().implode()
    index = pl.col("pillar_expectations").mean()
    by_fate = pl.read_parquet(shop / paths.PILLARS).group_by(bad=pl.col("customer_id").is_in(late)).agg(index)
    good, bad = by_fate.sort("bad")["pillar_expectations"]
    assert bad < good


def test_the_report_counts_what_the_rules_say(shop: Path, events: pl.DataFrame):
    rules = report(shop)["rules"]
    late = events.filter(pl.col("delay_hours") > 24)
    assert rules["interactions"] == len(events)
    assert rules["by_rule"]["late_delivery"]["times"] == len(late)
    assert rules["by_rule"]["late_delivery"]["customers"] == late["customer_id"].n_unique()
    assert rules["by_rule"]["late_delivery"]["share_of_interactions"] == round(len(late) / len(events), 5)
    assert rules["by_rule"]["outage"]["times"] == 0


def test_the_index_of_the_base_is_its_share_of_good_deliveries(shop: Path, events: pl.DataFrame):
    found = report(shop)
    deliveries = events.filter(pl.col("kind") == "delivery")
    good = (deliveries["delay_hours"] <= 12).mean()
    expectations = found["pillars"]["expectations"]
    assert expectations["index"] == pytest.approx(100 * good, abs=1e-4)
    assert expectations["low"] < expectations["index"] < expectations["high"]
    assert found["experience"]["index"] == expectations["index"]
    assert found["pillars"]["integrity"] == {
        "reason": "No interaction of these data breaks a rule of it: they may not record such experiences."
    }


def test_segments_are_split_by_attribute_journey_and_stage(shop: Path):
    segments = report(shop)["segments"]
    assert [row["value"] for row in segments["attribute_country"]["values"]] == ["FR", "IT"]
    assert {row["value"] for row in segments["journey"]["values"]} >= {"onboarding", "use"}
    assert (
        sum(row["expectations"]["customers"] for row in segments["attribute_country"]["values"])
        == report(shop)["pillars"]["expectations"]["customers"]
    )


def test_every_digital_channel_is_listed_and_every_journey_has_a_map(shop: Path):
    found = report(shop)
    assert {c["channel"] for c in found["channels"]["channels"]} >= set(DIGITAL_CHANNELS)
    assert set(found["journeys"]["journeys"]) >= {"all", "onboarding", "use"}
    assert found["journeys"]["journeys"]["all"]["interactions"] == found["rules"]["interactions"]


def test_effects_are_reported_in_words(shop: Path):
    found = report(shop)
    assert found["tolerance"]["steps"][0]["says"] == found["tolerance"]["says"]
    assert {step["group"] for step in found["tolerance"]["steps"]} >= {"all", "pillar"}
    assert found["moments"]["says"]


def test_buckets_change_nothing(shop: Path, events: pl.DataFrame, tmp_path: Path):
    other = make(tmp_path / "other", events.reverse(), ("buckets: 16", "buckets: 1"))
    for name in (paths.EXPERIENCES, paths.PILLARS, paths.EXPERIENCE_REPORT):
        assert (other / name).read_bytes() == (shop / name).read_bytes()


def test_purchases_alone_leave_sections_empty_with_a_reason(seller: Path):
    found = report(seller)
    assert pl.read_parquet(seller / paths.EXPERIENCES).is_empty()
    pillars = pl.read_parquet(seller / paths.PILLARS)
    assert len(pillars) == found["rules"]["customers"] > 100
    assert pillars.select(pl.exclude("customer_id").is_null().all()).row(0) == (True,) * (pillars.width - 1)
    for section in ("rules", "experience", "segments", "tolerance", "moments"):
        assert "No interaction of these data breaks a rule" in found[section]["reason"]
    assert all(found["pillars"][name]["reason"] for name in PILLARS)
    assert set(found["journeys"]["journeys"]) == {"all", "onboarding", "use", "renewal"}


def test_nothing_at_or_after_the_scoring_cutoff_is_looked_at(seller: Path, events: pl.DataFrame):
    before = (pl.col("occurred_at") < datetime(2024, 1, 15, tzinfo=UTC)) & (pl.col("kind") == "purchase")
    assert report(seller)["as_of"] == "2024-01-15"
    assert report(seller)["rules"]["interactions"] == len(events.filter(before)) < (events["kind"] == "purchase").sum()


@pytest.mark.long
def test_of_a_larger_base_effects_are_those_of_a_sample_and_all_else_is_of_everybody(
    shop: Path, events: pl.DataFrame, tmp_path: Path
):
    sampled = make(tmp_path / "sampled", events, ("sample_customers: 40000", "sample_customers: 100"))
    everybody = events["customer_id"].n_unique()
    hashed = events.with_columns(pl.Series("hash", customer_hashes(events["customer_id"])))
    drawn = hashed.filter(pl.col("hash") <= lowest_hashes(100, everybody)).drop("hash")
    alone = report(make(tmp_path / "alone", drawn))
    found, whole = report(sampled), report(shop)
    count = drawn["customer_id"].n_unique()
    assert 60 < count < 140
    assert str(found["sample"]).endswith(f"measured on a sample: {count} of {everybody} customers.")
    assert [found[name] for name in ("tolerance", "moments")] == [alone[name] for name in ("tolerance", "moments")]
    assert whole["sample"] is None
    of_everybody = found.keys() - {"sample", "tolerance", "moments"}
    assert {name: found[name] for name in of_everybody} == {name: whole[name] for name in of_everybody}
    for path in (paths.EXPERIENCES, paths.PILLARS):
        assert (sampled / path).read_bytes() == (shop / path).read_bytes()
