"""The straight line between what a probability says and what happened, on the logit scale (Cox 1958; Platt 1999)."""

from typing import NamedTuple

import numpy as np
from scipy.special import logit

from fedelta.models.metrics.ranking import Floats

CLIP = 1e-6  # probabilities are kept this far from 0 and 1 before a logarithm


class Line(NamedTuple):
    """logit P(churn) = intercept + slope · logit(probability)."""

    intercept: float
    slope: float


NO_LINE = Line(np.nan, np.nan)


def clip_probability(probability: Floats) -> Floats:
    """Probabilities kept within [1e-6, 1 − 1e-6], so that their logarithms are finite."""
    return np.clip(probability, CLIP, 1 - CLIP)


def clipped_logit(probability: Floats) -> Floats:
    """log(p / (1 − p)) of the clipped probabilities."""
    return np.asarray(logit(clip_probability(probability)), dtype=np.float64)


def logistic_line(churned: Floats, feature: Floats, weight: Floats) -> Line:
    """Maximum likelihood of P(churn) = 1 / (1 + exp(−intercept − slope · feature)).

    Parameters
    ----------
    churned, feature, weight : ndarray of shape (n,)
        0/1 labels, any finite feature (a logit, here), and how often each row counts.

    Returns
    -------
    Line
        ``NO_LINE`` (NaN) when no finite maximum exists: one class, one value of the feature, or a value that separates
        the classes.
    """
    present = weight > 0
    if _separated(feature[present & (churned == 1)], feature[present & (churned == 0)]):
        return NO_LINE
    rows, churners = float(weight.sum()), float(np.sum(weight * churned))
    centre, spread = float(np.sum(weight * feature) / rows), float(np.ptp(feature[present]))
    x = (feature - centre) / spread  # well conditioned even when all probabilities are nearly equal
    level, slope = float(logit(churners / rows)), 0.0
    loss, rate = _loss(level + slope * x, churned, weight)
    for _ in range(50):
        up, across, decrement = _newton_step(x, weight * (churned - rate), weight * rate * (1 - rate))
        if abs(decrement) <= 1e-10 * rows:  # so near that one full step lands on the maximum to rounding
            slope = (slope + across) / spread
            return Line(level + up - slope * centre, slope)
        size = 1.0
        while (trial := _loss(level + size * up + (slope + size * across) * x, churned, weight))[0] > loss:
            size /= 2
        level, slope, (loss, rate) = level + size * up, slope + size * across, trial
    return NO_LINE


def _separated(churners: Floats, stayers: Floats) -> bool:
    if not (churners.size and stayers.size):
        return True
    return bool(churners.min() >= stayers.max() or churners.max() <= stayers.min())


def _loss(line: Floats, churned: Floats, weight: Floats) -> tuple[float, Floats]:
    """Negative log likelihood, and the churn rate the line predicts for each row."""
    small = np.exp(-np.abs(line))  # in (0, 1]: never overflows
    loss = float(np.sum(weight * (np.maximum(line, 0) - churned * line + np.log1p(small))))
    return loss, np.where(line >= 0, 1.0, small) / (1 + small)


def _newton_step(x: Floats, residual: Floats, curvature: Floats) -> tuple[float, float, float]:
    """Change of level and of slope, and the loss a quadratic would save (twice)."""
    bent = curvature * x
    a, b, c = curvature.sum(), bent.sum(), np.sum(bent * x)
    g, h = residual.sum(), np.sum(residual * x)
    determinant = a * c - b * b
    up, across = (c * g - b * h) / determinant, (a * h - b * g) / determinant
    return float(up), float(across), float(up * g + across * h)
