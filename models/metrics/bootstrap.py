"""How sure a figure is: percentile intervals from resampled customers, and paired differences on the same resamples."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from fedelta.features.errors import FedeltaError
from fedelta.models.metrics.metrics import CHURN_METRICS, Metric
from fedelta.models.metrics.ranking import Floats, LengthMismatchError, MetricInputError, Ranked
from fedelta.models.rounding import FIGURE, FINEST, significant


@dataclass(frozen=True)
class Interval:
    """A figure and the range resampling puts it in; NaN where the metric has no meaning."""

    value: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether a difference has the same sign throughout."""
        return self.low > 0 or self.high < 0

    def as_dict(self) -> dict[str, float | None]:
        """``{"value", "low", "high"}`` for JSON, null for NaN."""
        figures = {"value": self.value, "low": self.low, "high": self.high}
        return {name: figure if np.isfinite(figure) else None for name, figure in figures.items()}


@dataclass(frozen=True)
class Resampling:
    """How to bootstrap. Equal settings and customers give equal resamples, whatever is measured on them."""

    n: int = 200
    level: float = 0.95
    seed: int = 7

    def __post_init__(self) -> None:
        if self.n < 1 or not 0 < self.level < 1:
            raise BadResamplingError(f"Expected n >= 1 and 0 < level < 1, got {self}: correct the bootstrap settings.")


class BadResamplingError(FedeltaError, ValueError):
    """Bootstrap settings that cannot be."""


class MissingCustomerError(MetricInputError):
    """A row without a customer to resample it by."""


USUAL = Resampling()


@dataclass(frozen=True, eq=False)
class Replicates:
    """Every metric of every model, on all rows and on each resample: ``figures[model][metric]`` has shape (1 + n,).

    Intervals are percentiles of the resamples. A metric that noise inflates would sit too high in them, as resampling
    adds noise of its own, so its percentiles are reflected about the value (the basic bootstrap of Davison & Hinkley
    1997). Simulated with 2,357 and 10,000 customers, 95% intervals of ECE covered the truth in 80-95% of runs, and in
    half of them at a true error of 0; plain percentiles in 0-95%.
    """

    figures: Mapping[str, Mapping[str, Floats]]
    level: float
    inflated: frozenset[str] = frozenset()

    def interval(self, model: str, metric: str) -> Interval:
        """The metric of a model. That of an inflated one never falls below 0 and includes its value."""
        figures, inflated = self.figures[model][metric], metric in self.inflated
        interval = _interval(figures, self.level, "reflected" if inflated else "percentiles")
        if not inflated:
            return interval
        return Interval(interval.value, max(interval.low, 0.0), max(interval.high, interval.value))

    def difference(self, metric: str, a: str, b: str) -> Interval:
        """The metric of model ``a`` minus that of ``b``, resample by resample.

        Noise inflates an inflated metric of both models, so the difference is about right, but percentiles lie to one
        side of it, and reflected to the other. So its interval is normal, as wide as the resamples vary. It is still
        too narrow (a test counts how often), so calibration is better compared by log loss or Brier score.
        """
        figures = self.figures[a][metric] - self.figures[b][metric]
        return _interval(figures, self.level, "normal" if metric in self.inflated else "percentiles")

    def intervals(self) -> dict[str, dict[str, Interval]]:
        """Every model's every metric."""
        return {
            model: {metric: self.interval(model, metric) for metric in held} for model, held in self.figures.items()
        }


def replicate(
    actual: npt.ArrayLike,
    predictions: Mapping[str, npt.ArrayLike],
    metrics: Mapping[str, Metric] = CHURN_METRICS,
    *,
    customer: npt.ArrayLike | None = None,
    resampling: Resampling = USUAL,
) -> Replicates:
    """Measure models on all rows and on resamples of the customers.

    Customers are drawn with replacement, as many as there are, and bring all their rows: those of one customer at
    several cutoffs are not independent. All models meet the same resamples, also across calls.

    Parameters
    ----------
    actual : array-like of shape (n_rows,)
        0/1 churn labels, or a value.
    predictions : mapping of model to array-like of shape (n_rows,)
    metrics : mapping of name to Metric
        ``CHURN_METRICS``, ``RANK_METRICS`` (a score that is no probability), ``VALUE_METRICS`` or a selection.
    customer : array-like of shape (n_rows,), optional
        Whose row it is; without it each row is a customer.

    Raises
    ------
    MetricInputError
        If the arrays do not fit together; see ``models.metrics.ranking``.
    """
    return Replicates(
        _measure({name: Ranked.of(actual, p) for name, p in predictions.items()}, metrics, customer, resampling),
        resampling.level,
        frozenset(name for name, metric in metrics.items() if metric.inflated),
    )


def paired_difference(
    metric: Metric,
    actual: npt.ArrayLike,
    a: npt.ArrayLike,
    b: npt.ArrayLike,
    *,
    customer: npt.ArrayLike | None = None,
    resampling: Resampling = USUAL,
) -> Interval:
    """``metric`` of prediction ``a`` minus that of ``b`` on the same resamples; exactly 0 for equal predictions."""
    both = replicate(actual, {"a": a, "b": b}, {"metric": metric}, customer=customer, resampling=resampling)
    return both.difference("metric", "a", "b")


def _measure(
    models: Mapping[str, Ranked],
    metrics: Mapping[str, Metric],
    customer: npt.ArrayLike | None,
    resampling: Resampling,
) -> dict[str, dict[str, Floats]]:
    if not models:
        return {}
    codes = _customer_codes(customer, next(iter(models.values())).order.size)
    figures = np.empty((len(models), 1 + resampling.n, len(metrics)))
    for draw, weight in enumerate(_weights(codes, resampling)):
        for model, rows in enumerate(models.values()):
            sample = rows.sample(weight)
            figures[model, draw] = [metric.of(sample) for metric in metrics.values()]
    figures = significant(figures, FIGURE, FINEST)
    return {model: dict(zip(metrics, held.T, strict=True)) for model, held in zip(models, figures, strict=True)}


def _weights(codes: npt.NDArray[np.intp], resampling: Resampling) -> Iterator[Floats]:
    """How often each row counts: once in the data themselves, then by each resample."""
    yield np.ones(codes.size)
    customers = int(codes.max()) + 1
    rng = np.random.default_rng(resampling.seed)
    for _ in range(resampling.n):
        drawn = np.bincount(rng.integers(customers, size=customers), minlength=customers)
        yield drawn[codes].astype(np.float64)


def _customer_codes(customer: npt.ArrayLike | None, rows: int) -> npt.NDArray[np.intp]:
    if customer is None:
        return np.arange(rows)
    codes = pd.factorize(np.asarray(customer))[0]
    if codes.shape != (rows,):
        raise LengthMismatchError(f"Expected one customer per row, got {len(codes)} for {rows} rows: align them first.")
    if (codes < 0).any():
        raise MissingCustomerError(
            f"Expected a customer on every row, got {(codes < 0).sum()} without: drop those rows."
        )
    return codes


def _interval(figures: Floats, level: float, how: Literal["percentiles", "reflected", "normal"]) -> Interval:
    """The figure on all rows, with a range from its resamples; those where the metric has no meaning are left out."""
    value, draws = figures[0], figures[1:]
    draws = draws[np.isfinite(draws)]
    if not (np.isfinite(value) and draws.size):
        return Interval(np.nan, np.nan, np.nan)
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    if how == "reflected":
        low, high = 2 * value - high, 2 * value - low
    elif how == "normal":
        reach = NormalDist().inv_cdf((1 + level) / 2) * draws.std()
        low, high = value - reach, value + reach
    return Interval(float(value), float(low), float(high))
