"""The difference that a treatment made, adjusted by what was known before it; how precise it is, and would be.

Lin (2013): each arm's outcome regressed on centred covariates, the difference of the intercepts, HC2 standard errors.
Beside the interval for one look at the end stands one that holds at every look: the asymptotic confidence sequence with
a normal mixture (Waudby-Smith, Arbour, Sinha, Kennedy & Ramdas 2024, theorem 2.2; Lindon, Ham, Tingley & Bojinov 2022
for regression adjustment; Howard, Ramdas, McAuliffe & Sekhon 2021).
"""

from dataclasses import asdict, dataclass
from math import ceil, inf, log, sqrt
from statistics import NormalDist

import numpy as np
import numpy.typing as npt
from scipy.stats import chi2

from fedelta.features.errors import FedeltaError

Floats = npt.NDArray[np.float64]
Booleans = npt.NDArray[np.bool_]

LEVEL = 0.95
POWER = 0.8
PLANNED = 5_000  # entries at which the interval for every look is tightest; it must not follow from the data
LEAST_IN_ARM = 50  # below, neither interval can be trusted
_ROWS_PER_COVARIATE = 20  # of the smaller arm


class TooFewInArm(FedeltaError, ValueError):
    """An arm holds too few customers to compare."""


@dataclass(frozen=True)
class Effect:
    """A difference between arms, per customer: treated minus held-out.

    `low` to `high` is the 95% interval for one look at a time fixed beforehand, `always_low` to `always_high` the one
    that covers at all looks together. `*_mean` are adjusted means of the arms.
    """

    value: float
    low: float
    high: float
    always_low: float
    always_high: float
    standard_error: float
    treated_mean: float
    held_out_mean: float
    held_out_error: float  # standard error of held_out_mean
    treated: int
    held_out: int

    @property
    def significant(self) -> bool:
        """Whether the interval for one look excludes 0."""
        return self.low > 0 or self.high < 0

    @property
    def always_significant(self) -> bool:
        """Whether the interval for every look excludes 0: only then an effect is claimed."""
        return self.always_low > 0 or self.always_high < 0

    def as_dict(self) -> dict[str, float | int]:
        """As JSON."""
        return asdict(self)


def adjusted_difference(
    outcome: Floats, treated: Booleans, covariates: Floats | None = None, *, planned: int = PLANNED
) -> Effect:
    """Lin's regression-adjusted difference of the arms' mean outcomes.

    Parameters
    ----------
    outcome : ndarray of shape (n,)
        No NaN.
    treated : ndarray of shape (n,)
    covariates : ndarray of shape (n, k), optional
        Known before entry, the most telling first, no NaN. Only as many are used as a twentieth of the smaller arm has
        customers; none that does not vary, or repeats others, in an arm.
    planned : int
        Entries at which the interval for every look is tightest.

    Raises
    ------
    TooFewInArm
        If an arm holds fewer than 2.
    """
    arms = [~treated, treated]
    smaller = min(int(arm.sum()) for arm in arms)
    if smaller < 2:
        raise TooFewInArm(f"Expected at least 2 customers in each arm, got {smaller}: nothing can be compared.")
    x = np.empty((len(outcome), 0)) if covariates is None else _usable(covariates, arms, smaller)
    x = x - x.mean(axis=0)
    (held_mean, held_var, held_slope), (treated_mean, treated_var, treated_slope) = (
        _intercept(outcome[arm], x[arm]) for arm in arms
    )
    # The covariates' means are those of a sample, too: it matters where the effect differs by covariates.
    slope = treated_slope - held_slope
    spread = np.atleast_2d(np.cov(x, rowvar=False)) if x.shape[1] else np.zeros((0, 0))
    error = sqrt(held_var + treated_var + float(slope @ spread @ slope) / len(outcome))
    value = treated_mean - held_mean
    once = NormalDist().inv_cdf((1 + LEVEL) / 2) * error
    always = always_valid_width(len(outcome), planned) * error
    return Effect(
        value=value,
        low=value - once,
        high=value + once,
        always_low=value - always,
        always_high=value + always,
        standard_error=error,
        treated_mean=treated_mean,
        held_out_mean=held_mean,
        held_out_error=sqrt(held_var),
        treated=int(arms[1].sum()),
        held_out=int(arms[0].sum()),
    )


def always_valid_width(n: int, planned: int = PLANNED) -> float:
    """Half-width of the interval for every look, in standard errors, after `n` customers.

    Waudby-Smith et al. (2024), eq. 9, with rho squared chosen for `planned` customers (their appendix B.2).
    """
    alpha = 1 - LEVEL
    phi = planned / (-2 * log(alpha) + log(-2 * log(alpha)) + 1)  # 1 / rho squared
    return sqrt((n + phi) / n * log((n + phi) / (phi * alpha**2)))


def sample_ratio_p(treated: int, held_out: int, share_held_out: float) -> float:
    """Probability of arms so far from the intended share by chance: chi-square, one degree of freedom."""
    n = treated + held_out
    if not n or not 0 < share_held_out < 1:
        return 1.0
    expected = n * share_held_out
    return float(chi2.sf((held_out - expected) ** 2 * (1 / expected + 1 / (n - expected)), 1))


def detectable_effect(base: float, treated: int, held_out: int) -> float:
    """The smallest difference of shares that 80% of experiments of this size find: one look, two-sided, 5% (a share).

    `base` is the share in the control group.
    """
    if not (treated and held_out):
        return inf
    return _reach() * sqrt(base * (1 - base) * (1 / treated + 1 / held_out))


def entries_needed(base: float, effect: float, share_held_out: float) -> int:
    """Customers in both arms together from which a difference of shares is found in 80% of experiments."""
    spread = base * (1 - base) * (1 / share_held_out + 1 / (1 - share_held_out))
    return ceil(_reach() ** 2 * spread / effect**2)


def _reach() -> float:
    return NormalDist().inv_cdf((1 + LEVEL) / 2) + NormalDist().inv_cdf(POWER)


def _usable(covariates: Floats, arms: list[Booleans], smaller: int) -> Floats:
    """The first columns that a regression in each arm can bear, in units of their spread."""
    kept: list[Floats] = []
    for column in covariates.T:
        if len(kept) >= smaller // _ROWS_PER_COVARIATE:
            break
        scale = column.std()
        if not scale > 0:
            continue
        tried = np.column_stack([*kept, column / scale])
        if all(_well_posed(tried[arm]) for arm in arms):
            kept.append(tried[:, -1])
    return np.column_stack(kept) if kept else np.empty((len(covariates), 0))


def _well_posed(x: Floats) -> bool:
    return bool(np.linalg.cond(np.column_stack([np.ones(len(x)), x - x.mean(axis=0)])) < 1e6)


def _intercept(outcome: Floats, x: Floats) -> tuple[float, float, Floats]:
    """Intercept of a least-squares fit, its HC2 variance, and the slopes."""
    design = np.column_stack([np.ones(len(outcome)), x])
    q, r = np.linalg.qr(design)
    coefficients = np.linalg.solve(r, q.T @ outcome)
    residual = outcome - design @ coefficients
    leverage = np.minimum((q**2).sum(axis=1), 1 - 1e-9)
    first = np.linalg.solve(r, q.T)[0]  # how the intercept follows from each outcome
    return float(coefficients[0]), float((first**2 * residual**2 / (1 - leverage)).sum()), coefficients[1:]
