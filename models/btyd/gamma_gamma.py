"""What the next order is worth: a customer's own mean, drawn towards everybody's as far as it is uncertain."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import digamma, gammaln

from fedelta.models.btyd.map_fit import Fitted, maximise
from fedelta.models.btyd.purchase_summary import Floats, InvalidHistory, NoCustomers, Positions

_Q_ABOVE_1 = np.array([0.0, 1.0, 0.0])  # the fit searches q - 1, which is positive


@dataclass(frozen=True)
class GammaGamma(Fitted):
    """Gamma-Gamma (Fader & Hardie 2013): orders are Gamma(p, ν), ν ~ Gamma(q, gamma), whatever the rhythm."""

    p: float
    q: float
    """Above 1: the mean over all customers exists."""
    gamma: float
    """In the currency of the orders."""

    def log_likelihood(self, n_orders: npt.ArrayLike, mean_spend: npt.ArrayLike) -> Floats:
        """Log-likelihood of each customer's mean order, of shape (n_customers,); eq. (1a). Needs orders and spend."""
        n, mean = _orders(n_orders, mean_spend)
        return _gamma_gamma_terms(np.array([self.p, self.q, self.gamma]), _Known.of(n, mean))[0]

    def expected_spend(self, n_orders: npt.ArrayLike, mean_spend: npt.ArrayLike) -> Floats:
        """Expected amount of the next order, of shape (n_customers,); eq. (5).

        A customer without orders (``n_orders`` 0; their mean is ignored, NaN too) gets the mean over all customers.
        """
        n, mean = _orders(n_orders, mean_spend)
        return (self.gamma + n * mean) * self.p / (self.p * n + self.q - 1)


def fit_gamma_gamma(n_orders: npt.ArrayLike, mean_spend: npt.ArrayLike) -> GammaGamma:
    """Fit by maximum likelihood under a weak prior, with q above 1; always returns a model.

    Parameters
    ----------
    n_orders, mean_spend : array-like of shape (n_customers,)
        Orders behind each mean, and the mean amount. Customers without orders or without spend are left out.

    Raises
    ------
    NoCustomers
        If nobody has an order with an amount above 0.
    InvalidHistory
        If a number is negative, missing or infinite.
    """
    n, mean = _orders(n_orders, mean_spend)
    spent = (n > 0) & (mean > 0)
    if not spent.any():
        raise NoCustomers("Expected a customer with an order of more than 0 to fit Gamma-Gamma; there is none.")
    n, mean = n[spent], mean[spent]
    known = _Known.of(n, mean)

    def likelihood(parameters: Floats) -> tuple[float, Floats]:
        values, gradient = _gamma_gamma_terms(parameters + _Q_ABOVE_1, known)
        return float(values.sum()), gradient.sum(axis=1)

    typical = {"p": 4.0, "q": 4.0 - 1, "gamma": 0.75 * float(np.average(mean, weights=n))}
    found = maximise(likelihood, likelihood, typical, len(n))
    p, q_above_1, gamma = found.parameters.tolist()
    return GammaGamma(p, 1 + q_above_1, gamma, converged=found.converged, note=found.note)


class _Known(NamedTuple):
    """What the likelihood needs of the customers, whatever the parameters are."""

    n: Floats
    counts: Floats  # every number of orders that occurs
    at: Positions  # the place of each customer's
    total: Floats  # amount of all orders
    log_total: Floats
    log_mean: Floats

    @classmethod
    def of(cls, n: Floats, mean: Floats) -> "_Known":
        counts, at = np.unique(n, return_inverse=True)
        total = n * mean
        return cls(n, counts, at, total, np.log(total), np.log(mean))


def _gamma_gamma_terms(parameters: Floats, known: _Known) -> tuple[Floats, Floats]:
    p, q, gamma = parameters.tolist()
    n, counts, at, total, log_total, log_mean = known
    shape = p * n
    log_sum = np.log(gamma + total)
    norm = gammaln(p * counts + q) - gammaln(p * counts) - gammaln(q)
    by_q = digamma(p * counts + q) - digamma(q)
    by_p = counts * (digamma(p * counts + q) - digamma(p * counts))
    value = norm[at] + q * np.log(gamma) + shape * log_total - log_mean - (shape + q) * log_sum
    return value, np.array(
        [
            by_p[at] + n * (log_total - log_sum),
            by_q[at] + np.log(gamma) - log_sum,
            q / gamma - (shape + q) / (gamma + total),
        ]
    )


def _orders(n_orders: npt.ArrayLike, mean_spend: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Orders and their mean amount as equal float arrays; the mean of no orders is 0."""
    n, mean = np.atleast_1d(np.asarray(n_orders, np.float64)), np.atleast_1d(np.asarray(mean_spend, np.float64))
    if n.ndim != 1 or n.shape != mean.shape:
        raise InvalidHistory(
            f"Expected a count and a mean of orders for each customer; the shapes are {n.shape} and {mean.shape}."
        )
    mean = np.where(n == 0, 0.0, mean)
    wrong = ~(np.isfinite(n) & np.isfinite(mean) & (n >= 0) & (mean >= 0))
    if wrong.any():
        first = int(np.flatnonzero(wrong)[0])
        raise InvalidHistory(
            f"Expected a count and a mean of orders of at least 0; {int(wrong.sum())} of {len(n)} customers differ, "
            f"the first in row {first}: {n[first]:g} orders of {mean[first]:g} each. Correct or drop such rows."
        )
    return n, mean
