"""How long spells last: by hand, by law, and with intervals that hold what they promise."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedelta.models.churn_window.life_table import LifeTable, added, jackknife

lengths = st.lists(st.tuples(st.integers(1, 60), st.booleans()), min_size=1, max_size=40)


def table(*spells: tuple[int, bool]) -> LifeTable:
    """Of spells (days, did it end?) of one part."""
    counts = pl.DataFrame(spells, schema=["days", "ended"], orient="row")
    return LifeTable.of(counts.with_columns(part=pl.lit(0), spells=pl.lit(1, pl.Int64)), parts=1)


def test_the_shares_that_last_are_those_of_the_textbook():
    # At risk 5 on day 1, 4 on day 2 (one ended), 2 on day 3 (one ended, one no longer watched): 4/5 · 3/4 · 1/2.
    found = table((1, True), (2, True), (2, False), (3, True), (3, False))
    assert found.lasting()[0] == pytest.approx([1.0, 0.8, 0.6, 0.3])
    assert found.at_risk.tolist() == [5, 5, 4, 2]
    assert found.ending_by(3)[0] == pytest.approx([0.7, 1 - 0.3 / 0.8, 0.5, 0.0])


def test_a_spell_still_going_on_counts_while_it_is_watched_and_says_nothing_of_later():
    watched_for_long = table((2, True), (9, False)).lasting()[0]
    assert watched_for_long == pytest.approx([1, 1, 0.5, *[0.5] * 7])
    assert table((2, True), (1, False)).lasting()[0] == pytest.approx([1, 1, 0])


def test_the_reach_ends_where_too_few_are_still_watched():
    spells = table((5, True), (7, False), (7, False), (40, False))
    assert (spells.reach(1), spells.reach(2), spells.reach(4), spells.reach(5)) == (40, 7, 5, 0)


@given(st.lists(st.integers(1, 60), min_size=1, max_size=40))
def test_when_every_spell_has_ended_the_share_that_lasts_is_simply_counted(days: list[int]):
    lasting = table(*((day, True) for day in days)).lasting()[0]
    assert lasting == pytest.approx([np.mean([day > n for day in days]) for n in range(max(days) + 1)])


@given(lengths)
def test_the_longer_a_silence_the_fewer_come_back_within_the_same_reach(spells: list[tuple[int, bool]]):
    found = table(*spells)
    shares = found.ending_by(found.at_risk.size - 1)[0]
    shares = shares[np.isfinite(shares)]
    assert (np.diff(shares) <= 1e-12).all()
    assert ((shares >= 0) & (shares <= 1)).all()


@given(st.lists(lengths, min_size=1, max_size=5))
def test_leaving_a_part_out_equals_never_having_counted_it(parts: list[list[tuple[int, bool]]]):
    counts = [
        pl.DataFrame(spells, schema=["days", "ended"], orient="row").with_columns(spells=pl.lit(1, pl.Int64))
        for spells in parts
    ]
    whole = LifeTable.of(added(counts), len(parts)).lasting()
    for left_out in range(len(parts)):
        others = [spell for number, spells in enumerate(parts) if number != left_out for spell in spells]
        alone = table(*others).lasting()[0] if others else np.ones(1)
        assert whole[1 + left_out][: alone.size] == pytest.approx(alone)


def test_the_interval_covers_the_truth_about_nineteen_times_in_twenty():
    rng = np.random.default_rng(3)
    covered = 0
    for _ in range(400):
        parts = rng.binomial(50, 0.3, 20)
        figures = np.append(parts.sum() / 1000, (parts.sum() - parts) / 950)
        interval = jackknife(figures)
        covered += interval.low <= 0.3 <= interval.high
    assert 0.92 <= covered / 400 <= 0.98


def test_from_too_few_parts_there_is_a_figure_but_no_interval():
    interval = jackknife(np.array([0.5, 0.4, 0.6, np.nan, np.nan, np.nan]))
    assert interval.value == 0.5
    assert np.isnan([interval.low, interval.high]).all()
