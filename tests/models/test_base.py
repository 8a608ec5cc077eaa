"""The base of a run: what the score of one customer takes from all others."""

from datetime import UTC, datetime

import numpy as np
import polars as pl

from fedelta.models.base import Base, journeys_of, lists_of

AS_OF = datetime(2026, 1, 1, tzinfo=UTC)
RISKS = np.array([0.1, 0.4, 0.4, 0.9])
JOURNEYS = ["use", None, "use", "renewal"]
BASE = Base(AS_OF, None, np.sort(RISKS), journeys_of(RISKS, JOURNEYS))


def test_a_percentile_is_the_share_of_the_run_at_lower_or_equal_risk():
    assert BASE.percentile(RISKS).tolist() == [25, 75, 75, 100]
    assert BASE.percentile(np.array([0.0, 0.2, 1.0])).tolist() == [0, 25, 100]
    within = BASE.percentile_in_journey(np.array([0.4, 0.4, 0.5, 0.5]), ["use", None, "renewal", "onboarding"])
    np.testing.assert_array_equal(within, [100, np.nan, 0, np.nan])


def test_a_list_holds_so_many_and_who_ties_with_its_last_goes_by_risk_then_id():
    frame = pl.DataFrame(
        {
            "customer_id": ["a", "b", "c", "d"],
            "churn_probability": [0.2, 0.3, 0.3, 0.9],
            "value_at_risk": [5.0, 5.0, 5.0, None],
            "win_back_value": [0.0, 0.0, 0.0, 1.0],
        }
    )
    base = Base(AS_OF, None, RISKS, {}, lists_of(frame, 1))

    def listed(table: pl.DataFrame) -> list[bool]:
        return base.listed(table["customer_id"].to_list(), {one.name: one.to_numpy() for one in table[:, 1:]}).tolist()

    assert listed(frame) == [False, True, False, True]
    other = frame.with_columns(
        customer_id=pl.Series(["z", "aa", "y", "x"]), value_at_risk=pl.Series([6.0, 5.0, 5.0, 4.0])
    )
    assert listed(other) == [True, True, False, False]


def test_it_comes_back_from_disk_as_it_was(tmp_path):
    BASE.save(tmp_path)
    again = Base.load(tmp_path)
    assert (again.as_of, again.regularity, again.lists, again.queue) == (AS_OF, None, (), None)
    assert again.probabilities.tolist() == BASE.probabilities.tolist()
    assert {name: held.tolist() for name, held in again.by_journey.items()} == {"use": [0.1, 0.4], "renewal": [0.9]}
