"""The benchmark of measured saves, small: what it plants is found, and Cookie Cats has its published difference."""

from pathlib import Path

import pytest

from benchmarks.saves import cookie_cats, redrawn, tried
from fedelta.models.incrementality.estimator import adjusted_difference

DATA = Path(__file__).parents[3] / "shared" / "data"


def test_a_large_planted_effect_is_claimed_and_none_is_not():
    assert [tried(seed, effect=0.25).claimed for seed in range(3)] == [True] * 3
    assert sum(tried(seed, effect=0.0).claimed for seed in range(4)) == 0


@pytest.mark.skipif(not (DATA / "cookie_cats").is_dir(), reason="the public data are not here")
def test_cookie_cats_has_its_published_difference_and_both_intervals():
    outcome, treated = cookie_cats(DATA)
    found = adjusted_difference(outcome, treated)
    assert found.value == pytest.approx(0.0082, abs=5e-5)
    assert found.low == pytest.approx(0.0031, abs=2e-4)
    assert found.high == pytest.approx(0.0133, abs=2e-4)
    assert found.always_low < 0 < found.low, "claimed by one look alone, not if one may look at any time"
    assert found.always_high < 0.02
    claims = [redrawn(outcome, seed) for seed in range(20)]
    assert sum(always for always, _ in claims) <= 2
    assert sum(once for _, once in claims) >= 3, "looking thirty times with intervals for one look misleads"
