"""How good a prediction is: of churn (ranking, probability, profit) and of value (error, level, order, interval).

Every metric is called on arrays, ``auc(churned, probability, weight=None)``, or many times on rows ranked once,
``auc.of(sample)``. A weight counts a row a whole number of times, so weight 2 equals the row repeated. Equal
predictions form one group and are never ordered by luck: what falls across the middle of a group is shared out evenly.

A metric without meaning is NaN: with one class only (``auc``, ``average_precision``, ``slope``, ``empc``), no churners
(``lift``), perfectly separated classes or one probability for all (``slope``), constant actuals (``r2``, ``gini``,
``spearman``), constant predictions (``spearman``), or actuals that sum to nothing (``bias``, ``gini``,
``decile_error``, ``top_share``).

>>> auc([0, 1, 0, 1], [0.1, 0.8, 0.4, 0.3])
0.75
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import pandas as pd

from fedelta.models.metrics.calibration_line import Line, clip_probability, clipped_logit, logistic_line
from fedelta.models.metrics.empc import PAPER, Campaign, best_profit
from fedelta.models.metrics.ranking import Floats, Ranked, Sample, whole_weights

DECILES = 10


@dataclass(frozen=True)
class Metric:
    """A figure of merit of one prediction."""

    of: Callable[[Sample], float]  # the figure for ranked, weighted rows
    inflated: bool = False  # noise alone raises it above 0, and so does resampling

    def __call__(self, actual: npt.ArrayLike, predicted: npt.ArrayLike, weight: npt.ArrayLike | None = None) -> float:
        """The figure for arrays of shape (n,). Raises MetricInputError (see ``ranking``) for unusable rows."""
        return self.of(_sample(actual, predicted, weight))


# Churn: actual is 0 or 1. The first four need only an order, the others a probability.


@Metric
def auc(sample: Sample) -> float:
    """Chance that a churner is ranked above a stayer, ties counting half (Mann–Whitney)."""
    churners = sample.churners
    stayers = sample.counts - churners
    pairs = churners[-1] * stayers[-1]
    return float(np.trapezoid(churners, stayers) / pairs) if pairs else np.nan


@Metric
def average_precision(sample: Sample) -> float:
    """Precision averaged over the churners, stepping down the ranking group by group."""
    churners = sample.churners
    if not 0 < churners[-1] < sample.count:
        return np.nan
    precision = churners[1:] / np.maximum(sample.counts[1:], 1.0)
    return float(np.sum(np.diff(churners) * precision) / churners[-1])


@Metric
def top_decile_lift(sample: Sample) -> float:
    """Churn rate of the round(0.1 n) highest scores (at least one) over the churn rate of all."""
    churners, top = sample.churners, _top(sample, 1 / DECILES)
    if not churners[-1]:
        return np.nan
    return float(np.interp(top, sample.counts, churners) / top / (churners[-1] / sample.count))


def profit_metric(campaign: Campaign) -> Metric:
    """Expected maximum profit per customer under a campaign's economics (``models.metrics.empc``)."""
    return Metric(lambda sample: best_profit(sample, campaign).per_customer)


empc = profit_metric(PAPER)


def capacity_metric(campaign: Campaign = PAPER, share: float = 1 / DECILES) -> Metric:
    """Expected profit per customer if just so many can be contacted: the round(share × n) highest scores, at least one.

    A campaign's share of would-be churners who accept is taken at its mean, α / (α + β). Below 0 when contacting them
    costs more than it saves, unlike EMPC, which then contacts nobody.
    """
    saved = campaign.alpha / (campaign.alpha + campaign.beta) * (campaign.clv - campaign.incentive)

    def profit(sample: Sample) -> float:
        contacted = _top(sample, share)
        churners = float(np.interp(contacted, sample.counts, sample.churners))
        cost = campaign.contact * contacted + campaign.incentive * (contacted - churners)
        return (saved * churners - cost) / sample.count

    return Metric(profit)


profit_at_capacity = capacity_metric()


@Metric
def log_loss(sample: Sample) -> float:
    """Mean negative log likelihood in nats, probabilities clipped to [1e-6, 1 − 1e-6]."""
    return sample.mean(sample.rows.once(_surprise))


@Metric
def brier(sample: Sample) -> float:
    """Mean squared difference between probability and outcome."""
    return sample.mean(sample.rows.once(_probability_error) ** 2)


def _ece(sample: Sample) -> float:
    """Expected calibration error: |churn rate − mean probability|, averaged over ten equal-count bins by their rows.

    Edges are the deciles of the probability (linearly interpolated); a bin is open below and closed above. Noise adds
    to it: a perfect model has about 0.02 on 2,000 rows.
    """
    cuts = _decile_cuts(sample)
    return float(np.abs(np.diff(sample.churners[cuts] - sample.forecasts[cuts])).sum() / sample.count)


ece = Metric(_ece, inflated=True)


@Metric
def calibration_slope(sample: Sample) -> float:
    """Slope of the calibration line: 1 is right, below 1 is too extreme, above 1 too timid (Cox 1958)."""
    return _line(sample).slope


def calibration_line(churned: npt.ArrayLike, probability: npt.ArrayLike, weight: npt.ArrayLike | None = None) -> Line:
    """Logistic regression of churn on the logit of its probability, arrays of shape (n,); (0, 1) is well calibrated.

    Both figures are NaN when no finite line exists: one class, one probability, or classes perfectly separated.
    """
    return _line(_sample(churned, probability, weight))


# Value: actual is money, orders or any other quantity.


@Metric
def base_rate(sample: Sample) -> float:
    """Mean of what happened: the churn rate, or the value per customer."""
    return sample.mean(sample.rows.actual)


@Metric
def rmse(sample: Sample) -> float:
    """Root mean squared error."""
    return float(np.sqrt(sample.mean(sample.rows.once(_error) ** 2)))


@Metric
def mae(sample: Sample) -> float:
    """Mean absolute error. It rewards under-forecasting where most customers buy nothing: read it last."""
    return sample.mean(np.abs(sample.rows.once(_error)))


@Metric
def r2(sample: Sample) -> float:
    """Share of the variance of the actuals explained: 1 − SSE / SST."""
    actual = sample.rows.actual
    if not sample.varies(actual):
        return np.nan
    return 1 - sample.mean(sample.rows.once(_error) ** 2) / sample.mean((actual - sample.mean(actual)) ** 2)


@Metric
def bias(sample: Sample) -> float:
    """Predicted total over actual total, minus 1: −0.1 is ten per cent low."""
    actual = sample.total(sample.rows.actual)
    return sample.total(sample.rows.predicted) / actual - 1 if actual else np.nan


@Metric
def normalised_gini(sample: Sample) -> float:
    """Gini of the actuals in the order of the predictions over that in their own order: 1 is perfect, 0 is luck."""
    if not sample.varies(sample.rows.actual) or sample.gains[-1] <= 0:
        return np.nan
    perfect = sample.rows.once(_by_actual).sample(sample.weight)
    return _gini(sample) / _gini(perfect)


@Metric
def spearman(sample: Sample) -> float:
    """Rank correlation of prediction and actual, ties at their mean rank."""
    rows = sample.rows
    if not (sample.varies(rows.actual) and sample.varies(rows.predicted)):
        return np.nan
    forecast = _centred_ranks(sample, rows.once(_prediction_groups))
    happened = _centred_ranks(sample, rows.once(_actual_groups))
    scale = np.sqrt(sample.mean(forecast**2) * sample.mean(happened**2))
    return float(sample.mean(forecast * happened) / scale)


def captured_metric(share: float) -> Metric:
    """Share of the actual total held by the round(share × n) highest predictions (at least one)."""

    def captured(sample: Sample) -> float:
        total = sample.gains[-1]
        return float(np.interp(_top(sample, share), sample.counts, sample.gains) / total) if total > 0 else np.nan

    return Metric(captured)


top_share = captured_metric(1 / DECILES)


def _decile_error(sample: Sample) -> float:
    """|Predicted − actual total| of each tenth of the ranking, summed, over the actual total: at least |bias|.

    The decile chart of Wang, Liu & Miao (2019, arXiv:1912.07753) in one figure; weighed by money, not by decile, as
    the lowest deciles may hold none.
    """
    bounds = _decile_bounds(sample)
    gains, forecasts = (np.diff(np.interp(bounds, sample.counts, held)) for held in (sample.gains, sample.forecasts))
    total = sample.gains[-1]
    return float(np.abs(forecasts - gains).sum() / total) if total > 0 else np.nan


decile_error = Metric(_decile_error, inflated=True)


RANK_METRICS: Mapping[str, Metric] = MappingProxyType(
    {"auc": auc, "average_precision": average_precision, "lift": top_decile_lift, "empc": empc}
)  # all a score that is no probability can be judged by, such as days of silence
CHURN_METRICS: Mapping[str, Metric] = MappingProxyType(
    {
        "auc": auc,
        "average_precision": average_precision,
        "log_loss": log_loss,
        "brier": brier,
        "ece": ece,
        "slope": calibration_slope,
        "lift": top_decile_lift,
        "profit_at_capacity": profit_at_capacity,
        "empc": empc,
    }
)
VALUE_METRICS: Mapping[str, Metric] = MappingProxyType(
    {
        "rmse": rmse,
        "mae": mae,
        "r2": r2,
        "bias": bias,
        "gini": normalised_gini,
        "spearman": spearman,
        "top_share": top_share,
        "decile_error": decile_error,
    }
)


def decile_table(actual: npt.ArrayLike, predicted: npt.ArrayLike, weight: npt.ArrayLike | None = None) -> pd.DataFrame:
    """Predicted against actual by tenth of the ranking, for churn and for value.

    Decile 1 holds the highest predictions; decile k ends at row round(0.1 k n), so its lift is ``top_decile_lift``.

    Returns
    -------
    DataFrame of shape (up to 10, 6)
        ``decile``, ``rows``, ``mean_predicted``, ``mean_actual``, ``lift`` (mean actual over that of all) and
        ``cumulative_share`` (of the actual total, in this decile and those above). Deciles without rows are left out;
        lift and share are NaN when the actual total is 0.
    """
    sample = _sample(actual, predicted, weight)
    bounds = _decile_bounds(sample)
    gains, forecasts = (np.interp(bounds, sample.counts, totals) for totals in (sample.gains, sample.forecasts))
    total = gains[-1] or np.nan
    rows = np.diff(bounds)
    kept = rows > 0
    mean_actual = np.diff(gains)[kept] / rows[kept]
    return pd.DataFrame(
        {
            "decile": np.arange(1, DECILES + 1)[kept],
            "rows": rows[kept].astype(np.int64),
            "mean_predicted": np.diff(forecasts)[kept] / rows[kept],
            "mean_actual": mean_actual,
            "lift": mean_actual / (total / sample.count),
            "cumulative_share": (gains[1:] / total)[kept],
        }
    )


def _sample(actual: npt.ArrayLike, predicted: npt.ArrayLike, weight: npt.ArrayLike | None) -> Sample:
    rows = Ranked.of(actual, predicted)
    return rows.sample(None if weight is None else whole_weights(weight, rows.order.size))


def _top(sample: Sample, share: float) -> int:
    return max(1, round(sample.count * share))


def _decile_bounds(sample: Sample) -> Floats:
    """Rows above each decile of the ranking, from 0 to all of them, shape (11,)."""
    return np.array([round(sample.count * k / DECILES) for k in range(DECILES + 1)], dtype=np.float64)


def _surprise(rows: Ranked) -> Floats:
    probability = clip_probability(rows.probability)
    return -np.log(np.where(rows.churned == 1, probability, 1 - probability))


def _error(rows: Ranked) -> Floats:
    return rows.predicted - rows.actual


def _probability_error(rows: Ranked) -> Floats:
    return rows.probability - rows.churned


def _logits(rows: Ranked) -> Floats:
    return clipped_logit(rows.probability)


def _line(sample: Sample) -> Line:
    return logistic_line(sample.rows.churned, sample.rows.once(_logits), sample.weight)


def _decile_cuts(sample: Sample) -> npt.NDArray[np.intp]:
    """Groups above each decile of the probability, from 0 to all of them, shape (11,)."""
    rows = sample.rows
    levels = rows.probability[rows.ends]  # one per group, descending
    place = (sample.count - 1) * np.arange(1, DECILES) / DECILES  # of each edge among the counted rows, from the top
    below = np.floor(place)
    near, far = (levels[np.searchsorted(sample.counts[1:], at, side="right")] for at in (below, np.ceil(place)))
    edges = near + (far - near) * (place - below)
    return np.concatenate(([0], np.searchsorted(-levels, -edges), [levels.size]))


def _gini(sample: Sample) -> float:
    """Twice the area between the concentration curve, highest prediction first, and the diagonal."""
    return float(2 * np.trapezoid(sample.gains, sample.counts) / (sample.gains[-1] * sample.count) - 1)


def _by_actual(rows: Ranked) -> Ranked:
    return Ranked.of(rows.actual, rows.actual)


def _prediction_groups(rows: Ranked) -> npt.NDArray[np.intp]:
    return np.searchsorted(rows.ends, np.arange(rows.order.size))


def _actual_groups(rows: Ranked) -> npt.NDArray[np.intp]:
    return np.unique(-rows.actual, return_inverse=True)[1]


def _centred_ranks(sample: Sample, groups: npt.NDArray[np.intp]) -> Floats:
    """Mean rank of each row's group among the rows counted, minus the mean of all ranks; groups count from the top."""
    counts = np.bincount(groups, weights=sample.weight)
    return (np.cumsum(counts) - counts / 2 - sample.count / 2)[groups]
