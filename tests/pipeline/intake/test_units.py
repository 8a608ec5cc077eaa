"""Amounts in two units are distinguished from amounts that vary widely, and from those of two price classes."""

from collections import Counter

import numpy as np
import pytest

from fedelta.pipeline.intake.units import two_groups, whole_is_other_unit


def bins(amounts: np.ndarray) -> Counter[int]:
    return Counter(np.floor(np.log10(amounts) * 20).astype(int).tolist())


def lognormal(n: int, spread: float, seed: int) -> np.ndarray:
    return np.exp(np.random.default_rng(seed).normal(3, spread, n))


@pytest.mark.parametrize("spread", [0.01, 0.3, 0.8, 1.3, 2, 3.5])
@pytest.mark.parametrize("n", [1, 59, 300, 10_000])
def test_amounts_of_one_unit_are_one_group_however_widely_they_vary(n: int, spread: float) -> None:
    assert [two_groups(bins(lognormal(n, spread, seed))) for seed in range(10)] == [None] * 10


@pytest.mark.parametrize("factor", [100, 1000])
@pytest.mark.parametrize("spread", [0.01, 0.3, 0.8])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.98])
def test_the_same_amounts_times_a_hundred_are_another_group(share: float, spread: float, factor: int) -> None:
    for seed in range(5):
        amounts = lognormal(5_000, spread, seed)
        cents = np.random.default_rng(seed + 100).random(5_000) < share
        found = two_groups(bins(np.where(cents, amounts * factor, amounts)))
        assert found is not None
        low, high, number, _ = found
        assert high / low == pytest.approx(factor, rel=0.5)
        assert number == pytest.approx(cents.sum(), rel=0.1)


def test_two_prices_are_of_one_unit_unless_one_is_the_other_a_hundred_times() -> None:
    def sold(*prices: float) -> Counter[int]:
        return bins(np.repeat(prices, 500))

    assert two_groups(sold(4.99, 49.9)) is None
    assert two_groups(sold(3, 1200)) is None
    assert two_groups(sold(9.99, 29.99, 999)) is None
    assert two_groups(sold(9.99, 999)) is not None
    small, dear = lognormal(1_000, 0.2, 1), lognormal(1_000, 0.9, 2) * 100
    assert two_groups(bins(np.concatenate([small, dear]))) is None, "another shape"


def parted(amounts: np.ndarray) -> tuple[Counter[int], Counter[int]]:
    """Amounts with decimals, and whole ones."""
    rounded = np.round(amounts, 2)
    rounded = rounded[rounded > 0]
    return bins(rounded[rounded % 1 != 0]), bins(rounded[rounded % 1 == 0])


@pytest.mark.parametrize("spread", [1.5, 2])
@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_cents_have_no_decimals_which_parts_them_where_two_units_overlap(share: float, spread: float) -> None:
    found = []
    for seed in range(10):
        amounts = np.floor(lognormal(10_000, spread, seed)) + 0.99
        cents = np.random.default_rng(seed + 100).random(10_000) < share
        mixed = np.where(cents, np.round(amounts * 100), amounts)
        found.append(whole_is_other_unit(*parted(mixed)))
    assert sum(found) >= 8


@pytest.mark.parametrize("spread", [0.3, 0.8, 1.5, 2, 3.5])
@pytest.mark.parametrize("whole", ["some", "dear ones", "cheap ones", "multiples of five", "none", "all"])
def test_whole_amounts_of_the_same_unit_are_no_other_unit(spread: float, whole: str) -> None:
    for seed in range(10):
        amounts = lognormal(10_000, spread, seed)
        chosen = {
            "some": np.random.default_rng(seed + 100).random(len(amounts)) < 0.3,
            "dear ones": amounts > 100,
            "cheap ones": amounts < 10,
            "multiples of five": amounts > 50,
            "none": np.zeros(len(amounts), bool),
            "all": np.ones(len(amounts), bool),
        }[whole]
        step = 5 if "five" in whole else 1
        prices = np.where(chosen, np.ceil(amounts / step) * step, np.floor(amounts) + 0.99)
        assert not whole_is_other_unit(*parted(prices))
