"""How much the base says of a customer with few touchpoints: shares shrunk by exposure, empirical Bayes."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq, minimize_scalar
from scipy.special import betaincinv, betaln, digamma

from fedelta.models.rounding import FITTED, significant

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

LEAST_STRENGTH, MOST_STRENGTH = 0.1, 10_000.0
TAIL = 0.05  # of a 90% interval, on either side


@dataclass(frozen=True)
class Prior:
    """What is expected of a customer nobody knows: a Beta distribution of their share of good touchpoints.

    `strength` is the number of touchpoints the base counts for in a customer's index.
    """

    mean: float
    strength: float

    @property
    def correlation(self) -> float:
        """Correlation of two touchpoints of one customer: near 0 if customers do not differ, near 1 if only they do."""
        return 1 / (self.strength + 1)

    @property
    def says(self) -> str:
        """What the strength means for customers."""
        if self.strength > 0.99 * MOST_STRENGTH:
            return "Customers differ by no more than chance, so everyone's index is about the base's."
        return f"The base counts for {self.strength:.3g} touchpoints in a customer's index."


def fit_prior(touchpoints: Integers, good: Integers) -> Prior:
    """The beta-binomial distribution of the customers' good touchpoints.

    The mean is the base's share, half a good and half a bad touchpoint added; the strength maximises the likelihood
    given the mean, within 0.1 and 10,000 (Griffiths 1973, Biometrics 29(4); the estimator of Casella 1985, The American
    Statistician 39(2), for shares). Where no customer has two touchpoints nothing tells customers apart, and it is
    10,000.

    Parameters
    ----------
    touchpoints, good : ndarray of shape (n_customers,)
        Touchpoints of every customer, and how many were good.
    """
    mean = (good.sum() + 0.5) / (touchpoints.sum() + 1)
    if touchpoints.max(initial=0) < 2:
        return Prior(float(mean), MOST_STRENGTH)
    pairs, times = np.unique(np.column_stack([touchpoints, good]), axis=0, return_counts=True)
    n, g = pairs.T

    def loss(log_strength: float) -> float:
        alpha, beta = np.exp(log_strength) * mean, np.exp(log_strength) * (1 - mean)
        return -float(times @ (betaln(g + alpha, n - g + beta) - betaln(alpha, beta)))

    def slope(log_strength: float) -> float:
        strength = np.exp(log_strength)
        alpha, beta = strength * mean, strength * (1 - mean)
        gain = mean * (digamma(g + alpha) - digamma(alpha)) + (1 - mean) * (digamma(n - g + beta) - digamma(beta))
        return -float((times * strength * (gain - digamma(n + strength) + digamma(strength))).sum())

    low, high = np.log(LEAST_STRENGTH), np.log(MOST_STRENGTH)
    best = float(minimize_scalar(loss, bounds=(low, high), method="bounded").x)
    near, far = max(best - 0.1, low), min(best + 0.1, high)
    if slope(near) < 0 < slope(far):  # to ten digits, where the search of a flat optimum stops after five
        best = float(brentq(slope, near, far, xtol=1e-13))
    else:
        best = near if slope(near) >= 0 else far
    return Prior(float(mean), significant(float(np.exp(best)), FITTED))


def shrunk(prior: Prior, touchpoints: Integers, good: Integers) -> tuple[Floats, Floats]:
    """Mean of a customer's share of good touchpoints given theirs, and the touchpoints it then rests on."""
    weight = np.asarray(prior.strength + touchpoints, np.float64)
    return np.asarray((prior.strength * prior.mean + good) / weight, np.float64), weight


def beta_interval(mean: Floats, weight: Floats) -> tuple[Floats, Floats]:
    """The 90% interval of Beta distributions of these means and weights (alpha + beta); equal tails."""
    pairs, place = np.unique(np.column_stack([mean, weight]), axis=0, return_inverse=True)
    alpha, beta = pairs[:, 0] * pairs[:, 1], (1 - pairs[:, 0]) * pairs[:, 1]
    low, high = (np.asarray(betaincinv(alpha, beta, tail)[place], np.float64) for tail in (TAIL, 1 - TAIL))
    return low, high
