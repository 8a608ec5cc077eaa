"""The pictures of a prediction as tables of a few hundred points, however many rows it has: for plots and reports."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd

from fedelta.models.metrics.empc import PAPER, Campaign
from fedelta.models.metrics.metrics import decile_table
from fedelta.models.metrics.ranking import Ranked

Floats = npt.NDArray[np.float64]
POINTS = 100  # the ranking is looked at after each hundredth of the customers


def churn_curves(churned: Floats, probability: Floats, points: int = POINTS) -> Mapping[str, pd.DataFrame]:
    """The curves of a churn probability, riskiest customers first; equal probabilities are shared out evenly.

    Parameters
    ----------
    churned, probability : ndarray of shape (n,)
        0 or 1, and a probability.

    Returns
    -------
    Mapping of DataFrames of up to ``points`` + 1 rows
        ``roc`` (false_positive_rate, true_positive_rate), ``precision_recall`` (recall, precision), ``gains``
        (contacted_share, caught_share), ``profit`` (contacted_share, profit_per_customer, see
        ``metrics.profit_at_capacity``) and ``calibration``, by tenth (mean_predicted, mean_actual and the rest of
        ``metrics.decile_table``). A share of nobody is 0.
    """
    ranked = Ranked.of(churned, probability).sample()
    contacted = np.unique(np.linspace(0, len(churned), points + 1).round())
    caught = np.interp(contacted, ranked.counts, ranked.churners)
    churners = ranked.churners[-1]
    share = contacted / len(churned)
    recall = caught / max(churners, 1.0)
    return {
        "roc": pd.DataFrame(
            {
                "false_positive_rate": (contacted - caught) / max(len(churned) - churners, 1.0),
                "true_positive_rate": recall,
            }
        ),
        "precision_recall": pd.DataFrame({"recall": recall[1:], "precision": caught[1:] / contacted[1:]}),
        "gains": pd.DataFrame({"contacted_share": share, "caught_share": recall}),
        "profit": pd.DataFrame(
            {"contacted_share": share, "profit_per_customer": _profit(caught, contacted, PAPER) / len(churned)}
        ),
        "calibration": decile_table(churned, probability),
    }


def residuals(actual: Floats, predicted: Floats) -> pd.DataFrame:
    """What was spent minus what was expected, per customer, by tenth of the expectation: ``decile``, ``residual``.

    Decile 1 holds the highest expectations. The means themselves, ``mean_predicted`` and ``mean_actual``, stand beside.
    """
    table = decile_table(actual, predicted)
    table["residual"] = table["mean_actual"] - table["mean_predicted"]
    return table[["decile", "rows", "mean_predicted", "mean_actual", "residual"]]


def _profit(churners: Floats, contacted: Floats, campaign: Campaign) -> Floats:
    """Expected profit of contacting so many customers, so many of them about to leave."""
    accepting = campaign.alpha / (campaign.alpha + campaign.beta)
    offers = accepting * churners * (campaign.clv - campaign.incentive) - campaign.incentive * (contacted - churners)
    return offers - campaign.contact * contacted
