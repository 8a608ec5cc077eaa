"""The chance that a customer buys of each category within the horizon: weighted candidates, calibrated out of time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from fedelta.models.learning.calibration import Calibrator, fit_calibrator
from fedelta.models.learning.competition import IN_WORDS, CandidateResult, folds
from fedelta.models.metrics.bootstrap import USUAL, Interval, Resampling
from fedelta.models.next_purchase.candidates import NAMES, Fitted, Name, fit_candidates
from fedelta.models.next_purchase.measures import hit_rate, loss, mean_of_customers, ndcg
from fedelta.models.next_purchase.rows import Rows
from fedelta.models.next_purchase.settings import NextSettings
from fedelta.models.rounding import probabilities

Floats = npt.NDArray[np.float64]
LEAST_WEIGHT = 0.05  # a candidate that is best in fewer resamples has no weight
# Calibrated by cutoffs whose horizons overlap, ECE on Online Retail was .048 out of time, without .031.
_NOT_CALIBRATED = "Not calibrated: no cutoff comes after the outcome of another, so nothing can be tested out of time."
_CALIBRATED_ROWS = 200_000  # of customer, cutoff and category, on which the calibrator is chosen


@dataclass(frozen=True)
class NextResult(CandidateResult):
    """A candidate's held-out result: its weight, its figures, and how far its NDCG@3 is from the highest."""

    weight: float
    ndcg_3: Interval
    hit_rate_3: Interval
    log_loss: Interval
    ndcg_3_difference: Interval


@dataclass(frozen=True)
class Forecast:
    """Per row and category (n_rows, n_categories): log-odds to rank by, and the probability of a purchase.

    Calibration may make probabilities equal whose log-odds are not; it never changes their order.
    """

    score: Floats
    probability: Floats


@dataclass(frozen=True)
class NextModel:
    """What customers buy next. Categories are in alphabetical order, as are the columns of every array."""

    categories: tuple[str, ...]
    fitted: Fitted
    weights: Mapping[Name, float]
    calibrator: Calibrator
    horizon_days: int
    lead_days: int
    selection: tuple[NextResult, ...]
    note: str

    def forecast(self, rows: Rows) -> Forecast:
        """What each customer will buy of within the horizon."""
        return self._calibrated(self.fitted.log_odds(rows, self.weights))

    def forecasts(self, rows: Rows) -> dict[str, Forecast]:
        """The same of the model, as `chosen`, and of each candidate by itself; theirs are not calibrated."""
        odds = self.fitted.log_odds(rows)
        out: dict[str, Forecast] = {"chosen": self._calibrated(odds)}
        for name, values in odds.items():
            out[name] = Forecast(values, probabilities(expit(values)))
        return out

    def _calibrated(self, odds: Mapping[Name, Floats]) -> Forecast:
        score = _blend(odds, self.weights)
        return Forecast(score, probabilities(self.calibrator.apply(expit(score.ravel())).reshape(score.shape)))


def fit_next(
    rows: Rows,
    categories: Sequence[str],
    settings: NextSettings,
    *,
    horizon_days: int,
    lead_days: int,
    threads: int = 2,
    resampling: Resampling = USUAL,
) -> NextModel:
    """Weigh the candidates on rows held out, calibrate what they say there, and fit them on all rows.

    The weight of a candidate is the share of resamples of the customers in which it ranks held-out rows best, by NDCG@3
    (as docs/decisions/weights-of-candidates.md, for what is shown is a ranking). Rows are held out as
    `models.learning.competition` says.

    Parameters
    ----------
    rows : Rows
        With known outcomes, at one cutoff or several.
    categories : sequence of str
        In alphabetical order.
    """
    weights, calibrator, results, note = _chosen(rows, settings, horizon_days, threads, resampling)
    return NextModel(
        tuple(categories),
        fit_candidates(rows, settings, threads),
        weights,
        calibrator,
        horizon_days,
        lead_days,
        results,
        f"{note} {calibrator.note}",
    )


def _chosen(
    rows: Rows, settings: NextSettings, horizon_days: int, threads: int, resampling: Resampling
) -> tuple[dict[Name, float], Calibrator, tuple[NextResult, ...], str]:
    tested = [fold for fold in folds(rows.panel, horizon_days, groups=1) if _both(rows, fold.past.table.index)]
    if not tested:
        why = "Not tested: no rows could be held out."
        return {"own_frequency": 1.0}, Calibrator(note="Not calibrated."), (), why
    odds: dict[Name, list[Floats]] = {name: [] for name in NAMES}
    places = []
    for fold in tested:
        past, at = rows.where(_mask(rows, fold.past.table.index)), _mask(rows, fold.present.table.index)
        for name, values in fit_candidates(past, settings, threads).log_odds(rows.where(at)).items():
            odds[name].append(values)
        places.append(np.flatnonzero(at))
    at = np.concatenate(places)
    bought, customer = rows.bought[at], rows.table["customer_id"].to_numpy(str)[at]
    predicted = {name: np.concatenate(parts) for name, parts in odds.items()}
    weights, results = weigh(predicted, bought, customer, resampling)
    note = f"Tested on {len(at):,} customers and cutoffs held out: {IN_WORDS[tested[0].how]}."
    if tested[0].how != "out of time":
        return weights, Calibrator(note=_NOT_CALIBRATED), results, note
    kept = _spread(len(at), max(1, _CALIBRATED_ROWS // bought.shape[1]))
    calibrator = fit_calibrator(
        expit(_blend(predicted, weights))[kept].ravel(),
        bought[kept].ravel(),
        np.repeat(rows.table["cutoff"].to_numpy("M8[us]")[at][kept], bought.shape[1]),
        customer=np.repeat(customer[kept], bought.shape[1]),
    )
    return weights, calibrator, results, note


def weigh(
    log_odds: Mapping[Name, Floats], bought: Floats, customer: npt.NDArray[np.str_], resampling: Resampling = USUAL
) -> tuple[dict[Name, float], tuple[NextResult, ...]]:
    """The weights of the candidates that have one, and every result, in the order of `log_odds`."""
    figures: dict[str, dict[str, Floats]] = {
        "ndcg_3": {name: ndcg(odds, bought) for name, odds in log_odds.items()},
        "hit_rate_3": {name: hit_rate(odds, bought) for name, odds in log_odds.items()},
        "log_loss": {name: loss(expit(odds), bought) for name, odds in log_odds.items()},
    }
    held = {metric: mean_of_customers(one, customer, metric, resampling) for metric, one in figures.items()}
    names = list(log_odds)
    drawn = np.array([held["ndcg_3"].figures[name]["ndcg_3"] for name in names])
    shares = np.bincount(drawn[:, 1:].argmax(axis=0), minlength=len(names)) / (drawn.shape[1] - 1)
    best = names[int(drawn[:, 0].argmax())]
    kept = {name: share for name, share in zip(names, shares.tolist(), strict=True) if share >= LEAST_WEIGHT}
    weights: dict[Name, float] = {name: round(share / sum(kept.values()), 6) for name, share in kept.items()}
    return weights, tuple(
        NextResult(
            name,
            f"highest NDCG@3 in {share:.0%} of the resamples",
            weights.get(name, 0.0),
            held["ndcg_3"].interval(name, "ndcg_3"),
            held["hit_rate_3"].interval(name, "hit_rate_3"),
            held["log_loss"].interval(name, "log_loss"),
            held["ndcg_3"].difference("ndcg_3", name, best),
        )
        for name, share in zip(names, shares.tolist(), strict=True)
    )


def _blend(log_odds: Mapping[Name, Floats], weights: Mapping[Name, float]) -> Floats:
    return np.asarray(sum(weight * log_odds[name] for name, weight in weights.items()), np.float64)


def _mask(rows: Rows, index: Any) -> npt.NDArray[np.bool_]:
    mask = np.zeros(len(rows), bool)
    mask[np.asarray(index)] = True
    return mask


def _both(rows: Rows, index: Any) -> bool:
    """Whether something was bought in these rows, and something was not."""
    bought = rows.bought[np.asarray(index)]
    return bool(bought.size) and 0 < bought.mean() < 1


def _spread(rows: int, most: int) -> npt.NDArray[np.intp]:
    """At most so many rows, spread evenly."""
    return np.unique(np.linspace(0, rows - 1, min(rows, most)).astype(np.intp))
