"""Baselines of value."""

import pandas as pd

from fedelta.models.value.predictions import spend_as_before


def test_business_as_before_spends_on_at_the_pace_so_far():
    table = pd.DataFrame({"tenure_days": [300.0, 3.0], "spend": [600.0, 60.0], "horizon_days": [60, 60]})
    assert spend_as_before(table).tolist() == [120, 120]  # of a newcomer's pace the first month is taken
