"""The hash of a customer is that of other engines, and makes no difference to anything but buckets."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedelta.pipeline.buckets.customer_hash import customer_hashes

_MASK = 2**64 - 1
_P = (0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5)


def signed(ids: list[str]) -> list[int]:
    return customer_hashes(pl.Series(ids, dtype=pl.String)).view(np.int64).tolist()


def test_spark_publishes_this_value_of_xxhash64():
    # https://spark.apache.org/docs/latest/api/python/reference/pyspark.sql/api/pyspark.sql.functions.xxhash64.html
    assert signed(["ABC"]) == [4105715581806190027]


@pytest.mark.parametrize("length", [0, 1, 3, 4, 7, 8, 12, 31, 32, 33, 63, 64, 100])
def test_ids_of_any_length_hash_as_the_specification_says(length: int):
    text = "".join(chr(33 + (7 * n) % 90) for n in range(length))
    assert customer_hashes(pl.Series([text])).tolist() == [specified(text.encode())]


@given(st.lists(st.text(max_size=40), max_size=20), st.integers(0, 5))
@settings(max_examples=50, derandomize=True)
def test_an_id_hashes_the_same_among_whichever_others(ids: list[str], skipped: int):
    expected = [specified(text.encode()) for text in ids]
    assert customer_hashes(pl.Series(ids, dtype=pl.String)).tolist() == expected
    assert customer_hashes(pl.Series(ids, dtype=pl.String)[skipped:]).tolist() == expected[skipped:]


def specified(data: bytes, seed: int = 42) -> int:
    """XXH64 as its specification tells it, a byte at a time."""

    def number(at: int, octets: int) -> int:
        return int.from_bytes(data[at : at + octets], "little")

    def rotated(x: int, by: int) -> int:
        return ((x << by) | (x >> (64 - by))) & _MASK

    def round_(state: int, lane: int) -> int:
        return rotated((state + lane * _P[1]) & _MASK, 31) * _P[0] & _MASK

    at, length = 0, len(data)
    if length >= 32:
        lanes = [(seed + add) & _MASK for add in (_P[0] + _P[1], _P[1], 0, -_P[0])]
        while length - at >= 32:
            lanes = [round_(lane, number(at + 8 * k, 8)) for k, lane in enumerate(lanes)]
            at += 32
        state = sum(rotated(lane, by) for lane, by in zip(lanes, (1, 7, 12, 18), strict=True)) & _MASK
        for lane in lanes:
            state = ((state ^ round_(0, lane)) * _P[0] + _P[3]) & _MASK
    else:
        state = (seed + _P[4]) & _MASK
    state = (state + length) & _MASK
    while length - at >= 8:
        state = (rotated(state ^ round_(0, number(at, 8)), 27) * _P[0] + _P[3]) & _MASK
        at += 8
    if length - at >= 4:
        state = (rotated(state ^ (number(at, 4) * _P[0] & _MASK), 23) * _P[1] + _P[2]) & _MASK
        at += 4
    for place in range(at, length):
        state = rotated(state ^ (number(place, 1) * _P[4] & _MASK), 11) * _P[0] & _MASK
    state = (state ^ (state >> 33)) * _P[1] & _MASK
    state = (state ^ (state >> 29)) * _P[2] & _MASK
    return state ^ (state >> 32)
