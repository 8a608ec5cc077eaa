"""Yes-or-no measures as bits: the same totals and tables as from running sums."""

import numpy as np
import polars as pl
import pytest
from histories import EARLIER, EVENTS, NOW, SETTINGS, Event, interactions, law
from hypothesis import given
from polars.testing import assert_frame_equal

from fedelta.features import history
from fedelta.features.history import Bits, Position
from fedelta.features.kernel import features_at


@pytest.mark.parametrize("length", [0, 1, 63, 64, 65, 128, 1000])
@pytest.mark.parametrize("skipped", [0, 3, 8])
def test_a_total_counts_what_is_set_before_a_row(length: int, skipped: int):
    drawn = np.random.default_rng(length).choice([True, False, None], length + skipped)
    marks = pl.Series("marks", drawn.tolist(), pl.Boolean)[skipped:]
    set_ = marks.fill_null(False).to_numpy()
    bits = Bits.of(marks)
    assert bits.unpacked().tolist() == set_.tolist()
    assert bits.total(Position.of(np.arange(length + 1))).tolist() == [0, *np.cumsum(set_).tolist()]


@given(EVENTS)
@law
def test_bits_give_the_tables_that_running_totals_give(events: list[Event]):
    table = interactions(*events)
    plain = features_at(table, (EARLIER, NOW), SETTINGS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(history, "_FEW", 0)
        packed = features_at(table, (EARLIER, NOW), SETTINGS)
    for one, other in zip(plain, packed, strict=True):
        assert_frame_equal(one, other)
