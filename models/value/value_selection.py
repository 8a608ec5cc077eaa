"""Which model of value is used: tested on rows it could not know, and the simplest within chance of the best."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from fedelta.models.learning.bias_correction import BiasCorrection, fit_bias_correction
from fedelta.models.learning.competition import (
    HALVES,
    CandidateResult,
    Fold,
    How,
    customer_groups,
    folds,
    out_of_time_folds,
    predict_held_out,
)
from fedelta.models.learning.season import totals_right
from fedelta.models.learning.settings import Prior
from fedelta.models.metrics.bootstrap import USUAL, Interval, Replicates, Resampling, replicate
from fedelta.models.metrics.metrics import VALUE_METRICS, Metric
from fedelta.models.metrics.ranking import Floats, Ranked
from fedelta.models.panel import Panel
from fedelta.models.value.settings import ClvSettings
from fedelta.models.value.value_trees import Name, fit_trees, forecasts


def tweedie_deviance(power: float) -> Metric:
    """Mean deviance of spend, for a mean whose variance grows with its ``power`` (1 to 2; 1 is Poisson's).

    Lowest at the true mean (a consistent score), and much less ruled by a few large buyers than squared error is.
    Predictions must be above 0 (Jørgensen 1997, ch. 4).
    """

    def rows(ranked: Ranked) -> Floats:
        y, m = ranked.actual, ranked.predicted
        if power == 1:
            return np.asarray(2 * (m - y + y * np.log(np.where(y > 0, y, m) / m)), np.float64)
        up, down = 2 - power, 1 - power
        own = np.asarray(y**up / (down * up), np.float64)
        return 2 * (own - y * m**down / down + m**up / up)

    return Metric(lambda sample: sample.mean(sample.rows.once(rows)))


@dataclass(frozen=True)
class ValueResult(CandidateResult):
    """A candidate's held-out result: its deviance and its differences to the best."""

    deviance: Interval
    deviance_difference: Interval
    rmse_difference: Interval
    gini_difference: Interval


@dataclass(frozen=True)
class HeldOut:
    """What every candidate predicted of rows held out, each with its total corrected, and what came true."""

    how: How
    raw: Mapping[Name, Floats]  # before the totals were levelled
    forecasts: Mapping[Name, Floats]
    corrections: Mapping[Name, BiasCorrection]
    actual: Floats
    cutoff: npt.NDArray[np.datetime64]
    customer: npt.NDArray[np.str_]

    def choose(self, deviance: Metric, resampling: Resampling = USUAL) -> tuple[Name, tuple[ValueResult, ...]]:
        """The first candidate not significantly worse than that of the lowest deviance, and every result.

        Significantly worse is one whose deviance or RMSE is higher, or whose Gini is lower, beyond the 95% interval of
        the paired difference, customers resampled. (RMSE alone does not choose: a single customer of CDNOW's sample
        doubles that of Pareto/NBD x Gamma-Gamma.)
        """
        metrics = {"deviance": deviance, **{name: VALUE_METRICS[name] for name in ("rmse", "gini")}}
        forecasts = dict[str, Floats](self.forecasts)  # type: ignore[arg-type]
        drawn = replicate(self.actual, forecasts, metrics, customer=self.customer, resampling=resampling)
        best = min(self.forecasts, key=lambda name: drawn.figures[name]["deviance"][0])
        chosen = next(name for name in self.forecasts if not _significantly_worse(name, best, drawn))
        return chosen, tuple(_result(name, best, chosen, drawn) for name in self.forecasts)


def hold_out(
    names: Sequence[Name],
    panel: Panel,
    target: Callable[[Panel], Floats],
    settings: ClvSettings,
    prior: Prior,
    horizon_days: int,
    threads: int = 2,
    *,
    seasonal: bool = False,
) -> HeldOut | None:
    """Let candidates predict ``target`` of rows they were not fitted on; None where no rows can be held out.

    ``seasonal``: a season sets the level; every cutoff is held out, and candidates are compared with its total right.
    """
    least = 2 * settings.min_data_in_leaf  # with fewer, no tree has a branch
    if seasonal:
        found = folds(panel, horizon_days, seasonal=True, cutoffs=len(panel.cutoffs), groups=seasonal_groups(panel))
    else:
        found = _folds(panel, horizon_days)
    tested = [f for f in found if len(f.past) >= least and (target(f.past) > 0).any()]
    if not tested:
        return None

    def predictions_of(fold: Fold) -> dict[Name, Floats]:
        trees = fit_trees(names, fold.past, replace(settings, seeds=1), prior, threads=1)
        return forecasts(names, trees, fold.present.table)

    predicted, rows = predict_held_out(tested, predictions_of, threads)
    raw = {name: np.concatenate([part[name] for part in predicted]) for name in names}
    actual, how = np.concatenate([target(fold.present) for fold in tested]), tested[0].how
    if seasonal:
        corrections = dict.fromkeys(names, BiasCorrection(note="Not scaled: the season sets the level."))
        at = pd.factorize(rows["cutoff"], sort=True)[0]
        levelled = {name: raw[name] * totals_right(actual, raw[name], at)[at] for name in names}
    else:
        corrections = {name: _correction(how, actual, raw[name], rows["cutoff"]) for name in names}
        levelled = {name: raw[name] * corrections[name].scale for name in names}
    return HeldOut(
        how, raw, levelled, corrections, actual, rows["cutoff"].to_numpy("M8[us]"), rows["customer_id"].to_numpy(str)
    )


def seasonal_groups(panel: Panel) -> int:
    """Groups of customers whose every cutoff is predicted: all of a small base; half of a large one tells enough."""
    groups = int(customer_groups(panel.table["customer_id"]).max()) + 1
    return 1 if groups == HALVES else groups


def _folds(panel: Panel, horizon_days: int) -> list[Fold]:
    """Out of time, the same customers are met again, as they are when scored: their outcomes were known by then."""
    found = folds(panel, horizon_days)
    if found and found[0].how == "out of time":
        return [Fold("out of time", past, present) for past, present in out_of_time_folds(panel)]
    return found


def _correction(how: How, actual: Floats, expected: Floats, cutoff: pd.Series) -> BiasCorrection:
    if how != "out of time":  # the season that was learned from is not the one to come
        return BiasCorrection(note="Not scaled: no cutoff comes after another's outcome.")
    return fit_bias_correction(actual, expected, cutoff)


def _significantly_worse(name: Name, best: Name, drawn: Replicates) -> bool:
    higher = any(drawn.difference(metric, name, best).low > 0 for metric in ("deviance", "rmse"))
    return higher or drawn.difference("gini", name, best).high < 0


def _result(name: Name, best: Name, chosen: Name, drawn: Replicates) -> ValueResult:
    level, squared, order = (drawn.difference(metric, name, best) for metric in ("deviance", "rmse", "gini"))
    if name == chosen:
        verdict = "chosen: the best" if name == best else f"chosen: the simplest not significantly worse than {best}"
    elif name == best:
        verdict = f"the best, but not significantly better than the simpler {chosen}"
    elif level.low > 0 or squared.low > 0:
        verdict = f"{'deviance' if level.low > 0 else 'RMSE'} significantly higher than that of {best}"
    elif order.high < 0:
        verdict = f"ranks significantly worse than {best}"
    else:
        verdict = f"not significantly worse than {best}, but less simple than {chosen}"
    return ValueResult(name, verdict, drawn.interval(name, "deviance"), level, squared, order)
