"""From a model's probability to the frequency that came true, learned out of time, or left unchanged.

Last season's base rate is not next season's, so a correction has to earn its place: each cutoff is predicted by a
calibrator fitted on those before it, and the simpler of two stays unless the other's log loss is lower by a paired
interval. (Fitted on all others, later ones too, isotonic steps won by 0.0007 and were wrong by 0.04 a season on.)
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.optimize import isotonic_regression
from scipy.special import expit

from fedelta.features.errors import FedeltaError
from fedelta.models.metrics.bootstrap import USUAL, Resampling, paired_difference
from fedelta.models.metrics.calibration_line import clip_probability, clipped_logit, logistic_line
from fedelta.models.metrics.metrics import log_loss
from fedelta.models.metrics.ranking import Floats, LengthMismatchError, NotProbabilityError, Ranked, column
from fedelta.models.rounding import FINEST, FITTED, significant

Kind = Literal["none", "platt", "isotonic"]
CORRECTIONS: tuple[Kind, ...] = ("platt", "isotonic")  # the simpler first


class BadCalibratorError(FedeltaError, ValueError):
    """A calibrator that would not map probabilities to probabilities in their order."""


@dataclass(frozen=True)
class Calibrator:
    """A map from probability to probability that never reverses an order.

    ``none`` changes nothing, ``platt`` is a straight line between the logits (Platt 1999), ``isotonic`` a rising line
    through ``knots`` (Zadrozny & Elkan 2002), flat beyond its ends. ``note`` says why this one was chosen.

    Raises
    ------
    BadCalibratorError
        If the kind is unknown, the slope not positive, or the knots do not rise within [0, 1].
    """

    kind: Kind = "none"
    intercept: float = 0.0
    slope: float = 1.0
    knots: tuple[tuple[float, float], ...] = ()  # (probability in, probability out)
    note: str = ""

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise BadCalibratorError(
                f"Expected a calibrator of kind {get_args(Kind)}, got {self.kind!r}: retrain the model."
            )
        if not (np.isfinite(self.intercept) and np.isfinite(self.slope) and self.slope > 0):
            raise BadCalibratorError(
                f"Expected a slope above 0, got {self.slope} ({self.intercept=}): retrain the model."
            )
        if (self.kind == "isotonic") != bool(self.knots) or not _rising(self.knots):
            raise BadCalibratorError(
                "Expected an isotonic calibrator, and no other, to have rising knots: retrain the model."
            )

    def apply(self, probability: npt.ArrayLike) -> Floats:
        """Calibrated probabilities of shape (n,), within [1e-6, 1 − 1e-6].

        Raises NotProbabilityError or NotFiniteError for anything but probabilities.
        """
        raw = column("probability", probability)
        if ((raw < 0) | (raw > 1)).any():
            raise NotProbabilityError(
                f"Expected probabilities in [0, 1], got {raw.min():g} to {raw.max():g}: calibrate a probability."
            )
        if self.kind == "platt":
            raw = expit(self.intercept + self.slope * clipped_logit(raw))
        elif self.kind == "isotonic":
            raw = np.interp(raw, *np.transpose(self.knots))
        return clip_probability(raw)

    def to_dict(self) -> dict[str, object]:
        """The calibrator as JSON can hold it, exactly."""
        return {**asdict(self), "knots": [list(knot) for knot in self.knots]}

    @classmethod
    def from_dict(cls, held: Mapping[str, Any]) -> "Calibrator":
        """The calibrator whose ``to_dict`` this is. Raises BadCalibratorError for anything else."""
        try:
            kind, note = held["kind"], str(held["note"])
            intercept, slope = float(held["intercept"]), float(held["slope"])
            knots = tuple((float(given), float(returned)) for given, returned in held["knots"])
        except (KeyError, TypeError, ValueError) as error:
            raise BadCalibratorError(f"Expected a saved calibrator, got {held!r}: retrain the model.") from error
        return cls(kind, intercept, slope, knots, note)


@dataclass(frozen=True)
class CalibrationSettings:
    """What a correction needs before it is tried, and how it is judged."""

    isotonic_rows: int = 5_000  # below, a step function learns noise
    resampling: Resampling = USUAL


DEFAULT = CalibrationSettings()


def fit_calibrator(
    probability: npt.ArrayLike,
    churned: npt.ArrayLike,
    fold: npt.ArrayLike,
    settings: CalibrationSettings = DEFAULT,
    *,
    customer: npt.ArrayLike | None = None,
) -> Calibrator:
    """Choose a calibrator out of time and fit it on all rows.

    Parameters
    ----------
    probability : array-like of shape (n,)
        What models predicted for rows they had not seen (out of fold).
    churned : array-like of shape (n,)
        0/1 labels.
    fold : array-like of shape (n,)
        The cutoff of each row, of any type that can be ordered in time. With a single cutoff nothing can be tested and
        the choice is ``none``.
    customer : array-like of shape (n,), optional
        Whose row it is, for the bootstrap; without it each row is a customer.

    Returns
    -------
    Calibrator
        Its ``note`` gives the evidence.

    Raises
    ------
    MetricInputError
        If the arrays do not fit together; see ``models.metrics.ranking``.

    Examples
    --------
    >>> chance = np.random.default_rng(1)
    >>> truth = chance.uniform(0.1, 0.9, 3000)
    >>> churned = (chance.random(3000) < truth).astype(float)
    >>> calibrator = fit_calibrator(truth**2, churned, np.repeat([1, 2, 3], 1000))
    >>> calibrator.apply(np.array([0.04, 0.25, 0.64])).round(1).tolist()
    [0.2, 0.5, 0.8]
    """
    raw, labels, folds = _rows(probability, churned, fold)
    if folds.max() == 0:
        return Calibrator(note="Not calibrated: one cutoff cannot be tested out of time. Train on two cutoffs or more.")
    chosen, forecast, evidence = Calibrator(), raw, []
    later = folds > 0  # the first cutoff has none before it to learn from
    whose = None if customer is None else np.asarray(customer)[later]
    for kind in CORRECTIONS:
        if kind == "isotonic" and raw.size < settings.isotonic_rows:
            evidence.append(f"isotonic needs {settings.isotonic_rows:,} rows, has {raw.size:,}")
            continue
        fitted, challenge = _fit(kind, raw, labels), _out_of_fold(kind, raw, labels, folds)
        if fitted is None or challenge is None:
            evidence.append(f"{kind} has no rising line through every set of earlier cutoffs")
            continue
        gain = paired_difference(
            log_loss, labels[later], challenge[later], forecast[later], customer=whose, resampling=settings.resampling
        )
        evidence.append(f"{kind} against {chosen.kind}: log loss {gain.value:+.4f} [{gain.low:+.4f}, {gain.high:+.4f}]")
        if gain.high < 0:
            chosen, forecast = fitted, challenge
    verdict = "Not calibrated" if chosen.kind == "none" else f"Calibrated ({chosen.kind})"
    return replace(
        chosen, note=f"{verdict}; each of {folds.max() + 1} cutoffs by those before it: {'; '.join(evidence)}."
    )


def _rows(
    probability: npt.ArrayLike, churned: npt.ArrayLike, fold: npt.ArrayLike
) -> tuple[Floats, Floats, npt.NDArray[np.intp]]:
    """The probabilities, the labels and the number of each row's fold, checked."""
    rows = Ranked.of(churned, probability)
    _ = rows.probability, rows.churned
    folds = pd.factorize(np.asarray(fold), sort=True)[0]
    if folds.shape != rows.order.shape:
        raise LengthMismatchError(
            f"Expected one cutoff per row, got {folds.size} for {rows.order.size} rows: align them first."
        )
    return column("probability", probability), column("churned", churned), folds


def _fit(kind: Kind, probability: Floats, churned: Floats) -> Calibrator | None:
    """The correction these rows ask for; None when it would not rise with the probability."""
    if kind == "isotonic":
        return Calibrator("isotonic", knots=_isotonic_knots(probability, churned))
    line = logistic_line(churned, clipped_logit(probability), np.ones(churned.size))
    intercept, slope = (significant(figure, FITTED, FINEST) for figure in (line.intercept, line.slope))
    return Calibrator("platt", intercept, slope) if slope > 0 else None


def _isotonic_knots(probability: Floats, churned: Floats) -> tuple[tuple[float, float], ...]:
    """Both ends of each flat stretch of the least-squares rising fit, in ascending order.

    The first and the last stretch each count one more customer, of average risk: that none of five churned is no proof
    that nobody does. Without it, log loss was 0.004 higher after 6,000 simulated rows, 0.001 after 20,000.
    """
    levels, group, rows = np.unique(probability, return_inverse=True, return_counts=True)
    fit = isotonic_regression(np.bincount(group, weights=churned) / rows, weights=rows)
    starts, ends = fit.blocks[:-1], fit.blocks[1:] - 1
    rate = fit.x[starts]
    softened = (rate * fit.weights + churned.mean()) / (fit.weights + 1)
    rate[0], rate[-1] = min([softened[0], *rate[1:2]]), max([softened[-1], *rate[-2:-1]])
    at_both_ends = zip(np.append(levels[starts], levels[ends]).tolist(), np.tile(rate, 2).tolist(), strict=True)
    return tuple(sorted(set(at_both_ends)))


def _out_of_fold(kind: Kind, probability: Floats, churned: Floats, folds: npt.NDArray[np.intp]) -> Floats | None:
    """Each fold but the first calibrated by the rows of those before it; None when one of them allows no fit."""
    calibrated = probability.copy()
    for fold in range(1, folds.max() + 1):
        held_out, known = folds == fold, folds < fold
        fitted = _fit(kind, probability[known], churned[known])
        if fitted is None:
            return None
        calibrated[held_out] = fitted.apply(probability[held_out])
    return calibrated


def _rising(knots: tuple[tuple[float, float], ...]) -> bool:
    """Whether the knots step strictly forward and never down, within [0, 1]."""
    steps = pairwise(knots)
    inside = all(0 <= given <= 1 and 0 <= returned <= 1 for given, returned in knots)
    return inside and all(a[0] < b[0] and a[1] <= b[1] for a, b in steps)
