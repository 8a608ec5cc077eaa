"""The one shuffle: the same file whatever the order of the rows, cut into any number of buckets of whole customers."""

from itertools import pairwise
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from fedelta.features.contract import INTERACTIONS
from fedelta.pipeline.buckets.shuffle import HASH, ROW_GROUP_ROWS, buckets, shuffle

ODD_IDS = ["o'brien", 'say "hi"', "a/b\\c", "名前 🙂", "é", "e\u0301", "x" * 500, " ", "A", "a", "0", "00"]
FIRST_US = 1_735_689_600_000_000  # 2025-01-01


def rows(number: int, customers: int, seed: int = 1) -> pl.DataFrame:
    """Random interactions of customers with ordinary and odd ids, many at the same instant."""
    chance = np.random.default_rng(seed)
    names = np.array([*ODD_IDS, *(f"c{n}" for n in range(customers))], object)[:customers]
    given = {
        "interaction_id": [f"i{n}" for n in range(number)],
        "customer_id": chance.choice(names, number).tolist(),
        "occurred_at": FIRST_US + chance.integers(0, 10_000, number),
        "kind": chance.choice(["purchase", "visit"], number).tolist(),
        "amount": chance.integers(0, 10**6, number),
        "rating": chance.random(number),
    }
    table = pl.DataFrame(given).with_columns(pl.lit(None).alias(name) for name in INTERACTIONS if name not in given)
    return table.select(pl.col(name).cast(dtype) for name, dtype in INTERACTIONS.items())


def shuffled(table: pl.DataFrame, folder: Path, threads: int = 1) -> Path:
    folder.mkdir(parents=True)
    with duckdb.connect(config={"threads": threads}) as connection:
        connection.register("given", table.to_arrow())
        assert shuffle(connection, "SELECT * FROM given", folder) == len(table)
    return folder


def in_order(table: pl.DataFrame) -> pl.DataFrame:
    return table.sort("customer_id", "occurred_at", "interaction_id")


@pytest.fixture(scope="module")
def table() -> pl.DataFrame:
    return rows(3 * ROW_GROUP_ROWS, customers=700)


@pytest.fixture(scope="module")
def folder(table: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shuffled(table, tmp_path_factory.mktemp("shuffle") / "it's here")


def test_the_file_is_the_same_byte_for_byte_whatever_the_order_of_the_rows(
    table: pl.DataFrame, folder: Path, tmp_path: Path
):
    expected = (folder / "part-00000.parquet").read_bytes()
    other = shuffled(table.sample(fraction=1.0, shuffle=True, seed=5), tmp_path / "other", threads=2)
    assert (other / "part-00000.parquet").read_bytes() == expected


def test_the_file_is_the_same_byte_for_byte_where_a_row_group_lacks_a_kind(table: pl.DataFrame, tmp_path: Path):
    """DuckDB wrote of an enum's values that a row group lacks some or none, by chance."""
    one = pl.col("customer_id") == table["customer_id"][0]
    rare = table.with_columns(
        kind=pl.when(one).then(pl.lit("downgrade")).otherwise("kind"),
        channel=pl.when(one).then(pl.lit("phone")).otherwise(pl.lit("web")),
    ).sort(pl.col("interaction_id").hash(1))
    made = {(shuffled(rare, tmp_path / str(turn), threads=2) / "part-00000.parquet").read_bytes() for turn in range(12)}
    assert len(made) == 1


@pytest.mark.parametrize("number", [1, 2, 7, 150])
def test_buckets_of_any_number_hold_every_row_once_and_whole_customers(table: pl.DataFrame, folder: Path, number: int):
    cut = [bucket.read() for bucket in buckets(folder, number)]
    assert_frame_equal(in_order(pl.concat(cut)), in_order(table))
    customers = pl.concat(part.select(pl.col("customer_id").unique()) for part in cut)
    assert customers["customer_id"].is_unique().all()


def test_a_bucket_is_sorted_by_customer_within_it_by_time_and_at_one_instant_by_id(folder: Path):
    for bucket in buckets(folder, 5):
        part = bucket.read()
        for _, history in part.group_by("customer_id", maintain_order=True):
            assert_frame_equal(history, history.sort("occurred_at", "interaction_id"))
        changes = (part["customer_id"] != part["customer_id"].shift(1)).sum()
        assert changes == part["customer_id"].n_unique() - 1


def test_what_is_read_does_not_hang_on_how_the_file_orders_what_its_keys_do_not_tell_apart(
    table: pl.DataFrame, folder: Path, tmp_path: Path
):
    keys = (HASH, "occurred_at")  # as if every digest of an id were the same
    other = pl.read_parquet(folder / "*.parquet").sample(fraction=1.0, shuffle=True, seed=3).sort(*keys)
    assert other.select(keys).is_duplicated().any()
    other.write_parquet(tmp_path / "part-00000.parquet")
    for one, another in zip(buckets(folder, 3), buckets(tmp_path, 3), strict=True):
        assert_frame_equal(another.read(), one.read())
        without_ids = ["occurred_at", "customer_id", "rating"]
        assert_frame_equal(another.read(without_ids), one.read(without_ids))


def test_customers_of_one_hash_are_kept_apart_and_a_moment_may_be_of_both(tmp_path: Path):
    drawn = rows(4_000, customers=12).sort("occurred_at", "interaction_id")
    hashes = pl.col("customer_id").replace_strict({"A": 5, "a": 5, "0": 6}, default=7, return_dtype=pl.UInt64)
    drawn.with_columns(hashes.alias(HASH)).sort(HASH, "occurred_at", maintain_order=True).write_parquet(
        tmp_path / "part-00000.parquet"
    )
    (bucket,) = buckets(tmp_path, 1)
    expected = drawn.with_columns(hashes.alias(HASH)).sort(HASH, "customer_id", "occurred_at", "interaction_id")
    assert_frame_equal(bucket.read(), expected.drop(HASH))


def test_row_groups_tell_their_ascending_ranges_of_hashes_so_that_a_bucket_can_skip_the_others(folder: Path):
    metadata = pq.read_metadata(folder / "part-00000.parquet")
    column = metadata.schema.names.index(HASH)
    ranges = [metadata.row_group(number).column(column).statistics for number in range(metadata.num_row_groups)]
    assert len(ranges) >= 3
    assert all(before.max <= after.min for before, after in pairwise(ranges))


def test_a_bucket_keeps_the_contract_and_only_the_columns_asked_for(folder: Path):
    first = buckets(folder, 3)[0]
    assert first.read().schema == INTERACTIONS
    assert first.read(["customer_id", "amount"]).columns == ["customer_id", "amount"]
    assert HASH not in first.read().columns


def test_a_range_of_hashes_without_customers_is_an_empty_table(tmp_path: Path):
    one = shuffled(rows(5, customers=1), tmp_path / "one")
    parts = [bucket.read() for bucket in buckets(one, 16)]
    assert [len(part) for part in parts if len(part)] == [5]
    assert all(part.schema == INTERACTIONS for part in parts)


def test_no_rows_make_only_empty_buckets(tmp_path: Path):
    none = shuffled(rows(5, customers=1).clear(), tmp_path / "none")
    assert [len(bucket.read()) for bucket in buckets(none, 4)] == [0, 0, 0, 0]


@given(st.lists(st.text(max_size=30).filter(lambda name: "\x00" not in name), min_size=1, max_size=8, unique=True))
@settings(max_examples=15, derandomize=True)
def test_any_text_is_an_id_like_any_other(tmp_path_factory: pytest.TempPathFactory, names: list[str]):
    table = rows(len(names), customers=1).with_columns(customer_id=pl.Series(names, dtype=pl.String))
    made = shuffled(table, tmp_path_factory.mktemp("ids") / "made")
    found = pl.concat(bucket.read() for bucket in buckets(made, 3))
    assert_frame_equal(in_order(found), in_order(table))
