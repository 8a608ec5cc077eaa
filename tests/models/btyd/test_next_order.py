"""The next order: due by the customer's own rhythm, given the silence so far; tested on lives that are simulated."""

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from fedelta.models.btyd.fits import ParetoNbd
from fedelta.models.btyd.next_order import LEAST_ALIVE, days_to_next_order, median_wait, regularity

Floats = npt.NDArray[np.float64]
PARETO = ParetoNbd(r=2.0, alpha=60.0, s=1.0, beta=500.0, converged=True, note="")


def lives(c: float, customers: int, days: float = 300.0, seed: int = 3) -> tuple[pd.DataFrame, Floats]:
    """Customers who never leave, observed for some days after their first order; and when each orders next."""
    chance = np.random.default_rng(seed)
    rate = chance.gamma(PARETO.r, 1 / PARETO.alpha, customers)
    at = np.cumsum(chance.gamma(c, 1 / (c * rate[:, None]), (customers, 400)), axis=1)
    made = (at < days).sum(axis=1)
    last = np.where(made > 0, at[np.arange(customers), made - 1], 0.0)
    gaps = np.where(np.arange(400) < made[:, None], np.diff(at, axis=1, prepend=0.0), np.nan)
    mean = np.where(made > 0, last / np.maximum(made, 1), np.nan)
    squares = np.nansum((gaps - mean[:, None]) ** 2, axis=1)
    table = pd.DataFrame(
        {
            "purchase_count": made + 1,
            "purchase_day_count": made + 1,
            "mean_purchase_gap_days": mean,
            "purchase_gap_deviation_days": np.where(made > 1, np.sqrt(squares / np.maximum(made - 1, 1)), np.nan),
            "days_since_first_purchase": days,
            "days_since_last_purchase": days - last,
            "pareto_p_alive": 1.0,
        }
    )
    return table, at[np.arange(customers), made] - days


def wait(r: float = 2.0, alpha: float = 60.0, c: float = 1.0, gaps: float = 3, span: float = 90, silence: float = 20):
    return float(median_wait(r, alpha, c, *(np.array([value], float) for value in (gaps, span, silence)))[0])


def test_orders_by_chance_are_due_as_pareto_nbd_says():
    # Given alive at T = 110, the rate is Gamma(2 + 3, 60 + 110): the wait is Lomax with median 170 (2^(1/5) - 1).
    assert wait() == pytest.approx(170 * (2 ** (1 / 5) - 1))


@pytest.mark.parametrize("c", [0.6, 1.0, 4.0])
def test_half_of_the_customers_order_by_the_date_predicted_whatever_their_silence(c: float):
    table, comes = lives(c, customers=4000)
    gaps, silence = table["purchase_count"].to_numpy(float) - 1, table["days_since_last_purchase"].to_numpy()
    median = median_wait(PARETO.r, PARETO.alpha, c, gaps, 300 - silence, silence)
    for who in (gaps >= 0, gaps == 0, gaps > 10, silence > 30):
        assert binomtest(int((comes <= median)[who].sum()), int(who.sum())).pvalue > 0.001


def test_an_overdue_regular_customer_is_due_sooner_than_one_who_orders_by_chance():
    overdue = {"gaps": 10, "span": 300, "silence": 32}
    assert wait(c=8, **overdue) < wait(c=1, **overdue) / 2
    assert wait(c=8, gaps=10, span=300, silence=0) > 20  # but not when the last order has just come


@pytest.mark.parametrize("c", [0.6, 1.0, 4.0])
def test_the_regularity_of_orders_is_found_again(c: float):
    assert regularity(lives(c, customers=6000, days=1000.0)[0]) == pytest.approx(c, rel=0.12)


def test_clockwork_and_too_few_customers_have_a_bounded_regularity():
    table = lives(1.0, customers=400)[0]
    assert regularity(table.assign(purchase_gap_deviation_days=0.0)) == 20
    assert regularity(table.head(40)) == 1


def test_several_orders_on_a_day_say_nothing_of_regularity():
    table = lives(4.0, customers=2000)[0]
    twice = table.assign(purchase_count=2 * table["purchase_count"])
    assert regularity(twice) == 1


def test_who_has_probably_left_gets_no_date():
    table = lives(1.0, customers=4)[0].assign(pareto_p_alive=[0.9, LEAST_ALIVE, 0.49, np.nan])
    assert np.isfinite(days_to_next_order(table, PARETO)).tolist() == [True, True, False, False]


@given(
    c=st.floats(0.2, 20), gaps=st.integers(0, 2000), pace=st.floats(0.1, 400), silence=st.floats(0, 4000),
    factor=st.floats(0.1, 10),
)  # fmt: skip
@settings(max_examples=200, derandomize=True)
def test_a_wait_is_finite_and_measured_in_the_unit_of_its_history(
    c: float, gaps: int, pace: float, silence: float, factor: float
):
    days = wait(c=c, gaps=gaps, span=gaps * pace, silence=silence)
    assert 0 <= days < np.inf
    other = wait(alpha=60 * factor, c=c, gaps=gaps, span=gaps * pace * factor, silence=silence * factor)
    assert other == pytest.approx(days * factor, rel=1e-3, abs=1e-3 * factor)
