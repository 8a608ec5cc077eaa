"""Which candidates are used, and with what weight: tested on rows that they could not know.

A candidate's weight is the share of resamples of the customers in which its held-out log loss is the lowest of all;
log-odds are averaged with these weights. With few customers nearly every candidate has its share, so nothing is chosen
by luck, or for being simple where nothing can be significant; with many the best has all of it. Two kinds have none
(paired bootstrap of customers, 95%): whose log loss is significantly higher than the lowest, and who ranks customers
significantly worse than another whose log loss is not. So a constant, whose log loss may be the lowest where the churn
rate moves between cutoffs, does not outweigh models that know who is at risk. A difference below .002 counts for
nothing, however significant, as no decision depends on it. Rows are held out as `models.learning.competition` says.

The rule before took the simplest candidate not significantly worse than the best. On draws of 300 and 700 customers,
judged out of time on others, log loss is lower by .012 with weights, and by .008 with the lowest held-out loss alone
(`benchmarks/choosing.py`). Squared shares, and simple candidates left out, made no difference.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fedelta.models.churn.candidates import in_order
from fedelta.models.learning.competition import CandidateResult
from fedelta.models.metrics.bootstrap import USUAL, Interval, Replicates, Resampling, replicate
from fedelta.models.metrics.metrics import CHURN_METRICS

Floats = npt.NDArray[np.float64]

LEAST_WEIGHT = 0.05  # a candidate that is lowest in fewer resamples has no weight
MINIMUM_RELEVANT_DIFFERENCE = 0.002  # of log loss in nats, or of AUC


@dataclass(frozen=True)
class ChurnResult(CandidateResult):
    """A churn candidate's held-out result: its weight, its log loss and its differences to the best."""

    weight: float  # in the model that is used; 0 for none
    log_loss: Interval
    log_loss_difference: Interval
    auc_difference: Interval


def weigh(
    churned: Floats,
    forecasts: Mapping[str, Floats],
    customer: npt.NDArray[np.str_],
    resampling: Resampling = USUAL,
) -> tuple[dict[str, float], list[ChurnResult]]:
    """The weight of each candidate that has one, and every result; both simplest first (`candidates.in_order`).

    A share below 5% of the resamples counts as none, so that few models need fitting; the others are scaled to sum
    to 1.

    Parameters
    ----------
    churned : ndarray of shape (n,)
    forecasts : mapping of candidate to ndarray of shape (n,)
        Probabilities of churn for rows held out.
    customer : ndarray of shape (n,)
        Whose row it is: customers are resampled, not rows.
    """
    metrics = {name: CHURN_METRICS[name] for name in ("log_loss", "auc")}
    drawn = replicate(churned, dict(forecasts.items()), metrics, customer=customer, resampling=resampling)
    names = in_order(forecasts)
    best = min(names, key=lambda name: drawn.figures[name]["log_loss"][0])
    worse = {name: _higher_loss(name, best, drawn) for name in names}
    level = [name for name in names if not worse[name]]
    worse |= {name: _lower_rank(name, level, drawn) for name in level}
    rivals = [name for name in names if not worse[name]]
    losses = np.array([drawn.figures[name]["log_loss"][1:] for name in rivals])
    shares = np.bincount(losses.argmin(axis=0), minlength=len(rivals)) / losses.shape[1]
    lowest = dict.fromkeys(names, 0.0) | dict(zip(rivals, shares.tolist(), strict=True))
    kept = {name: lowest[name] for name in rivals if lowest[name] >= LEAST_WEIGHT}
    weights = {name: round(share / sum(kept.values()), 6) for name, share in kept.items()}

    def verdict(name: str, share: float) -> str:
        share_lowest = f"lowest log loss in {share:.0%} of the resamples"
        if name not in weights:
            return f"no weight: {worse[name] or share_lowest}"
        return f"chosen: {share_lowest}" if len(weights) == 1 else f"weight {weights[name]:.0%}: {share_lowest}"

    return weights, [
        ChurnResult(
            name,
            verdict(name, share),
            weight=weights.get(name, 0.0),
            log_loss=drawn.interval(name, "log_loss"),
            log_loss_difference=drawn.difference("log_loss", name, best),
            auc_difference=drawn.difference("auc", name, best),
        )
        for name, share in lowest.items()
    ]


def _higher_loss(name: str, best: str, drawn: Replicates) -> str:
    """In words, that its log loss is significantly higher than that of the best; empty if it is not."""
    loss = drawn.difference("log_loss", name, best)
    return (
        f"log loss significantly higher than that of {best}"
        if loss.low > 0 and loss.value >= MINIMUM_RELEVANT_DIFFERENCE
        else ""
    )


def _lower_rank(name: str, others: Sequence[str], drawn: Replicates) -> str:
    """In words, that its AUC is significantly lower than that of another; empty if it is not."""
    for other in sorted(others, key=lambda one: -drawn.figures[one]["auc"][0]):
        order = drawn.difference("auc", name, other)
        if order.high < 0 and order.value <= -MINIMUM_RELEVANT_DIFFERENCE:
            return f"ranks significantly worse than {other}, whose log loss is not significantly higher"
    return ""
