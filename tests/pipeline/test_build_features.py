"""From shuffled interactions to feature files: the same values whatever the buckets, the row order or the processes."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from fedelta.features.attributes import Attribute
from fedelta.features.contract import INTERACTIONS
from fedelta.features.cutoffs import Cutoff
from fedelta.features.experience_rules import BadRule, ExperienceSettings, Rule
from fedelta.features.kernel import KernelSettings, features_at
from fedelta.features.registry import FEATURES
from fedelta.pipeline.buckets import shuffle as shuffle_module
from fedelta.pipeline.buckets.customer_hash import customer_hashes
from fedelta.pipeline.buckets.shuffle import HASH, buckets, shuffle
from fedelta.pipeline.feature_job import Job, build
from fedelta.pipeline.span import NoInteractions, span

BEGIN = datetime(2025, 1, 1, tzinfo=UTC)
CUTOFFS = (
    Cutoff(BEGIN + timedelta(days=150), 30, 0, "train"),
    Cutoff(BEGIN + timedelta(days=200), 30, 0, "evaluate"),
    Cutoff(BEGIN + timedelta(days=300), 30, 0, "score"),
)
RULES = {
    "late": Rule("delay_hours > 24", "expectations", "needs", 2),
    "low_rating": Rule("rating <= 0.4", "empathy", "enjoyable", 1),
}
KERNEL = KernelSettings(ExperienceSettings(RULES))
KEYS = ["cutoff", "customer_id"]
PLAN = Attribute("plan", "categorical", "plan_since", "their plan")


def company(events: int, customers: int, seed: int = 1) -> pl.DataFrame:
    """Interactions of every sort on few distinct instants, in no order."""
    chance = np.random.default_rng(seed)
    minute = 60_000_000
    given = {
        "interaction_id": [f"i{n:06}" for n in chance.permutation(events)],
        "customer_id": [f"customer {n}" for n in chance.integers(customers, size=events)],
        "occurred_at": int(BEGIN.timestamp() * 1e6) + chance.integers(0, 310 * 24, events) * 60 * minute,
        "kind": chance.choice(["purchase", "visit", "contact", "delivery", "survey", "return"], events).tolist(),
        "channel": chance.choice(["web", "app", "store", "phone"], events).tolist(),
        "amount": chance.integers(0, 500, events),
        "rating": chance.random(events),
        "resolved": chance.random(events) < 0.5,
        "delay_hours": chance.normal(0, 30, events),
    }
    table = pl.DataFrame(given).with_columns(pl.lit(None).alias(name) for name in INTERACTIONS if name not in given)
    return table.select(pl.col(name).cast(dtype) for name, dtype in INTERACTIONS.items())


def shuffled(table: pl.DataFrame, folder: Path) -> Path:
    folder.mkdir(parents=True)
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.register("given", table.to_arrow())
        shuffle(connection, "SELECT * FROM given", folder)
    return folder


def job_in(folder: Path, settings: KernelSettings = KERNEL, customers: Path | None = None) -> Job:
    features, labels = folder / "features", folder / "labels"
    features.mkdir(parents=True)
    labels.mkdir()
    return Job(CUTOFFS, settings, customers, [PLAN] if customers else [], features, labels)


def written(job: Job) -> tuple[pl.DataFrame, pl.DataFrame]:
    return pl.read_parquet(job.features / "*.parquet").sort(KEYS), pl.read_parquet(job.labels / "*.parquet").sort(KEYS)


def built(interactions: Path, folder: Path, number: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    job = job_in(folder)
    for bucket in buckets(interactions, number):
        job.run(bucket)
    return written(job)


def assert_same(found: Sequence[pl.DataFrame], expected: Sequence[pl.DataFrame]) -> None:
    for table, other in zip(found, expected, strict=True):
        assert_frame_equal(table, other, check_exact=True)


@pytest.fixture(scope="module")
def events() -> pl.DataFrame:
    return company(6_000, customers=120)


@pytest.fixture(scope="module")
def interactions(events: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shuffled(events, tmp_path_factory.mktemp("company") / "interactions")


@pytest.fixture(scope="module")
def one_bucket(interactions: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[pl.DataFrame, pl.DataFrame]:
    return built(interactions, tmp_path_factory.mktemp("one"), 1)


@pytest.mark.parametrize("number", [2, 16, 64])
def test_any_number_of_buckets_gives_the_same_features_and_labels_bit_for_bit(
    interactions: Path, one_bucket: tuple[pl.DataFrame, pl.DataFrame], tmp_path: Path, number: int
):
    assert_same(built(interactions, tmp_path, number), one_bucket)


def test_the_order_of_the_rows_changes_no_bit_of_the_features(
    events: pl.DataFrame, one_bucket: tuple[pl.DataFrame, pl.DataFrame], tmp_path: Path
):
    for name, other in (("reversed", events.reverse()), ("mixed", events.sample(fraction=1.0, shuffle=True, seed=9))):
        assert_same(built(shuffled(other, tmp_path / name), tmp_path / f"{name} built", 3), one_bucket)


def test_which_bucket_a_customer_is_dealt_into_changes_no_bit_of_the_features(
    events: pl.DataFrame,
    one_bucket: tuple[pl.DataFrame, pl.DataFrame],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(shuffle_module, "customer_hashes", lambda ids: customer_hashes(ids) * np.uint64(3))
    elsewhere = shuffled(events, tmp_path / "elsewhere")
    assert pl.read_parquet(elsewhere)[HASH].unique().len() == events["customer_id"].n_unique()
    assert_same(built(elsewhere, tmp_path, 5), one_bucket)


@given(st.integers(0, 10**6), st.integers(1, 40), st.integers(1, 6), st.integers(1, 9))
@settings(max_examples=8, derandomize=True)
def test_small_companies_in_any_order_and_buckets_are_read_as_the_kernel_reads_them_whole(
    tmp_path_factory: pytest.TempPathFactory, seed: int, number: int, customers: int, parts: int
):
    folder, table = tmp_path_factory.mktemp("law"), company(number, customers, seed)
    ordered = table.sort("customer_id", "occurred_at", "interaction_id")
    expected = [part.sort(KEYS) for part in features_at(ordered, CUTOFFS, KERNEL)]
    assert_same(built(shuffled(table, folder / "given"), folder, parts), expected)


def test_deleting_all_that_came_after_the_first_cutoff_leaves_its_features_bit_identical(
    events: pl.DataFrame, one_bucket: tuple[pl.DataFrame, pl.DataFrame], tmp_path: Path
):
    first = CUTOFFS[0].at
    before = built(shuffled(events.filter(pl.col("occurred_at") < first), tmp_path / "before"), tmp_path, 4)[0]
    at_first = pl.col("cutoff") == first
    assert_frame_equal(before.filter(at_first), one_bucket[0].filter(at_first), check_exact=True)


def test_a_pool_of_processes_writes_what_one_process_writes(
    interactions: Path, one_bucket: tuple[pl.DataFrame, pl.DataFrame], tmp_path: Path
):
    job = job_in(tmp_path)
    assert build(job, buckets(interactions, 3), workers=1) == len(one_bucket[0])
    assert_same(written(job), one_bucket)
    assert len(list(job.features.iterdir())) == len(list(job.labels.iterdir())) == 3


def test_every_customer_seen_before_a_cutoff_has_one_row_there_and_labels_beside_it(
    events: pl.DataFrame, one_bucket: tuple[pl.DataFrame, pl.DataFrame]
):
    features, labels = one_bucket
    for cutoff in CUTOFFS:
        seen = events.filter(pl.col("occurred_at") < cutoff.at)["customer_id"].unique()
        rows = features.filter(pl.col("cutoff") == cutoff.at)
        assert rows["customer_id"].to_list() == sorted(seen)
        assert rows.select("role", "horizon_days", "lead_days").unique().rows() == [(cutoff.role, 30, 0)]
    assert_frame_equal(features.select(KEYS), labels.select(KEYS))
    assert set(features.columns) > {f.name for f in FEATURES}


def test_declared_attributes_join_the_features_from_the_moment_they_are_known(interactions: Path, tmp_path: Path):
    pl.DataFrame(
        {"customer_id": ["customer 1", "customer 2"], "plan": ["gold", "tin"], "plan_since": [CUTOFFS[0].at, BEGIN]},
        schema_overrides={"plan_since": INTERACTIONS["occurred_at"]},
    ).write_parquet(tmp_path / "customers.parquet")
    job = job_in(tmp_path, customers=tmp_path / "customers.parquet")
    for bucket in buckets(interactions, 2):
        job.run(bucket)
    table = written(job)[0]
    plans = table.filter(pl.col("customer_id").is_in(["customer 1", "customer 2", "customer 3"]))
    assert plans.select("customer_id", "attribute_plan").rows() == [
        ("customer 1", None), ("customer 2", "tin"), ("customer 3", None),
        ("customer 1", "gold"), ("customer 2", "tin"), ("customer 3", None),
        ("customer 1", "gold"), ("customer 2", "tin"), ("customer 3", None),
    ]  # fmt: skip


@pytest.mark.parametrize("when", ["interaction_id = 'i000001'", "amount / (reach * 0) > 1 OR topic = 1"])
def test_a_rule_that_cannot_be_judged_stops_the_stage_with_its_name(interactions: Path, tmp_path: Path, when: str):
    broken = KernelSettings(ExperienceSettings({"odd": Rule(when, "empathy", "ease", 1)}))
    with pytest.raises(BadRule, match=r"^experience\.rules\.odd: "):
        job_in(tmp_path, broken).run(buckets(interactions, 1)[0])


def test_the_span_of_the_history_is_that_of_its_first_and_last_interaction(events: pl.DataFrame, interactions: Path):
    assert span(interactions) == (events["occurred_at"].min(), events["occurred_at"].max())


def test_a_stray_date_does_not_move_the_span_of_the_history(events: pl.DataFrame, tmp_path: Path):
    stray = events.head(1).with_columns(
        interaction_id=pl.lit("stray"), occurred_at=pl.col("occurred_at").dt.offset_by("3y")
    )
    strayed = shuffled(pl.concat([events, stray]), tmp_path / "strayed")
    assert span(strayed) == (events["occurred_at"].min(), events["occurred_at"].max())


def test_no_interactions_say_which_stage_to_run(tmp_path: Path):
    with pytest.raises(NoInteractions, match=r"holds no interactions\. Run `dvc repro ingest` first"):
        span(tmp_path)
    with pytest.raises(NoInteractions):
        span(shuffled(company(1, 1).clear(), tmp_path / "empty"))
