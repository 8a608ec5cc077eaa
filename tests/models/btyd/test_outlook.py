"""What lies ahead of a customer by Pareto/NBD: integrals against quadrature, expectations against a simulated world."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.special import hyperu

from fedelta.models.btyd.fits import GammaGamma, ParetoNbd
from fedelta.models.btyd.integrals import discounted_life
from fedelta.models.btyd.outlook import (
    daily_discount,
    discounted_orders,
    lifetime_interval,
    outlook,
    rate_spread,
    still_over_span,
)
from fedelta.models.btyd.purchase_summary import InvalidHistory, Summary

MODEL = ParetoNbd(0.6, 60.0, 0.6, 120.0, converged=True, note="")
VALUE = GammaGamma(4.0, 4.0, 90.0, converged=True, note="")
CDNOW = ParetoNbd(0.553, 10.578, 0.606, 11.669, converged=True, note="")  # in weeks; Fader, Hardie & Lee (2005)
WEEKLY = float(np.expm1(0.0027 * 365))  # annual rate of what the paper takes as continuous rate of a period, 0.0027


@pytest.fixture(scope="module")
def world() -> dict[str, np.ndarray]:
    """Customers whose lives were drawn from the model: histories, and what became of them."""
    rng, n = np.random.default_rng(3), 8_000
    rate, leaving = rng.gamma(MODEL.r, 1 / MODEL.alpha, n), rng.gamma(MODEL.s, 1 / MODEL.beta, n)
    age, life = rng.uniform(100, 700, n), rng.exponential(1 / leaving)
    frequency, recency = np.zeros(n), np.zeros(n)
    for k in range(n):
        end = min(age[k], life[k])
        if times := rng.poisson(rate[k] * end):
            frequency[k], recency[k] = times, rng.uniform(0, end, times).max()
    scale = rng.gamma(VALUE.q, 1 / VALUE.gamma, n)
    mean = rng.gamma(VALUE.p * (frequency + 1), 1 / scale) / (frequency + 1)
    discount, later = daily_discount(0.1), np.zeros(n)
    for k in np.flatnonzero(life > age):
        times = rng.uniform(0, life[k] - age[k], rng.poisson(min(rate[k] * (life[k] - age[k]), 1e6)))
        later[k] = (np.exp(-discount * times) * rng.gamma(VALUE.p, 1 / scale[k], len(times))).sum()
    return {
        "frequency": frequency, "recency": recency, "age": age, "life": life, "rate": rate, "leaving": leaving,
        "mean": mean, "order": VALUE.p / scale, "later": later,
    }  # fmt: skip


def summary_of(world: dict[str, np.ndarray]) -> Summary:
    return Summary(world["frequency"], world["recency"], world["age"])


@pytest.mark.parametrize("s", [0.05, 0.606, 1.0, 2.5])
@pytest.mark.parametrize("discount", [3.8e-4, 0.0027, 0.05])
def test_the_discounted_life_is_that_of_quadrature(s: float, discount: float):
    scales = np.array([1.0, 89.0, 3_000.0])
    by_quadrature = [
        quad(lambda u, b=b: np.exp(-discount * u) * (b / (b + u)) ** s, 0, 60 / discount, limit=2_000, points=[b])[0]
        for b in scales
    ]
    assert discounted_life(scales, s, discount) == pytest.approx(by_quadrature, rel=1e-8)


def test_discounted_orders_of_cdnow_are_those_of_the_published_closed_form():
    # Fader, Hardie & Lee (2005), eq. 2, with L of eq. A1 by way of P(alive): k/A · P(alive) · B · Ψ(1, 2 − s, δB).
    history = Summary([0, 1, 7], [0, 15, 35], [38, 38, 38])
    r, alpha, s, beta = CDNOW.r, CDNOW.alpha, CDNOW.s, CDNOW.beta
    life = (beta + 38) * hyperu(1, 2 - s, 0.0027 * (beta + 38))
    expected = CDNOW.p_alive(history) * (r + history.frequency) / (alpha + 38) * life
    assert discounted_orders(CDNOW, history, WEEKLY) == pytest.approx(expected, rel=1e-7)


def test_what_is_expected_of_customers_comes_true_on_average(world):
    here = world["life"] > world["age"]
    ahead = outlook(MODEL, summary_of(world), horizon_days=90, lead_days=0, span_days=365)
    rest = world["life"] - world["age"]
    assert ahead.p_alive.mean() == pytest.approx(here.mean(), abs=0.015)
    assert ahead.p_leaves[here].mean() == pytest.approx((rest[here] < 90).mean(), abs=0.012)
    orders = world["rate"] / world["leaving"] * -np.expm1(-world["leaving"] * 365)
    assert ahead.orders_if_here[here].mean() == pytest.approx(orders[here].mean(), rel=0.05)
    assert ahead.orders_if_back[~here].mean() == pytest.approx(orders[~here].mean(), rel=0.12)
    assert ahead.days_gone[~here].mean() == pytest.approx(-rest[~here].mean(), rel=0.03)


def test_an_order_within_the_horizon_if_here_times_the_chance_of_being_here_is_that_of_an_order(world):
    summary = summary_of(world)
    ahead = outlook(MODEL, summary, horizon_days=90, lead_days=0, span_days=365)
    assert ahead.p_any_if_here * ahead.p_alive == pytest.approx(MODEL.p_any_purchase(summary, 90), abs=1e-12)
    assert ahead.orders_if_here * ahead.p_alive == pytest.approx(MODEL.expected_purchases(summary, 365), rel=1e-9)


def test_the_discounted_spend_of_a_customer_lies_in_its_interval_as_often_as_it_says(world):
    summary = summary_of(world)
    low, high = lifetime_interval(MODEL, VALUE, summary, world["mean"], 0.1)
    assert (low <= high).all()
    above, below = (world["later"] > high).mean(), (world["later"] < low).mean()
    assert 0.03 < above < 0.07  # 5% is meant
    assert below < 0.07  # where nothing may come, nothing is the least: then fewer than 5% lie below
    wide = low > 0
    assert 0.87 < ((world["later"] >= low) & (world["later"] <= high))[wide].mean() < 0.93


def test_the_expected_lifetime_value_is_what_the_world_brings(world):
    summary = summary_of(world)
    expected = discounted_orders(MODEL, summary, 0.1) * VALUE.expected_spend(world["frequency"] + 1, world["mean"])
    assert expected.mean() == pytest.approx(world["later"].mean(), rel=0.12)


def test_a_customers_own_spend_per_day_lies_in_nine_of_ten_intervals(world):
    summary = summary_of(world)
    spread = rate_spread(MODEL, VALUE, summary)
    mean = (MODEL.r + world["frequency"]) / (MODEL.alpha + world["age"])
    mean = mean * VALUE.expected_spend(world["frequency"] + 1, world["mean"])
    middle, width = np.log(mean) - spread**2 / 2, 1.645 * spread
    true, here = np.log(world["rate"] * world["order"]), world["life"] > world["age"]
    assert 0.87 < (np.abs(true - middle) < width)[here].mean() < 0.93


@given(st.integers(0, 30), st.floats(1, 900), st.floats(0, 1))
def test_a_customer_alone_is_told_the_same_as_among_others(frequency: int, age: float, part: float):
    recency = age * part if frequency else 0.0
    own = Summary([frequency], [recency], [age])
    among = Summary([3, frequency, 0], [50, recency, 0], [200, age, 10])
    for of in (
        lambda s: outlook(MODEL, s, horizon_days=90, lead_days=7, span_days=365).orders_if_back,
        lambda s: lifetime_interval(MODEL, VALUE, s, np.full(len(s), 30.0), 0.1)[1],
        lambda s: still_over_span(MODEL, s, 0.1, 365),
    ):
        assert of(own)[0] == of(among)[1]


def test_the_longer_the_silence_the_longer_gone_and_who_bought_today_has_just_left():
    ahead = outlook(
        MODEL, Summary([3, 3, 3], [300, 200, 10], [300, 300, 300]), horizon_days=90, lead_days=0, span_days=365
    )
    assert ahead.days_gone[0] == 0
    assert (np.diff(ahead.days_gone) > 0).all()
    assert (np.diff(ahead.p_alive) < 0).all()


def test_a_discount_of_nothing_is_refused():
    with pytest.raises(InvalidHistory, match="annual discount above 0; it is 0"):
        daily_discount(0.0)
