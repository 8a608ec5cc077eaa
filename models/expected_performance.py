"""How well a churn model does before anybody knows: what calibrated probabilities imply of their own performance.

Confidence-based performance estimation (Kivimäki et al. 2025, arXiv:2505.05295): a customer with probability p leaves
with chance p, so every metric has an expectation and a spread. It sees what a changed population does to a model, and
is blind to a changed relation of features and churn: only realised outcomes tell that.
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from models.bootstrap import USUAL, Interval, Resampling
from models.calibration_line import clip_probability
from models.metrics import CHURN_METRICS

Floats = npt.NDArray[np.float64]

FIGURES = ("churn_rate", "auc", "log_loss")
_SAID = dict(zip(FIGURES, ("churn rate", "AUC", "log loss"), strict=True))


def expected_performance(probability: Floats, draws: Resampling = USUAL) -> dict[str, Interval]:
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


def told(expected: Mapping[str, Interval], realised: Mapping[str, float]) -> str:
    """Whether what happened is what the probabilities implied, in words."""
    better = {"auc": 1, "log_loss": -1}
    off = []
    for name in FIGURES:
        interval, value = expected[name], realised[name]
        side = int(value > interval.high) - int(value < interval.low)
        if side:
            word = {1: "better than", -1: "worse than"}[side * better[name]] if name in better else "not"
            off.append(f"{_SAID[name]} {value:.3f} is {word} the {interval.value:.3f} expected")
    if not off:
        return "What happened is what the probabilities implied, within chance."
    return f"What happened is not what the probabilities implied: {'; '.join(off)}."


def _figures(churned: npt.NDArray[np.bool_], ranks: Floats, p: Floats) -> tuple[float, float, float]:
    leavers = int(churned.sum())
    pairs = leavers * (churned.size - leavers)
    above = ranks[churned].sum() - leavers * (leavers + 1) / 2
    surprise = -np.log(np.where(churned, p, 1 - p)).mean()
    return leavers / churned.size, above / pairs if pairs else np.nan, float(surprise)
