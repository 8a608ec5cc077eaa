"""Buy till you die: who is still a customer and how often they will buy, from a count of purchases and two ages.

Time is in days throughout: histories, horizons, and the scale parameters ``alpha`` and ``beta``.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import digamma, expit, exprel, gammaln

from fedelta.models.btyd.gamma_gamma import GammaGamma, fit_gamma_gamma
from fedelta.models.btyd.integrals import decay_integral, power_decay, purchases_until_dropout
from fedelta.models.btyd.map_fit import Fitted, Likelihood, Optimum, maximise
from fedelta.models.btyd.purchase_summary import Condensed, Floats, InvalidHistory, NoCustomers, Summary, distinct

__all__ = [
    "BgNbd", "GammaGamma", "InvalidHistory", "NoCustomers", "ParetoNbd", "Summary",
    "fit_bg_nbd", "fit_gamma_gamma", "fit_pareto_nbd",
]  # fmt: skip

MOST_ROWS = 200_000  # with more distinct histories than this, a fit merges those that nearly agree
ROUGH_ROWS = 3_000  # enough to choose among the starts of a fit

# Log-likelihood of each history, shape (n,), and its gradient by the parameters, shape (n_parameters, n).
_Terms = Callable[[Floats, Summary], tuple[Floats, Floats]]


@dataclass(frozen=True)
class BgNbd(Fitted):
    """BG/NBD (Fader, Hardie & Lee 2005): rate λ ~ Gamma(r, alpha); gone after each purchase with p ~ Beta(a, b)."""

    r: float
    alpha: float
    """Days; divide by 7 for weeks."""
    a: float
    b: float

    def log_likelihood(self, summary: Summary) -> Floats:
        """Log-likelihood of each history, times in days, of shape (n_customers,); eq. (6)."""
        return _bg_nbd_terms(np.array([self.r, self.alpha, self.a, self.b]), summary)[0]

    def p_alive(self, summary: Summary) -> Floats:
        """Probability of still being a customer, of shape (n_customers,); 1 without a repeat purchase: so the model."""
        if (found := summary.found.get(self)) is None:
            found = summary.found[self] = expit(-_bg_nbd_log_odds_dead(self.r, self.alpha, self.a, self.b, summary))
        return found

    def expected_purchases(self, summary: Summary, days: npt.ArrayLike) -> Floats:
        """Expected purchase days in the next ``days`` (one, or one per customer), of shape (n_customers,); eq. (10)."""
        span = _horizon(days, summary) / (self.alpha + summary.age)
        first, code = distinct(summary.frequency, span)
        x = summary.frequency[first]
        return self.p_alive(summary) * purchases_until_dropout(self.a, self.b + x, self.r + x, span[first])[code]

    def p_any_purchase(self, summary: Summary, days: npt.ArrayLike) -> Floats:
        """Probability of a purchase in the next ``days`` (one, or one per customer), of shape (n_customers,)."""
        span = _horizon(days, summary) / (self.alpha + summary.age)
        return self.p_alive(summary) * -np.expm1(-(self.r + summary.frequency) * np.log1p(span))


@dataclass(frozen=True)
class ParetoNbd(Fitted):
    """Pareto/NBD (Schmittlein, Morrison & Colombo 1987): rate λ ~ Gamma(r, alpha), gone at rate μ ~ Gamma(s, beta)."""

    r: float
    alpha: float
    """Days; divide by 7 for weeks."""
    s: float
    beta: float
    """Days; divide by 7 for weeks."""

    def log_likelihood(self, summary: Summary) -> Floats:
        """Log-likelihood of each history, times in days, of shape (n_customers,).

        Fader & Hardie (2005), "A note on deriving the Pareto/NBD model", before the integral over the time of death
        is written with hypergeometric functions.
        """
        return _pareto_nbd_terms(np.array([self.r, self.alpha, self.s, self.beta]), summary)[0]

    def p_alive(self, summary: Summary) -> Floats:
        """Probability of still being a customer, of shape (n_customers,)."""
        if (found := summary.found.get(self)) is None:
            death = decay_integral(*_death(self.r, self.alpha, self.s, self.beta, summary))
            alive, dead = _pareto_nbd_fates(self.r, self.alpha, self.s, self.beta, summary, death)
            found = summary.found[self] = expit(alive - dead)
        return found

    def expected_purchases(self, summary: Summary, days: npt.ArrayLike) -> Floats:
        """Expected purchase days in the next ``days`` (one, or one per customer), of shape (n_customers,)."""
        k, A, B = self.r + summary.frequency, self.alpha + summary.age, self.beta + summary.age
        log_stretch = np.log1p(_horizon(days, summary) / B)
        # ∫₀ᵗ (B / (B + u))ˢ du, without the singularity at s = 1 of the published form
        expected_life = B * log_stretch * exprel((1 - self.s) * log_stretch)
        return self.p_alive(summary) * k / A * expected_life

    def p_any_purchase(self, summary: Summary, days: npt.ArrayLike) -> Floats:
        """Probability of a purchase in the next ``days`` (one, or one per customer), of shape (n_customers,).

        Given the rates, the next purchase comes before death and within t with probability ∫₀ᵗ λ exp(-(λ+μ)u) du;
        given alive, the rates are Gamma(r + x, alpha + T) and Gamma(s, beta + T), which leaves one integral.
        """
        k, A, B = self.r + summary.frequency, self.alpha + summary.age, self.beta + summary.age
        first_purchase = decay_integral(_horizon(days, summary), A, k + 1, B, self.s)
        return self.p_alive(summary) * np.minimum(k / A * np.exp(first_purchase), 1.0)


def fit_bg_nbd(summary: Summary) -> BgNbd:
    """Fit by maximum likelihood under a weak prior (``models/btyd/map_fit.py``); always returns a model.

    Raises
    ------
    NoCustomers
        If ``summary`` is empty.

    Examples
    --------
    >>> summary = Summary(frequency=[0, 3, 1, 6], recency=[0, 80, 20, 110], age=[100, 120, 90, 120])
    >>> model = fit_bg_nbd(summary)
    >>> model.p_alive(summary).shape
    (4,)
    >>> bool(model.expected_purchases(summary, np.full(4, 90.0)).argmax() == 3)  # who bought most often
    True
    """
    pace, _ = _typical_times(summary)
    typical = {"r": 0.4, "alpha": 0.25 * pace, "a": 0.8, "b": 2.5}
    found = _fit_summary(_bg_nbd_terms, summary, typical)
    r, alpha, a, b = found.parameters.tolist()
    return BgNbd(r, alpha, a, b, converged=found.converged, note=found.note)


def fit_pareto_nbd(summary: Summary) -> ParetoNbd:
    """Fit by maximum likelihood under a weak prior (``models/btyd/map_fit.py``); always returns a model.

    Raises
    ------
    NoCustomers
        If ``summary`` is empty.

    Examples
    --------
    >>> bought_as_often = Summary(frequency=[4, 4, 1, 0], recency=[110, 40, 20, 0], age=[120, 120, 90, 100])
    >>> p_alive = fit_pareto_nbd(bought_as_often).p_alive(bought_as_often)
    >>> bool(p_alive[0] > p_alive[1])  # the longer silence of the second
    True
    """
    pace, age = _typical_times(summary)
    typical = {"r": 0.5, "alpha": 0.5 * pace, "s": 0.5, "beta": 0.5 * age}
    found = _fit_summary(_pareto_nbd_terms, summary, typical)
    r, alpha, s, beta = found.parameters.tolist()
    return ParetoNbd(r, alpha, s, beta, converged=found.converged, note=found.note)


def _fit_summary(terms: _Terms, summary: Summary, typical: Mapping[str, float]) -> Optimum:
    rows = Condensed.of(summary).merged(MOST_ROWS)

    def over(condensed: Condensed) -> Likelihood:
        def likelihood(parameters: Floats) -> tuple[float, Floats]:
            values, gradient = terms(parameters, condensed.summary)
            weights = condensed.customers  # summed without BLAS, whose threads would change the last digits
            return float((values * weights).sum()), (gradient * weights).sum(axis=1)

        return likelihood

    return maximise(over(rows), over(rows.merged(ROUGH_ROWS)), typical, len(summary))


def _typical_times(summary: Summary) -> tuple[float, float]:
    """Days between purchases and days of age in the mean customer: the units in which the prior is centred."""
    if len(summary) == 0:
        raise NoCustomers("Expected the history of at least one customer to fit; the summary is empty.")
    days = float(summary.age.sum()) or float(len(summary))  # all joined today: as good as a day ago
    return days / (float(summary.frequency.sum()) + 1.0), days / len(summary)


def _bg_nbd_log_odds_dead(r: float, alpha: float, a: float, b: float, summary: Summary) -> Floats:
    """Log-odds of having left with the last purchase; -inf without a repeat purchase."""
    x, t_x, T = summary.frequency, summary.recency, summary.age
    repeat = x > 0
    last_chance = np.log(a) - np.log(np.where(repeat, b + x - 1, 1.0))
    return np.where(repeat, last_chance + (r + x) * (np.log(alpha + T) - np.log(alpha + t_x)), -np.inf)


def _bg_nbd_terms(parameters: Floats, summary: Summary) -> tuple[Floats, Floats]:
    r, alpha, a, b = parameters.tolist()
    x, t_x, T = summary.frequency, summary.recency, summary.age
    counts, at = summary.frequencies
    purchases = gammaln(r + counts) - gammaln(r) + r * np.log(alpha)
    survivals = gammaln(a + b) - gammaln(b) + gammaln(b + counts) - gammaln(a + b + counts)
    by_r = digamma(r + counts) - digamma(r) + np.log(alpha)
    by_a = digamma(a + b) - digamma(a + b + counts)
    by_b = by_a + digamma(b + counts) - digamma(b)
    log_odds_dead = _bg_nbd_log_odds_dead(r, alpha, a, b, summary)
    dead = expit(log_odds_dead)
    value = (purchases + survivals)[at] - (r + x) * np.log(alpha + T) + np.logaddexp(0.0, log_odds_dead)
    return value, np.array(
        [
            by_r[at] - (1 - dead) * np.log(alpha + T) - dead * np.log(alpha + t_x),
            r / alpha - (r + x) * ((1 - dead) / (alpha + T) + dead / (alpha + t_x)),
            by_a[at] + dead / a,
            by_b[at] - dead / np.where(x > 0, b + x - 1, 1.0),
        ]
    )


def _death(
    r: float, alpha: float, s: float, beta: float, summary: Summary
) -> tuple[Floats, Floats, Floats, Floats, float]:
    """What `power_decay` takes of the time between the last purchase and death."""
    k, A, B = r + summary.frequency, alpha + summary.recency, beta + summary.recency
    return summary.age - summary.recency, A, k, B, s + 1


def _pareto_nbd_fates(
    r: float, alpha: float, s: float, beta: float, summary: Summary, death: Floats
) -> tuple[Floats, Floats]:
    """Log-weights of being alive at T and of having died since t_x, each of shape (n,).

    `death` is the log of the integral over the time of that death.
    """
    k, A, B = r + summary.frequency, alpha + summary.recency, beta + summary.recency
    alive = -k * np.log(alpha + summary.age) - s * np.log(beta + summary.age)
    return alive, np.log(s) - k * np.log(A) - (s + 1) * np.log(B) + death


def _pareto_nbd_terms(parameters: Floats, summary: Summary) -> tuple[Floats, Floats]:
    r, alpha, s, beta = parameters.tolist()
    k, T = r + summary.frequency, summary.age
    counts, at = summary.frequencies
    purchases = (gammaln(r + counts) - gammaln(r))[at] + r * np.log(alpha) + s * np.log(beta)
    death = power_decay(*_death(r, alpha, s, beta, summary))
    log_alive, log_dead = _pareto_nbd_fates(r, alpha, s, beta, summary, death.log_integral)
    dead = expit(log_dead - log_alive)
    by_r = (digamma(r + counts) - digamma(r))[at] + np.log(alpha)
    return purchases + np.logaddexp(log_alive, log_dead), np.array(
        [
            by_r - (1 - dead) * np.log(alpha + T) - dead * death.mean_log_a,
            r / alpha - k * ((1 - dead) / (alpha + T) + dead * death.mean_inverse_a),
            np.log(beta) - (1 - dead) * np.log(beta + T) + dead * (1 / s - death.mean_log_b),
            s / beta - (1 - dead) * s / (beta + T) - dead * (s + 1) * death.mean_inverse_b,
        ]
    )


def _horizon(days: npt.ArrayLike, summary: Summary) -> Floats:
    """Days ahead of each customer, of shape (n_customers,)."""
    ahead = np.asarray(days, dtype=np.float64)
    if ahead.shape not in ((), summary.age.shape):
        raise InvalidHistory(
            f"Expected one horizon, or one for each of {len(summary)} customers; its shape is {ahead.shape}."
        )
    if not (np.isfinite(ahead) & (ahead >= 0)).all():
        raise InvalidHistory(
            f"Expected a horizon of 0 or more days; the least is {ahead.min():g}, the most {ahead.max():g}."
        )
    return np.broadcast_to(ahead, summary.age.shape)
