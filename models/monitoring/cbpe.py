"""How well a churn model does before anybody knows: what calibrated probabilities imply of their own performance.

Confidence-based performance estimation (Kivimäki et al. 2025, arXiv:2505.05295): a customer with probability p leaves
with chance p, so every metric has an expectation and a spread. It sees what a changed population does to a model, and
is blind to a changed relation of features and churn: only realised outcomes tell that.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from fedelta.models.metrics.bootstrap import USUAL, Interval, Resampling
from fedelta.models.metrics.calibration_line import clip_probability
from fedelta.models.metrics.metrics import CHURN_METRICS

Floats = npt.NDArray[np.float64]

FIGURES = ("churn_rate", "auc", "log_loss")
_BETTER = {"auc": 1, "log_loss": -1}  # the direction in which more is better
_IN_WORDS = dict(zip(FIGURES, ("churn rate", "AUC", "log loss"), strict=True))


def estimate_performance(probability: Floats, draws: Resampling = USUAL) -> dict[str, Interval]:
    """Churn rate, AUC and log loss (nats) to expect of probabilities (n,), if they are calibrated.

    The value is the mean over outcomes drawn from the probabilities, the interval holds the middle 95% of them: it
    tells the luck of the outcomes, not whether the probabilities are right. AUC is NaN where one class is all that
    was drawn.
    """
    chance = np.random.default_rng(draws.seed)
    ranks, p = rankdata(probability), clip_probability(probability)
    figures = np.array([_figures(chance.random(p.size) < probability, ranks, p) for _ in range(draws.n)])
    tails = (1 - draws.level) / 2, (1 + draws.level) / 2
    return {
        name: Interval(float(drawn.mean()), *map(float, np.quantile(drawn, tails)))
        for name, drawn in zip(FIGURES, figures.T, strict=True)
    }


def realised_performance(churned: Floats, probability: Floats) -> dict[str, float]:
    """The same figures of what happened, (n,) each; NaN where one has no meaning."""
    return {
        "churn_rate": float(churned.mean()),
        **{name: CHURN_METRICS[name](churned, probability) for name in FIGURES[1:]},
    }


@dataclass(frozen=True)
class Judgement:
    """Whether realised performance falls short of what the probabilities implied, and in words."""

    alarm: bool
    says: str


def judge_performance(
    expected: Mapping[str, Interval], realised: Mapping[str, float], tolerance: float = 0.05
) -> Judgement:
    """Compare what happened with what the probabilities implied.

    An alarm is a churn rate that differs, an AUC that is lower or a log loss that is higher than expected, beyond the
    interval of chance and by more than ``tolerance``: with many customers a difference is soon significant that changes
    nothing for who acts on the scores. A figure without meaning (NaN) is not judged.
    """
    short: list[str] = []
    other: list[str] = []
    for name in FIGURES:
        interval, value = expected[name], realised[name]
        side = int(value > interval.high) - int(value < interval.low)
        if not side:
            continue
        better = side * _BETTER.get(name, -side)  # 1 or -1: a churn rate that differs is never better
        word = {"churn_rate": "not"}.get(name, "better than" if better > 0 else "worse than")
        words = f"{_IN_WORDS[name]} {value:.3f} is {word} the {interval.value:.3f} expected"
        (short if better < 0 and abs(value - interval.value) > tolerance else other).append(words)
    if short:
        return Judgement(True, f"What happened is not what the probabilities implied: {'; '.join(short + other)}.")
    if other:
        return Judgement(
            False, f"What happened is close to what the probabilities implied, or better: {'; '.join(other)}."
        )
    return Judgement(False, "What happened is what the probabilities implied, within chance.")


def _figures(churned: npt.NDArray[np.bool_], ranks: Floats, p: Floats) -> tuple[float, float, float]:
    leavers = int(churned.sum())
    pairs = leavers * (churned.size - leavers)
    above = ranks[churned].sum() - leavers * (leavers + 1) / 2
    surprise = -np.log(np.where(churned, p, 1 - p)).mean()
    return leavers / churned.size, above / pairs if pairs else np.nan, float(surprise)
