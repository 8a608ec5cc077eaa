"""What lies ahead of each customer by Pareto/NBD: still here or gone, leaving, orders if they stay or come back."""

from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np
import numpy.typing as npt
from scipy.special import exprel, gammaincinv, ndtri, polygamma
from scipy.stats.qmc import Sobol

from fedelta.models.btyd.fits import GammaGamma, ParetoNbd
from fedelta.models.btyd.integrals import decay_integral, discounted_life, power_decay
from fedelta.models.btyd.purchase_summary import Floats, InvalidHistory, Summary

DRAWS = 128  # of each customer's future, the same chances for all: a score does not depend on who else is scored
_SEED = 20050216
_ROWS_AT_ONCE = 4_096


@dataclass(frozen=True)
class Outlook:
    """Of each customer, shape (n_customers,); days and orders (days with a purchase) as the model counts them."""

    p_alive: Floats
    p_any_if_here: Floats
    """Probability of an order within the horizon, if still a customer; above 0."""
    p_leaves: Floats
    """Probability of leaving before the horizon is over, if still a customer: a hazard, not the churn probability."""
    orders_if_here: Floats
    """Expected orders within the span, if still a customer now."""
    orders_if_back: Floats
    """Expected orders within the span of who has left, if they came back today: with the rates of one who has left, who
    buys less often and leaves sooner."""
    days_gone: Floats
    """Days since leaving that are expected, if gone."""


def outlook(model: ParetoNbd, summary: Summary, *, horizon_days: float, lead_days: float, span_days: float) -> Outlook:
    """What Pareto/NBD expects of customers with these histories.

    Given that a customer is here, the purchase rate is Gamma(r + x, α + T) and the rate of leaving Gamma(s, β + T);
    given that they left at age y, these are Gamma(r + x, α + y) and Gamma(s + 1, β + y), and the density of y between
    last purchase and now is (α + y)^-(r+x) (β + y)^-(s+1)
    (Schmittlein, Morrison & Colombo 1987; Fader & Hardie 2005, "A note on deriving the Pareto/NBD model").

    Parameters
    ----------
    horizon_days, lead_days : float
        The horizon begins `lead_days` after the present.
    span_days : float
        In which orders are counted, from the present.
    """
    k, A, B = model.r + summary.frequency, model.alpha + summary.age, model.beta + summary.age
    ahead = np.broadcast_to(np.float64(lead_days + horizon_days), k.shape)
    silence = summary.age - summary.recency
    left = power_decay(silence, model.alpha + summary.recency, k, model.beta + summary.recency, model.s + 1)
    gone = np.where(silence > 0, silence - left.mean_length, 0.0)
    first = decay_integral(np.broadcast_to(np.float64(horizon_days), k.shape), A, k + 1, B, model.s)
    still = (B / (B + lead_days)) ** model.s  # of those here, after the lead
    return Outlook(
        p_alive=model.p_alive(summary),
        p_any_if_here=np.clip(still * k / A * np.exp(first), 1e-12, 1.0),
        p_leaves=-np.expm1(-model.s * np.log1p(ahead / B)),
        orders_if_here=k / A * _expected_life(model.s, B, span_days),
        orders_if_back=k
        * left.mean_inverse_a
        * _expected_life(model.s + 1, model.beta + summary.age - gone, span_days),
        days_gone=gone,
    )


def left_by(model: ParetoNbd, summary: Summary, days_ago: Floats) -> Floats:
    """Probability that a customer had left so many days ago, by all that is known now, of shape (n_customers,).

    0 for who bought since. The density of the time of leaving is that of `outlook`.

    Parameters
    ----------
    days_ago : ndarray of shape (n_customers,)
        At least 0.
    """
    k, A, B = model.r + summary.frequency, model.alpha + summary.recency, model.beta + summary.recency
    silence = summary.age - summary.recency
    until = np.maximum(silence - days_ago, 0.0)
    part, whole = (decay_integral(length, A, k, B, model.s + 1) for length in (until, silence))
    share = np.exp(np.where(until > 0, part, -np.inf) - np.where(silence > 0, whole, 0.0))
    return np.asarray((1 - model.p_alive(summary)) * share, np.float64)


def discounted_orders(model: ParetoNbd, summary: Summary, annual_discount: float) -> Floats:
    """Orders still to come over the whole life, later ones at a discount, of shape (n_customers,).

    DERT, discounted expected residual transactions (Fader, Hardie & Lee 2005, "RFM and CLV: using iso-value curves",
    eq. 2): P(alive) times the purchase rate times the discounted life.

    Parameters
    ----------
    annual_discount : float
        Share by which a year later is worth less, above 0: 0.15 is a continuous rate of ln(1.15) a year.
    """
    k, A, B = model.r + summary.frequency, model.alpha + summary.age, model.beta + summary.age
    return model.p_alive(summary) * k / A * discounted_life(B, model.s, daily_discount(annual_discount))


def daily_discount(annual_discount: float) -> float:
    """The continuous rate per day.

    Raises
    ------
    InvalidHistory
        If the rate is not above 0: an endless life has no value that ends.
    """
    if not annual_discount > 0:
        raise InvalidHistory(f"Expected an annual discount above 0; it is {annual_discount:g}.")
    return float(np.log1p(annual_discount) / 365)


def still_over_span(model: ParetoNbd, summary: Summary, annual_discount: float, span_days: float) -> Floats:
    """Discounted life over the expected life within a span, of customers here (n_customers,): what extends a span's
    value to the whole life. At most a discount makes it fall below 1.
    """
    B = model.beta + summary.age
    return discounted_life(B, model.s, daily_discount(annual_discount)) / _expected_life(model.s, B, span_days)


def lifetime_interval(
    model: ParetoNbd,
    spend: GammaGamma,
    summary: Summary,
    mean_spend: npt.ArrayLike,
    annual_discount: float,
    coverage: float = 0.9,
) -> tuple[Floats, Floats]:
    """Ends of the interval that holds a customer's discounted spend over the rest of their life (n_customers,) each.

    Quantiles of draws: whether still here, the rate of leaving and of buying, the mean order and the orders
    themselves. Every customer is drawn with the same chances. The spend given rates and life is drawn from a gamma
    distribution of the right mean and variance, or is 0 where no order comes.

    Parameters
    ----------
    mean_spend : array-like of shape (n_customers,)
        Mean amount of the orders so far (all purchase days).
    """
    chance = _chances()
    orders = summary.frequency + 1
    p_alive, discount = model.p_alive(summary), daily_discount(annual_discount)
    mean, amount = np.asarray(mean_spend, np.float64), np.empty((2, len(orders)))
    leaving = _gamma_draws(model.s, 1)
    counts, at = np.unique(orders, return_inverse=True)
    buying = np.array([_gamma_draws(model.r + n - 1, 2) for n in counts.tolist()])
    valued = np.array([_gamma_draws(spend.p * n + spend.q, 3) for n in counts.tolist()])
    below = round((1 - coverage) / 2 * DRAWS)
    ends = [below, DRAWS - 1 - below]
    for begin in range(0, len(orders), _ROWS_AT_ONCE):
        rows = slice(begin, begin + _ROWS_AT_ONCE)
        age = summary.age[rows, None]
        with np.errstate(divide="ignore"):
            life = -np.log(chance[4]) * (model.beta + age) / leaving
        rate = buying[at[rows]] / (model.alpha + age)
        order = spend.p * (spend.gamma + (orders * mean)[rows, None]) / valued[at[rows]]
        flow, square = (-np.expm1(-n * discount * life) / (n * discount) for n in (1, 2))
        expected, variance = rate * flow * order, rate * square * order**2 * (1 + 1 / spend.p)
        total = _gamma_quantile(expected, variance, np.exp(-rate * life), chance[0], p_alive[rows, None])
        total.sort(axis=1)
        amount[:, rows] = total[:, ends].T
    return amount[0], amount[1]


@cache
def _chances() -> Floats:
    """The chances that every customer is drawn with (5, n_draws)."""
    return np.asarray(Sobol(5, rng=_SEED).random(DRAWS).T, np.float64)


@lru_cache(4_096)
def _gamma_draws(shape: float, of: int) -> Floats:
    """Gamma variates (n_draws,) at the chances of one of `_chances`: customers share few shapes."""
    return np.asarray(gammaincinv(shape, _chances()[of]), np.float64)


def _gamma_quantile(mean: Floats, variance: Floats, none: Floats, chance: Floats, alive: Floats) -> Floats:
    """Spend at a chance: 0 for the gone and for who never buys again, else gamma (Wilson & Hilferty 1931)."""
    some = alive * (1 - none)
    within = (chance - (1 - some)) / np.maximum(some, 1e-300)
    held = within > 0
    # Given an order at all: the mean rises, and the variance with it.
    up = 1 / np.maximum(1 - none, 1e-12)
    bought = mean * up
    spread = np.maximum((variance + mean**2) * up - bought**2, 1e-12 * bought**2)
    shape = np.maximum(bought**2 / np.maximum(spread, 1e-300), 0.3)
    z = ndtri(np.clip(within, 1e-9, 1 - 1e-9))
    return np.where(held, bought * np.maximum(1 - 1 / (9 * shape) + z / (3 * np.sqrt(shape)), 0.0) ** 3, 0.0)


def rate_spread(model: ParetoNbd, spend: GammaGamma, summary: Summary) -> Floats:
    """Standard deviation of the log of purchase rate times mean order, given the history (n_customers,).

    What is not known of a customer's own spend per day: the posterior of the rate is Gamma(r + x), that of the mean
    order inverse gamma with shape p·n + q, and the logarithm of a gamma variate has the variance ψ'(shape).
    """
    orders = summary.frequency + 1
    return np.asarray(
        np.sqrt(polygamma(1, model.r + summary.frequency) + polygamma(1, spend.p * orders + spend.q)), np.float64
    )


def _expected_life(s: float, B: Floats, days: float) -> Floats:
    """∫₀ᵗ (B/(B + u))ˢ du, expected days as a customer within t, of who is here (n,)."""
    stretch = np.log1p(days / B)
    return np.asarray(B * stretch * exprel((1 - s) * stretch), np.float64)
