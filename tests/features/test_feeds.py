"""A feed that has stopped is distinguished from one that is rare, comes in bursts, or is merely quiet."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fedelta.features.feeds import Series, stopped

law = settings(max_examples=60, derandomize=True)
END = 729


def daily(first: int, last: int, each: int) -> Series:
    return Series(range(first, last + 1), [each] * (last - first + 1))


def test_orders_that_stop_two_months_before_the_data_end_are_named_with_what_is_missing() -> None:
    (found,) = stopped({"kind purchase": daily(0, END - 60, 13), "kind visit": daily(0, END, 40)}, END)
    assert (found.name, found.last, found.silent_days, found.strays) == ("kind purchase", END - 60, 60, 0)
    assert found.expected == 60 * 13


def test_a_stray_date_does_not_hide_that_a_feed_has_stopped() -> None:
    orders = daily(0, END - 60, 13)
    late = Series([*orders.days, END - 2], [*orders.counts, 1])
    (found,) = stopped({"kind purchase": late}, END)
    assert (found.last, found.strays) == (END - 60, 1)


def test_a_weekend_is_no_end() -> None:
    working = [day for day in range(END) if day % 7 < 5]
    assert stopped({"kind purchase": Series(working, [50] * len(working))}, working[-1] + 3) == []
    assert len(stopped({"kind purchase": Series(working, [50] * len(working))}, working[-1] + 6)) == 1


def test_what_comes_in_quarterly_bursts_has_not_stopped_before_two_quarters_of_silence() -> None:
    waves = [day for begin in range(0, 650, 90) for day in range(begin, begin + 5)]
    surveys = Series(waves, [100] * len(waves))
    assert stopped({"kind survey": surveys}, waves[-1] + 150) == []
    assert len(stopped({"kind survey": surveys}, waves[-1] + 180)) == 1


def test_what_is_rare_or_hardly_began_is_never_called_stopped() -> None:
    rare = Series(range(0, 600, 20), [1] * 30)
    begun = daily(300, 308, 500)
    assert stopped({"kind referral": rare, "kind outage": begun}, END) == []


def test_the_most_missed_comes_first() -> None:
    found = stopped({"a": daily(0, 600, 5), "b": daily(0, 600, 50)}, END)
    assert [one.name for one in found] == ["b", "a"]


@given(st.integers(0, 2**32 - 1), st.floats(0.05, 40))
@law
def test_what_goes_on_at_its_rate_is_not_called_stopped(seed: int, rate: float) -> None:
    n = np.random.default_rng(seed).poisson(rate, END + 1)
    days = np.flatnonzero(n)
    assert stopped({"a": Series(days.tolist(), n[days].tolist())}, END) == []


@given(st.integers(0, 2**32 - 1), st.floats(2, 40), st.integers(30, 300))
@law
def test_what_came_daily_and_ends_a_month_early_is(seed: int, rate: float, early: int) -> None:
    n = np.random.default_rng(seed).poisson(rate, END + 1 - early)
    days = np.flatnonzero(n)
    (found,) = stopped({"a": Series(days.tolist(), n[days].tolist())}, END)
    assert found.last == days[-1]
