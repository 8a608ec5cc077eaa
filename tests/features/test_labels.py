"""What happened in the horizon: exactly [cutoff + lead, cutoff + lead + horizon), and nothing else."""

from datetime import timedelta

import pytest
from histories import CUTOFF, Event, event, outcome

from fedelta.features.cutoffs import Cutoff

LATER = Cutoff(CUTOFF, 30, 7, "evaluate")
INSTANT = timedelta(microseconds=1)


def bought_in_horizon(at: timedelta, cutoff: Cutoff = LATER) -> float:
    found = outcome(event(5), event(0, occurred_at=CUTOFF + at), cutoff=cutoff)
    return float(found["horizon_purchase_count"])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("at", "counted"),
    [
        (timedelta(days=7) - INSTANT, 0),
        (timedelta(days=7), 1),
        (timedelta(days=37) - INSTANT, 1),
        (timedelta(days=37), 0),
    ],
)
def test_the_horizon_holds_its_first_instant_and_not_its_last(at: timedelta, counted: int):
    assert bought_in_horizon(at) == counted


def test_what_happens_in_the_lead_time_is_neither_known_nor_predicted():
    assert bought_in_horizon(timedelta(days=3)) == 0


def test_without_a_lead_the_horizon_begins_at_the_cutoff():
    assert bought_in_horizon(timedelta(0), Cutoff(CUTOFF, 30, 0, "score")) == 1


def test_each_cutoff_looks_over_its_own_horizon():
    assert bought_in_horizon(timedelta(days=50), Cutoff(CUTOFF, 60, 0, "train")) == 1
    assert bought_in_horizon(timedelta(days=50), Cutoff(CUTOFF, 40, 0, "train")) == 0


def test_purchases_their_days_and_money_and_cancellations_are_counted():
    future: list[Event] = [
        event(-10.1, amount="12.50"),
        event(-10.4, amount="7.25"),
        event(-11, amount=None),
        event(-12, "return", amount=5),
        event(-20, "cancellation"),
    ]
    assert outcome(event(5, amount=99), *future) == {
        "customer_id": "ann",
        "cutoff": CUTOFF,
        "horizon_purchase_count": 3,
        "horizon_purchase_day_count": 2,
        "horizon_spend": 19.75,
        "horizon_cancellation_count": 1,
    }


def test_money_in_the_horizon_is_exact_beside_a_fortune_spent_before():
    found = outcome(event(5, amount="99999999999999.9999"), event(-1, amount="0.0001"))
    assert found["horizon_spend"] == 0.0001
