"""The two integrals of buy till you die, by quadrature: their hypergeometric forms overflow for busy customers."""

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import betaln, digamma, log_expit, polygamma

Floats = npt.NDArray[np.float64]

DECAY_NODES = 24  # relative error below 1e-8 for 99 in 100 of widely scattered arguments, 3e-6 for the worst
BETA_NODES = 128  # below 2e-7 for the worst of widely scattered arguments
NEGLIGIBLE = 36.0  # e^-36 ≈ 2e-16
_ROWS_AT_ONCE = 512  # temporaries of this many rows stay in the processor's cache

_gauss_nodes, _gauss_weights = np.polynomial.legendre.leggauss(DECAY_NODES)
_NODES, _WEIGHTS = (_gauss_nodes + 1) / 2, _gauss_weights / 2


class Decay(NamedTuple):
    """∫₀ᴸ f(u) du with f(u) = (1 + u/A)^-k (1 + u/B)^-m, and means under the density f / ∫f; each of shape (n,)."""

    log_integral: Floats  # -inf where the length is 0
    mean_log_a: Floats  # of ln(A + u)
    mean_log_b: Floats
    mean_inverse_a: Floats  # of 1 / (A + u)
    mean_inverse_b: Floats
    mean_length: Floats  # of u


def power_decay(length: Floats, A: Floats, k: Floats, B: Floats, m: float) -> Decay:
    """Integrate a product of two power decays over [0, length].

    Gauss–Legendre in y = ln(1 + cu), where c = k/A + m/B is the initial rate of decay: on that axis every feature of
    the integrand is about one wide, whether the decay is a cliff (thousands of purchases) or a heavy tail.

    Parameters
    ----------
    length, A, k, B : ndarray of shape (n,)
        Lengths at least 0, the others positive.
    m : float
        Positive.
    """
    return Decay(*_by_rows(_decay, 6, length, A, k, B, m))


def decay_integral(length: Floats, A: Floats, k: Floats, B: Floats, m: float) -> Floats:
    """The `log_integral` of `power_decay` (n,), in less time than with the means."""
    found: Floats = _by_rows(lambda *rows: _density(*rows)[:1], 1, length, A, k, B, m)[0]
    return found


def _by_rows(
    work: Callable[..., tuple[Floats, ...]], answers: int, length: Floats, A: Floats, k: Floats, B: Floats, m: float
) -> Floats:
    out = np.empty((answers, len(length)))
    for at in range(0, len(length), _ROWS_AT_ONCE):
        rows = slice(at, at + _ROWS_AT_ONCE)
        out[:, rows] = work(length[rows, None], A[rows, None], k[rows, None], B[rows, None], m)
    return out


def _density(
    length: Floats, A: Floats, k: Floats, B: Floats, m: float
) -> tuple[Floats, Floats, Floats, Floats, Floats]:
    """Log of the integral (n,); density, u, ln(1 + u/A) and ln(1 + u/B) at the nodes, (n, n_nodes) each."""
    for scale, power in ((A, k), (B, np.float64(m))):
        length = np.minimum(length, scale * np.expm1(np.minimum(NEGLIGIBLE / power, 600.0)))
    rate = k / A + m / B
    top = np.log1p(rate * length)
    y = top * _NODES
    u = np.expm1(y) / rate
    log_a, log_b = np.log1p(u / A), np.log1p(u / B)
    density = _WEIGHTS * np.exp(y - k * log_a - m * log_b)
    total = density.sum(axis=1)
    density /= total[:, None]
    with np.errstate(divide="ignore"):
        log_integral = np.log(total * (top / rate)[:, 0])
    return log_integral, density, u, log_a, log_b


def _decay(length: Floats, A: Floats, k: Floats, B: Floats, m: float) -> tuple[Floats, ...]:
    log_integral, density, u, log_a, log_b = _density(length, A, k, B, m)
    return (
        log_integral,
        np.log(A[:, 0]) + np.einsum("ij,ij->i", density, log_a),
        np.log(B[:, 0]) + np.einsum("ij,ij->i", density, log_b),
        np.einsum("ij,ij->i", density, 1 / (A + u)),
        np.einsum("ij,ij->i", density, 1 / (B + u)),
        np.einsum("ij,ij->i", density, u),
    )


def discounted_life(B: Floats, s: float, discount: float, nodes: int = 2 * DECAY_NODES) -> Floats:
    """∫₀^∞ e^(-δu) (B/(B + u))ˢ du of shape (n,): days that a customer stays, later ones at a discount.

    B·Ψ(1, 2 - s, δB) of Tricomi's confluent hypergeometric function (Fader, Hardie & Lee 2005, "RFM and CLV", eq. 2
    after Kummer's transformation), which overflows and loses digits; here as in `power_decay`.

    Parameters
    ----------
    B : ndarray of shape (n,)
        Days, positive.
    s, discount : float
        Positive; the discount δ is continuous, per day.
    """
    points, weights = _gauss(nodes)
    rate = s / B[:, None] + discount
    top = np.log1p(rate * NEGLIGIBLE / discount)
    y = top * (points + 1) / 2
    u = np.expm1(y) / rate
    density = np.exp(y - discount * u - s * np.log1p(u / B[:, None])) * weights / 2
    return np.asarray((density.sum(axis=1, keepdims=True) * top / rate)[:, 0], np.float64)


_gauss = cache(np.polynomial.legendre.leggauss)


def purchases_until_dropout(a: float, b: Floats, k: Floats, span: Floats) -> Floats:
    """E[(1 - (1 + p·span)^-k) / p] for p ~ Beta(a, b): purchases of one who drops out after each with chance p.

    Trapezoid rule in logit p, whose error falls exponentially. The chord between p = 0 and p = 1 is taken off first
    and integrated exactly, so that the tails decay even where a or b is close to 0. No singularity at a = 1.

    Parameters
    ----------
    b, k, span : ndarray of shape (n,)
        b and k positive, span at least 0.
    """
    means = np.empty(len(b))
    for at in range(0, len(b), _ROWS_AT_ONCE):
        rows = slice(at, at + _ROWS_AT_ONCE)
        means[rows] = _purchases_until_dropout(a, b[rows, None], k[rows, None], span[rows, None])
    return means


def _purchases_until_dropout(a: float, b: Floats, k: Floats, span: Floats) -> Floats:
    at_0, at_1 = k * span, -np.expm1(-k * np.log1p(span))
    middle = digamma(a + 1) - digamma(b + 1)
    spread = np.sqrt((polygamma(1, a + 1) + polygamma(1, b + 1)) * 2 * NEGLIGIBLE)
    low = middle - spread - NEGLIGIBLE / (a + 1) - np.log1p(at_0) * min(1.0, 2 / (a + 1))
    high = middle + spread + NEGLIGIBLE / (b + 1)
    logit = low + (high - low) * np.linspace(0, 1, BETA_NODES)
    log_p, log_not_p = log_expit(logit), log_expit(-logit)
    p = np.exp(log_p)
    beyond_chord = -np.expm1(-k * np.log1p(p * span)) / p - (at_0 * np.exp(log_not_p) + at_1 * p)
    curved = (np.exp(a * log_p + b * log_not_p - betaln(a, b)) * beyond_chord).sum(axis=1)
    chord = (at_0 * b + at_1 * a) / (a + b)
    mean: Floats = chord[:, 0] + curved * (high - low)[:, 0] / (BETA_NODES - 1)
    return mean
