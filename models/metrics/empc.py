"""What a retention campaign earns at best when it follows a churn score: expected maximum profit (EMPC).

Verbraken, Verbeke & Baesens (2013), "A novel profit maximizing metric for measuring classification performance of
customer churn prediction models", IEEE TKDE 25(5): the share γ of would-be churners who accept the offer is uncertain,
γ ~ Beta(α, β), and for every γ the company targets the best-paying part of the ranking.

Along the convex hull of the ROC curve the gain of targeting adds up segment by segment, each worth taking exactly when
γ exceeds a threshold of its own. So the expected maximum is a sum of expected options, one per segment, in closed form.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.optimize import isotonic_regression
from scipy.special import betainc

from fedelta.features.errors import FedeltaError
from fedelta.models.metrics.ranking import Floats, Ranked, Sample, whole_weights


@dataclass(frozen=True)
class Campaign:
    """What an offer costs and saves. Money in one currency; the defaults are the paper's.

    Raises
    ------
    BadCampaignError
        If the economics are impossible.
    """

    alpha: float = 6.0  # γ ~ Beta(alpha, beta): share of would-be churners who accept and stay
    beta: float = 14.0
    clv: float = 200.0  # value of a customer kept
    incentive: float = 10.0  # cost of the offer to who accepts it; stayers always do
    contact: float = 1.0  # cost of contacting anyone

    def __post_init__(self) -> None:
        if not (self.alpha > 0 and self.beta > 0 and 0 <= self.incentive < self.clv and self.contact >= 0):
            raise BadCampaignError(
                "Expected alpha and beta above 0, 0 <= incentive < clv and contact >= 0, "
                f"got {self}: correct the campaign's settings."
            )


class BadCampaignError(FedeltaError, ValueError):
    """Campaign economics that cannot be: a negative cost, or an incentive worth more than the customer."""


class Profit(NamedTuple):
    """The best a campaign can expect of a score."""

    per_customer: float  # profit over all customers, divided by their number
    fraction: float  # expected share of customers to target


PAPER = Campaign()


def expected_maximum_profit(
    churned: npt.ArrayLike, score: npt.ArrayLike, weight: npt.ArrayLike | None = None, campaign: Campaign = PAPER
) -> Profit:
    """EMPC of a score and the share of customers it says to target.

    Parameters
    ----------
    churned : array-like of shape (n,)
        1 for a customer who left, 0 for one who stayed.
    score : array-like of shape (n,)
        Higher means likelier to leave; only its order counts.
    weight : array-like of shape (n,), optional
        How often each row counts, in whole numbers.

    Returns
    -------
    Profit
        Both figures NaN when only one class is present.

    Raises
    ------
    MetricInputError
        If the arrays do not fit together; see ``models.metrics.ranking``.
    """
    rows = Ranked.of(churned, score)
    return best_profit(rows.sample(None if weight is None else whole_weights(weight, rows.order.size)), campaign)


def best_profit(sample: Sample, campaign: Campaign = PAPER) -> Profit:
    """``expected_maximum_profit`` of rows already ranked. Labels must be 0 or 1 (NotBinaryError)."""
    if not sample.varies(sample.rows.churned):
        return Profit(np.nan, np.nan)
    churners, stayers = roc_hull(sample)
    giving, asking = campaign.incentive, campaign.contact
    # Targeting a segment earns gain·γ − cost, per customer of the company.
    gain = (campaign.clv - giving) * churners / sample.count
    cost = (asking * churners + (giving + asking) * stayers) / sample.count
    taken = cost < gain  # a segment no acceptance rate pays for is never targeted
    gain, cost, share = gain[taken], cost[taken], (churners + stayers)[taken] / sample.count
    alpha, beta, threshold = campaign.alpha, campaign.beta, cost / gain
    worth_it = 1 - betainc(alpha, beta, threshold)  # P(γ > threshold)
    acceptance = alpha / (alpha + beta) * (1 - betainc(alpha + 1, beta, threshold))  # E[γ; γ > threshold]
    return Profit(float(np.sum(gain * acceptance - cost * worth_it)), float(np.sum(share * worth_it)))


def roc_hull(sample: Sample) -> tuple[Floats, Floats]:
    """Churners and stayers of each segment of the ROC curve's convex hull, steepest first.

    The hull is the isotonic regression of churn on the score (Fawcett & Niculescu-Mizil 2007): pooled adjacent
    violators are its segments.
    """
    present = np.diff(sample.counts) > 0
    rows, churners = np.diff(sample.counts)[present], np.diff(sample.churners)[present]
    starts = isotonic_regression(churners / rows, weights=rows, increasing=False).blocks[:-1]
    churners, rows = np.add.reduceat(churners, starts), np.add.reduceat(rows, starts)
    return churners, rows - churners
