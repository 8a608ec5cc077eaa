"""How good a ranking of categories is, customer by customer, so that customers can be resampled."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from fedelta.models.metrics.bootstrap import USUAL, Replicates, Resampling, replicate
from fedelta.models.metrics.calibration_line import clip_probability
from fedelta.models.metrics.metrics import Metric, ece

Floats = npt.NDArray[np.float64]
TOP = 3


def ranked(score: Floats) -> npt.NDArray[np.intp]:
    """Places of the categories by score, highest first, equal ones in the order given (n_rows, n_categories)."""
    return np.argsort(-score, axis=1, kind="stable")


def hit_rate(score: Floats, bought: Floats, top: int = TOP) -> Floats:
    """1 where one of the `top` categories was bought, 0 where none was (n_rows,); NaN for who bought none at all."""
    hits = np.take_along_axis(bought, ranked(score)[:, :top], axis=1).any(axis=1)
    return np.where(bought.any(axis=1), hits.astype(np.float64), np.nan)


def ndcg(score: Floats, bought: Floats, top: int = TOP) -> Floats:
    """Normalised discounted cumulative gain of the `top` categories (Järvelin & Kekäläinen 2002), every category bought
    being worth 1 (n_rows,); NaN for who bought none at all.
    """
    discount = 1 / np.log2(np.arange(2, top + 2))
    found = np.take_along_axis(bought, ranked(score)[:, :top], axis=1)
    best = np.append(0.0, np.cumsum(discount))[np.minimum(bought.sum(axis=1), top).astype(int)]
    gain = (found * discount[: found.shape[1]]).sum(axis=1)
    return np.asarray(np.divide(gain, best, out=np.full(len(bought), np.nan), where=best > 0))


def loss(probability: Floats, bought: Floats) -> Floats:
    """Mean log loss of each row over its categories (n_rows,)."""
    p = clip_probability(probability)
    return -np.asarray(np.mean(bought * np.log(p) + (1 - bought) * np.log1p(-p), axis=1), np.float64)


MEAN = Metric(lambda sample: sample.mean(sample.rows.predicted))


def mean_of_customers(
    figures: Mapping[str, Floats], customer: npt.ArrayLike, name: str, resampling: Resampling = USUAL
) -> Replicates:
    """The mean over customers of a figure that each model has for each row, and its resamples; NaN does not count."""
    kept = np.isfinite(next(iter(figures.values())))
    held = {model: values[kept] for model, values in figures.items()}
    return replicate(
        np.zeros(int(kept.sum())), held, {name: MEAN}, customer=np.asarray(customer)[kept], resampling=resampling
    )


def calibration_error(
    probability: Floats, bought: Floats, customer: npt.ArrayLike, resampling: Resampling = USUAL
) -> Replicates:
    """Expected calibration error over all rows and categories, and its resamples."""
    whose = np.repeat(np.asarray(customer), bought.shape[1])
    predicted = {"model": probability.ravel()}
    return replicate(bought.ravel(), predicted, {"ece": ece}, customer=whose, resampling=resampling)
