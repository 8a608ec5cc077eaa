"""The advice: right where the truth is known, silent where the history does not suffice."""

from collections.abc import Sequence

import numpy as np
import polars as pl
import pytest

from fedelta.models.churn_window.advice import Advice, BadWindow, History, WindowSettings, advise
from fedelta.models.churn_window.life_table import added
from fedelta.models.churn_window.predictability import Sample, predictability
from fedelta.models.churn_window.spells import membership_spells, silences
from fedelta.models.metrics.bootstrap import Resampling
from fedelta.models.minimum import Minimum

PARTS, RESAMPLING = 20, Resampling(20)
Day = tuple[str, int, float]


def history(days: Sequence[Day], end: int, members: Sequence[tuple[str, int, int | None]] | None = None) -> History:
    """Of purchase days (customer, day, spend) and, of a contractual source, memberships."""
    bought = pl.DataFrame(days, schema={"customer_id": str, "day": pl.Int32, "spend": float}, orient="row")
    joined = None
    if members is not None:
        joined = pl.DataFrame(members, {"customer_id": str, "start": pl.Int32, "end": pl.Int32}, orient="row")
        joined = joined.with_columns(cancelled=pl.col("end").is_not_null())
    everyone = bought if joined is None else joined
    part = pl.col("customer_id").str.slice(1).cast(int) % PARTS
    spells = [
        silences(bought.filter(part == number), end)
        if joined is None
        else membership_spells(joined.filter(part == number), end)
        for number in range(PARTS)
    ]
    definition = "inactivity" if members is None else "event"
    return History(
        definition, everyone["customer_id"].n_unique(), added(spells), PARTS, Sample(bought, joined, 60, end)
    )


def shoppers(number: int, *, leave: float, mean_gap: float, end: int, seed: int = 1) -> list[Day]:
    """Each buys on after gaps of geometric length, or leaves for good after a purchase with chance `leave`."""
    rng = np.random.default_rng(seed)
    rows = []
    for who in range(number):
        day = int(rng.integers(0, 200))
        while day < end:
            rows.append((f"c{who}", day, 10.0))
            if rng.random() < leave:
                break
            day += int(rng.geometric(1 / mean_gap))
    return rows


def advice_of(history: History, most: float = 0.2) -> Advice:
    return advise(history, WindowSettings(most), RESAMPLING, lead_days=0)


def test_the_share_of_the_silent_who_return_is_that_of_the_simulated_truth():
    leave, mean_gap = 0.15, 25
    found = advice_of(history(shoppers(3000, leave=leave, mean_gap=mean_gap, end=730), 730))
    lasting = (1 - leave) * (1 - 1 / mean_gap) ** np.arange(731) + leave
    for horizon in found.horizons[:6]:
        truth = 1 - lasting[found.reach_days] / lasting[horizon.days]
        assert horizon.returning is not None
        assert horizon.returning.low - 0.01 <= truth <= horizon.returning.high + 0.01
        assert horizon.returning.high - horizon.returning.low < 0.1
    # In truth 21% of those silent for 75 days return, and 13% of those silent for 90.
    assert found.days == 90


def test_the_stricter_the_rule_the_longer_the_horizon():
    shop = history(shoppers(2000, leave=0.15, mean_gap=25, end=730), 730)
    advised = [advice_of(shop, most).days for most in (0.6, 0.2, 0.1)]
    assert None not in advised
    assert advised == sorted(advised)
    assert len(set(advised)) == 3


@pytest.mark.parametrize("share", [0, 1, 20])
def test_a_rule_that_means_nothing_is_refused(share: float):
    with pytest.raises(BadWindow, match="between 0 and 1"):
        WindowSettings(share)


def test_a_horizon_is_only_tested_if_the_silent_were_watched_for_as_long_again_and_two_cutoffs_fit():
    found = advice_of(history(shoppers(2000, leave=0.15, mean_gap=40, end=300), 300))
    tested = [horizon.days for horizon in found.horizons if horizon.returning is not None]
    assert max(tested) <= found.reach_days / 2
    tested = [horizon.days for horizon in found.horizons if horizon.tests]
    assert tested == [30, 45, 60, 75, 90, 120]  # 60 days of history and two horizons: 300 − 2 · 120 = 60


def test_frequent_buyers_who_fall_silent_return_less_than_those_who_bought_once():
    rare = shoppers(1500, leave=0.1, mean_gap=90, end=730)
    frequent = [(f"c{int(who[1:]) + 5000}", day, spend) for who, day, spend in
                shoppers(1500, leave=0.1, mean_gap=10, end=730, seed=2)]  # fmt: skip
    found = advice_of(history(sorted(rare + frequent), 730))
    by_group = next(horizon for horizon in found.horizons if horizon.days == 90).returning_by_group
    assert by_group["after 10 or more"] < 0.5 * by_group["after 1 purchase"]


@pytest.mark.parametrize(
    ("days", "end", "says"),
    [
        ([], 1, "no activity"),
        ([("c1", 3, 5.0)], 4, "no activity followed by a day"),
        ([("c1", 3, 5.0), ("c1", 90, 5.0)], 730, "1 customer is too few"),
        ([(f"c{n}", n % 300, 5.0) for n in range(500)], 730, "nobody has been active on two days"),
        (shoppers(500, leave=0.1, mean_gap=5, end=80), 80, "too short"),
    ],
)
def test_where_no_horizon_can_be_advised_the_advice_says_so(days: list[Day], end: int, says: str):
    found = advice_of(history(days, end))
    assert found.days is None
    assert "No horizon can be advised" in found.because
    assert says in found.because


def test_how_many_customers_are_needed_is_what_the_settings_say():
    held = history(shoppers(300, leave=0.1, mean_gap=10, end=730), 730)
    few = WindowSettings(minimum=Minimum(customers=301))
    assert advise(held, WindowSettings(), RESAMPLING, lead_days=0).days is not None
    refused = advise(held, few, RESAMPLING, lead_days=0)
    assert refused.days is None
    assert "bring at least 301" in refused.because


def test_where_too_many_return_after_every_horizon_none_is_advised():
    found = advice_of(history(shoppers(1000, leave=0.02, mean_gap=150, end=730), 730))
    assert found.days is None
    assert "more than 20%" in found.because


def test_of_a_contract_the_planted_hazard_is_found_and_a_horizon_with_enough_cancellations_advised():
    rng = np.random.default_rng(4)
    members = []
    for who in range(4000):
        start, stays = int(rng.integers(0, 600)), int(rng.geometric(1 / 1000))
        end = start + stays - 1  # the day of enrolling is the first
        members.append((f"c{who}", start, end if end < 730 else None))
    found = advice_of(history([], 730, members))
    for tenure in found.tenures:
        assert tenure.hazard.low - 0.003 <= 1 - 0.999**30 <= tenure.hazard.high + 0.003
    assert found.days == 30
    assert "cancellation says who left" in found.because
    few = advice_of(history([], 730, [(who, start, None) for who, start, _ in members]))
    assert few.days is None
    assert "do 50 members cancel" in few.because


def test_the_churn_rate_is_of_everyone_who_ever_bought_before_the_cutoff():
    # The cutoff of 30 days is day 170: ann and bob had bought; bob buys on day 180, dan only began then.
    days = [("c1", 70, 1.0), ("c2", 80, 1.0), ("c2", 180, 1.0), ("c3", 185, 1.0)]
    (latest, *_) = predictability(history(days, 200).sample, 30, 0, RESAMPLING)
    assert (latest.cutoff, latest.customers, latest.churners, latest.churn_rate) == (170, 2, 1, 0.5)


def test_what_happens_in_the_horizon_changes_no_score_only_who_left():
    days = shoppers(400, leave=0.2, mean_gap=30, end=400)
    doubled = [(who, day, spend * (50 if day >= 310 else 1)) for who, day, spend in days]
    latest, changed = (predictability(history(rows, 400).sample, 90, 0, RESAMPLING)[0] for rows in (days, doubled))
    assert latest == changed


def test_customers_who_leave_at_random_cannot_be_predicted():
    rng = np.random.default_rng(5)
    days = [(f"c{who}", day, 1.0) for who in range(1500) for day in range(0, 360, 60) if rng.random() < 0.5]
    latest = predictability(history(days, 360).sample, 60, 0, Resampling(100))[0]
    assert abs(latest.auc.value - 0.5) < 0.08
