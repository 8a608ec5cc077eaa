"""The days between which the data are believed to lie: robust to a few stray dates, true to everything ordinary."""

from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedelta.features.cutoffs import BelievedSpan, believed_span

law = settings(max_examples=60, derandomize=True)


def span(*runs: tuple[Iterable[int], int]) -> BelievedSpan:
    """Of runs of days with so many interactions each."""
    counts: dict[int, int] = {}
    for days, each in runs:
        counts |= dict.fromkeys(days, each)
    days = sorted(counts)
    return believed_span(days, [counts[day] for day in days])


def ends(found: BelievedSpan) -> tuple[int, int]:
    return found.first, found.last


YEAR = (range(365), 5)


@pytest.mark.parametrize("gap", [15, 76, 400, 1_000_000])
def test_one_date_long_after_all_others_is_not_believed(gap: int) -> None:
    found = span(YEAR, ([364 + gap], 1))
    assert ends(found) == (0, 364)
    assert (found.later, found.later_count, found.earlier_count) == ((364 + gap,), 1, 0)


@pytest.mark.parametrize("gap", [15, 76, 400, 20_000])
def test_one_date_long_before_all_others_is_not_believed(gap: int) -> None:
    found = span(YEAR, ([-gap], 1))
    assert ends(found) == (0, 364)
    assert (found.earlier, found.earlier_count, found.later_count) == ((-gap,), 1, 0)


def test_several_stray_dates_far_apart_are_all_not_believed() -> None:
    found = span(([-9000, -400], 1), YEAR, ([440], 2), ([900], 1), ([30_000], 3))
    assert ends(found) == (0, 364)
    assert (found.earlier_count, found.later_count) == (2, 6)


def test_a_placeholder_for_many_missing_dates_is_not_believed_however_many_they_are() -> None:
    assert ends(span(([-8000], 900), YEAR)) == (0, 364)
    assert ends(span(YEAR, ([3000], 900))) == (0, 364)


def test_a_shop_that_opens_again_is_believed_once_it_does_ordinary_business() -> None:
    closed = range(365, 425)
    assert ends(span(YEAR, (range(425, 428), 5))) == (0, 427)
    assert ends(span(YEAR, (range(425, 426), 1))) == (0, 364), "one order after two months"
    assert len(closed) == 60


def test_a_gap_that_is_usual_in_these_data_is_no_reason_for_doubt() -> None:
    monthly = [(range(0, 1100, 30), 40)]
    assert ends(span(*monthly, ([1109], 1))) == (0, 1109), "29 days after the last of the monthly files"
    assert ends(span(*monthly, ([1080 + 76], 1))) == (0, 1080)
    yearly = [(range(0, 3650, 365), 40)]
    assert ends(span(*yearly)) == (0, 3285)


def test_a_business_that_fades_is_believed_to_its_last_day() -> None:
    fading = [([day], max(1, 60 - day // 5)) for day in range(365)]
    assert ends(span(*fading, (range(365, 420, 5), 1))) == (0, 415)


def test_one_day_is_all_there_is() -> None:
    assert ends(believed_span([7], [1])) == (7, 7)


def test_two_days_far_apart_are_both_believed() -> None:
    assert ends(believed_span([0, 300], [3, 3])) == (0, 300)


DAYS = st.lists(st.integers(-3000, 3000), min_size=1, max_size=40, unique=True).map(sorted)


@given(DAYS, st.data(), st.integers(-10_000, 10_000))
@law
def test_every_day_is_believed_or_named_and_where_the_calendar_begins_plays_no_part(
    days: list[int], data: st.DataObject, shift: int
) -> None:
    counts = data.draw(st.lists(st.integers(1, 200), min_size=len(days), max_size=len(days)))
    found = believed_span(days, counts)
    within = [day for day in days if found.first <= day <= found.last]
    assert [*found.earlier, *within, *found.later] == days
    total = sum(n for day, n in zip(days, counts, strict=True) if found.first <= day <= found.last)
    assert total + found.earlier_count + found.later_count == sum(counts)
    moved = believed_span([day + shift for day in days], counts)
    assert ends(moved) == (found.first + shift, found.last + shift)


@given(st.integers(0, 2**32 - 1), st.floats(0.5, 40))
@law
def test_an_ordinary_company_is_believed_from_its_first_day_to_its_last(seed: int, rate: float) -> None:
    n = np.random.default_rng(seed).poisson(rate, 500)
    days = np.flatnonzero(n)
    assert ends(believed_span(days.tolist(), n[days].tolist())) == (days[0], days[-1])


@given(st.integers(0, 2**32 - 1), st.floats(1, 40), st.integers(30, 4000))
@law
def test_a_lonely_late_date_never_moves_the_end_of_an_ordinary_company(seed: int, rate: float, gap: int) -> None:
    n = np.random.default_rng(seed).poisson(rate, 500)
    days = np.flatnonzero(n)
    found = believed_span([*days.tolist(), int(days[-1]) + gap], [*n[days].tolist(), 1])
    assert found.last == days[-1]
