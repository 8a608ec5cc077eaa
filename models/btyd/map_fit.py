"""Maximum a posteriori fits of a few positive parameters: a prior that speaks only when the data do not."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from fedelta.models.rounding import FITTED, significant

Floats = npt.NDArray[np.float64]

# Natural parameters, shape (k,) → total log-likelihood and its gradient with respect to them, shape (k,).
Likelihood = Callable[[Floats], tuple[float, Floats]]

# Log-prior of one log-parameter: flat within a factor CORE of the typical value, a Gaussian shoulder of this width
# beyond it, nothing beyond REACH. Tried and dropped: a plain Gaussian, which moves the published CDNOW estimates in
# their last digit unless it is too wide (20 and more) to hold a runaway fit. This one leaves them exactly alone.
CORE = np.log(3.0)
SHOULDER = 0.5
REACH = CORE + 8.0

STARTS = (0.0, -1.0, 1.0)  # log-distance of all parameters from typical; fixed, so that a refit is the same fit
FLAT = 1e-6  # largest gradient per customer at an optimum
NEWTON_STEPS, LONGEST_STEP = 3, 0.01  # from where BFGS stopped; a longer step is no polish
LEAST_INFORMATION = 0.1  # of the weakest direction; below it, parameters are unknown to a factor exp(1 / √0.1) ≈ 24


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """What every fitted model tells of itself."""

    converged: bool = True
    """False where the data left a parameter to the prior, or the search stopped short; ``note`` says which."""
    note: str = ""

    def to_json(self) -> dict[str, float | bool | str]:
        """Plain values by field name."""
        return asdict(self)

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> Self:
        """The model that ``to_json`` described."""
        return cls(**saved)


@dataclass(frozen=True)
class Optimum:
    """Fitted parameters, and whether the data or the prior decided them."""

    parameters: Floats
    converged: bool
    note: str


def maximise(likelihood: Likelihood, rough: Likelihood, typical: Mapping[str, float], customers: float) -> Optimum:
    """Maximise log-likelihood plus log-prior over log-parameters.

    Parameters
    ----------
    likelihood : Likelihood
        Of all customers; climbed once, from the best point found on ``rough``.
    rough : Likelihood
        A cheap approximation of ``likelihood`` (the same function will do), climbed from every start.
    typical : Mapping
        Name and typical value of each parameter, in order: the centre of the prior. An unidentified one stays here.
    customers : float
        Number of customers behind ``likelihood``: convergence is judged per customer.

    Returns
    -------
    Optimum
        Always finite. ``converged`` is False, and ``note`` says why, when the climb stopped short or when the data
        leave a combination of parameters to the prior.
    """
    centre = np.log(list(typical.values()))
    starts = [centre + shift for shift in STARTS]
    peaks = [_climb(rough, start, centre, customers) for start in starts]
    best, _ = min(peaks, key=lambda peak: round(peak[1], 10))  # the first of equals: what is free stays typical
    theta, _ = _climb(likelihood, best, centre, customers)
    information = _information(likelihood, theta)
    theta = _polished(theta, information, likelihood, centre, customers)
    slope = _objective(theta, likelihood, centre, customers)[1]
    slope[np.abs(theta - centre) > REACH - 1e-6] = 0.0
    if np.abs(slope).max() > FLAT:
        note = "The likelihood was still rising when the search stopped: treat the parameters as approximate."
    else:
        note = _undetermined(information, tuple(typical))
    return Optimum(significant(np.exp(theta), FITTED), not note, note)


def _climb(likelihood: Likelihood, start: Floats, centre: Floats, customers: float) -> tuple[Floats, float]:
    # BFGS, not L-BFGS-B: the latter calls threaded LAPACK on 4 × 4 matrices, 20 times slower on a busy machine.
    found = minimize(
        _objective, start, args=(likelihood, centre, customers), jac=True, method="BFGS", options={"gtol": 1e-9}
    )
    return centre + np.clip(found.x - centre, -REACH, REACH), float(found.fun)


def _objective(theta: Floats, likelihood: Likelihood, centre: Floats, customers: float) -> tuple[float, Floats]:
    """Negative log-posterior per customer, and its gradient with respect to the log-parameters."""
    offset = theta - centre
    within = np.clip(offset, -REACH, REACH)
    parameters = np.exp(centre + within)
    value, gradient = likelihood(parameters)
    beyond = np.sign(offset) * np.maximum(np.abs(offset) - CORE, 0.0) / SHOULDER
    slope = gradient * parameters * (offset == within) - beyond / SHOULDER
    return float((0.5 * beyond @ beyond - value) / customers), -slope / customers


def _information(likelihood: Likelihood, theta: Floats) -> Floats:
    """Observed information of the log-parameters, without the prior's, shape (k, k)."""
    step = 1e-4 * np.eye(len(theta))

    def slope(at: Floats) -> Floats:
        return likelihood(np.exp(at))[1] * np.exp(at)

    hessian = np.array([(slope(theta + d) - slope(theta - d)) / 2e-4 for d in step])
    return np.asarray(-(hessian + hessian.T) / 2, np.float64)


def _polished(theta: Floats, information: Floats, likelihood: Likelihood, centre: Floats, customers: float) -> Floats:
    """The optimum to ten digits and more by Newton's method, along all directions that the data determine.

    BFGS stops at a small gradient, that is after six or seven digits, and at others on another processor.
    """
    beyond = np.abs(theta - centre) > CORE
    curvature, directions = np.linalg.eigh(information + np.diag(beyond / SHOULDER**2))
    kept = (curvature >= LEAST_INFORMATION) & (np.abs(theta - centre).max() < REACH - 1e-6)
    curvature, directions = curvature[kept], directions[:, kept]
    for _ in range(NEWTON_STEPS):
        uphill = -customers * _objective(theta, likelihood, centre, customers)[1]
        step = directions @ ((directions.T @ uphill) / curvature)
        if np.abs(step).max(initial=0.0) > LONGEST_STEP:
            break
        theta = theta + step
    return theta


def _undetermined(information: Floats, names: tuple[str, ...]) -> str:
    """Say which parameters the data leave to the prior: those along a direction of hardly any information."""
    along, directions = np.linalg.eigh(information)
    weak = np.abs(directions[:, along < LEAST_INFORMATION]).max(axis=1, initial=0.0)
    if open_names := [name for name, part in zip(names, weak, strict=True) if part > 0.5]:
        return f"These customers do not determine {', '.join(open_names)}: a weak prior around typical values decided."
    return ""
