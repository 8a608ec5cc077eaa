"""Pillars and levels: good against bad touchpoints of a customer, of a group, and whether it changed."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from scipy import stats

from fedelta.features.contract import LEVELS, PILLARS
from fedelta.models.experience.exposure import DIMENSIONS, EXPERIENCE, Key, Tally, added, customer_counts, tally
from fedelta.models.experience.pillars import GroupIndex, customer_indexes, group_index, priors
from fedelta.models.experience.shrinkage import Prior

AS_OF = datetime(2026, 1, 1, tzinfo=UTC)
ALL = Key("base", "all", "resolution")


def touchpoint(who: str, days_ago: float, *tested: str, bad: tuple[str, ...] = (), channel: str | None = "web"):
    """A touchpoint that put some pillars and levels to the test, and failed at some."""
    row = {"customer_id": who, "occurred_at": AS_OF - timedelta(days=days_ago), "channel": channel}
    for name in (*PILLARS, *LEVELS):
        row |= {f"{name}_exercised": int(name in (*tested, *bad)), f"{name}_bad": int(name in bad)}
    return row


def table(*rows: dict[str, object]) -> pl.DataFrame:
    counts = pl.DataFrame(list(rows)).select(
        pl.exclude("^.*_(exercised|bad)$"), pl.col("^.*_(exercised|bad)$").cast(pl.UInt8)
    )
    return counts.with_columns(pl.col("occurred_at").cast(pl.Datetime("us", "UTC")), pl.col("channel").cast(pl.String))


SMALL = table(
    touchpoint("ann", 10, "resolution", "needs"),
    touchpoint("ann", 20, "needs", bad=("resolution",), channel="chat"),
    touchpoint("ann", 100, "empathy", bad=("resolution", "needs")),
    touchpoint("bob", 90, "resolution", channel=None),
    touchpoint("bob", 400, "resolution"),
    touchpoint("cleo", 5),
)


def test_touchpoints_are_counted_per_customer_ever_and_in_both_periods():
    found = tally(SMALL, AS_OF)[ALL]
    # Ann: 3 touchpoints, 1 good; 2 and 1 in the last 90 days; 1 and 0 in the 90 before. Bob: 2, 2; 1, 1; none.
    assert found.customers == 2
    assert found.sums.tolist() == [5, 3, 3, 2, 1, 0]
    assert (
        found.products.tolist()
        == (
            np.outer([3, 1, 2, 1, 1, 0], [3, 1, 2, 1, 1, 0]) + np.outer([2, 2, 1, 1, 0, 0], [2, 2, 1, 1, 0, 0])
        ).tolist()
    )


def test_experience_counts_every_pillar_a_touchpoint_puts_to_the_test():
    assert tally(SMALL, AS_OF)[Key("base", "all", EXPERIENCE)].sums[:2].tolist() == [6, 4]


def test_a_segment_has_its_own_touchpoints_and_an_unknown_channel_is_no_segment():
    found = tally(SMALL, AS_OF, ["channel"])
    of_resolution = {
        key.value: held.sums[:2].tolist() for key, held in found.items() if key[::2] == ("channel", "resolution")
    }
    assert of_resolution == {"web": [3, 2], "chat": [1, 0]}


def test_a_dimension_nobody_exercised_has_no_tally():
    assert {key.dimension for key in tally(SMALL, AS_OF)} == {"resolution", "empathy", "needs", EXPERIENCE}


def test_buckets_of_whole_customers_add_up():
    rng = np.random.default_rng(4)
    rows = [
        touchpoint(
            f"c{rng.integers(9)}", float(rng.uniform(0, 300)), "needs", bad=(("resolution",), ())[rng.integers(2)]
        )
        for _ in range(80)
    ]
    whole = table(*rows)
    first = pl.col("customer_id") < "c4"
    parts = [tally(whole.filter(part), AS_OF, ["channel"]) for part in (first, ~first)]
    together = tally(whole, AS_OF, ["channel"])
    assert list(added(parts)) == sorted(together)
    for key, held in added(parts).items():
        assert (held.customers, held.sums.tolist()) == (together[key].customers, together[key].sums.tolist())
        assert held.products.tolist() == together[key].products.tolist()


def test_the_index_of_a_customer_is_shrunk_and_null_where_nothing_was_put_to_the_test():
    counts = customer_counts(SMALL)
    found = customer_indexes(counts, dict.fromkeys(DIMENSIONS, Prior(0.8, 10)))
    resolution = found.select("customer_id", "pillar_resolution").rows()
    assert resolution == [("ann", round(100 * 9 / 13, 2)), ("bob", round(100 * 10 / 12, 2)), ("cleo", None)]
    low, high = 100 * stats.beta.ppf([0.05, 0.95], 9, 4)
    assert found.select("pillar_resolution_low", "pillar_resolution_high").row(0) == (round(low, 2), round(high, 2))
    assert found["experience_index"].null_count() == 1
    assert found["pillar_integrity"].null_count() == 3


def test_the_experience_index_weighs_the_pillars_by_the_customers_touchpoints_in_each():
    counts = customer_counts(SMALL)
    found = customer_indexes(counts, dict.fromkeys(DIMENSIONS, Prior(0.8, 10))).row(0, named=True)
    resolution, empathy = 9 / 13, 9 / 11
    assert found["experience_index"] == round(100 * (3 * resolution + empathy) / 4, 2)
    assert found["experience_index_low"] < found["experience_index"] < found["experience_index_high"]


def test_a_customer_with_one_pillar_has_its_interval():
    counts = customer_counts(SMALL)
    bob = customer_indexes(counts, dict.fromkeys(DIMENSIONS, Prior(0.8, 10))).row(1, named=True)
    for end in ("", "_low", "_high"):
        assert bob[f"experience_index{end}"] == pytest.approx(bob[f"pillar_resolution{end}"], abs=0.011)


def test_a_pillar_nobody_exercised_has_no_prior():
    assert set(priors(customer_counts(SMALL))) == {"resolution", "empathy", "needs", EXPERIENCE}


def group(touchpoints: np.ndarray, good: np.ndarray, *periods: np.ndarray) -> Tally:
    """The tally of customers with these counts ever and, if given, in the last 90 days and the 90 before."""
    counts = np.column_stack([touchpoints, good, *(periods or [np.zeros_like(good)] * 4)]).astype(np.int64)
    return Tally(int((touchpoints > 0).sum()), counts.sum(axis=0), counts.T @ counts)


def company(rng: np.random.Generator, customers: int, strength: float) -> tuple[np.ndarray, np.ndarray]:
    share = rng.beta(0.85 * strength, 0.15 * strength, customers)
    return share, rng.integers(1, 40, customers)


def test_nine_of_ten_groups_are_within_their_interval_though_customers_differ():
    rng = np.random.default_rng(11)
    inside, naive = 0, 0
    for _ in range(400):
        share, n = company(rng, 60, 3.0)
        good = rng.binomial(n, share)
        found = group_index(group(n, good), Prior(0.85, 3.0))
        inside += found.low <= 85 <= found.high
        low, high = stats.beta.ppf([0.05, 0.95], good.sum() + 0.5, (n - good).sum() + 0.5)
        naive += low <= 0.85 <= high
    assert 0.87 <= inside / 400 <= 0.95
    assert naive / 400 < 0.7  # as if every touchpoint were another customer's


def test_a_group_without_a_bad_touchpoint_is_not_taken_for_certain():
    few, many = (group_index(group(np.ones(m), np.ones(m)), Prior(0.9, 5)) for m in (5, 500))
    assert few.index == few.high == 100
    assert few.low < 85
    assert many.low > 99
    one = group_index(group(np.array([500]), np.array([500])), Prior(0.9, 5))
    assert one.low < 85  # 500 touchpoints of one customer tell of one customer


def trend(rng: np.random.Generator, drop: float) -> GroupIndex:
    """The index of 300 customers who differ, and fare so much worse in the last 90 days."""
    share, n = company(rng, 300, 4.0)
    recent, before = (rng.poisson(n / 4) for _ in range(2))
    now, then = rng.binomial(recent, share * (1 - drop)), rng.binomial(before, share)
    return group_index(group(recent + before, now + then, recent, now, before, then), Prior(0.85, 4.0))


def test_a_trend_is_reported_where_there_is_one_and_rarely_where_there_is_none():
    rng = np.random.default_rng(5)
    trends = [trend(rng, 0.0).trend.says for _ in range(300)]
    assert trends.count("no change") / 300 >= 0.86
    found = trend(rng, 0.1).trend
    assert found.says == "worse"
    assert found.low < found.change < found.high < 0


def test_too_few_touchpoints_tell_no_trend():
    found = group_index(tally(SMALL, AS_OF)[ALL], Prior(0.8, 10)).trend
    assert (found.says, found.change) == ("too few touchpoints", None)
    assert (found.recent, found.before) == (pytest.approx(200 / 3), 0.0)
