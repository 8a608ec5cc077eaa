"""The hazard of leaving: Pareto/NBD's, corrected by trees of what customers went through.

Nobody sees a customer leave in silence, and Pareto/NBD knows the rhythm of purchases alone: not that parcels came late.
With hindsight it tells more: who bought after a horizon was over was still here, and who has been silent ever since has
probably left by then. So each past cutoff yields, by the purchase model of today, the probability that a customer was
here at the cutoff (a weight) and that they left within the horizon after it (a target). Trees of the experience of
before the cutoff learn what Pareto/NBD's own hazard of the day missed: one round of expectation and maximisation
(Dempster, Laird & Rubin 1977), the first step by a model that was fitted already.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import expit

from fedelta.features.attributes import BAD_PREFIX
from fedelta.features.registry import FEATURES
from fedelta.models.btyd.fits import ParetoNbd
from fedelta.models.btyd.outlook import left_by, outlook
from fedelta.models.btyd.purchase_prior import PurchasePrior, purchase_summary
from fedelta.models.btyd.purchase_prior import columns_read as purchase_columns
from fedelta.models.btyd.purchase_summary import Summary
from fedelta.models.encoding import Encoding
from fedelta.models.learning.boosting import Ensemble, TrainingRows, fit_ensemble
from fedelta.models.learning.settings import BoostingSettings
from fedelta.models.panel import activity_in, floats
from fedelta.models.rounding import probabilities, rounded_log
from fedelta.models.table import AnyTable

Floats = npt.NDArray[np.float64]

THEMES = ("experience", "ratings")  # of the features that the trees see: what Pareto/NBD does not
SETTINGS = BoostingSettings(
    num_iterations=60, num_leaves=6, min_data_in_leaf=200, min_data_in_leaf_share=0.0, lambda_l2=50.0, seeds=3
)
FEWEST = 500  # rows to learn from, and expected leavers among them a tenth of it
_SPAN = 365.0  # of no account here: `outlook` asks for one


@dataclass(frozen=True)
class LeavingModel:
    """The correction of Pareto/NBD's log-odds of leaving within the horizon."""

    ensemble: Ensemble
    encoding: Encoding

    def p_leaves(self, table: AnyTable, by_pareto: Floats) -> Floats:
        """Probability of leaving within the horizon if still here (n_rows,), from Pareto/NBD's."""
        return probabilities(expit(_log_odds(by_pareto) + self.ensemble.raw(self.encoding.matrix(table))))


def fit_leaving(
    past: pd.DataFrame, now: pd.DataFrame, priors: Mapping[pd.Timestamp, PurchasePrior], horizon_days: int
) -> LeavingModel | None:
    """Learn the correction from cutoffs whose horizon is over.

    Parameters
    ----------
    past : DataFrame
        Features of customers in scope at cutoffs whose horizon is over at the present.
    now : DataFrame
        Features of the same customers at the present, one row each: what is known with hindsight.
    priors : mapping of cutoff to PurchasePrior
        The purchase models of the cutoffs and of the present.

    Returns
    -------
    LeavingModel, or None
        None where there is too little to learn from.
    """
    active = f"{activity_in(past)}_day_count"
    now = now[floats(now, active) > 0].reset_index(drop=True)
    here = past[(floats(past, active) > 0) & past["customer_id"].isin(now["customer_id"])]
    here = here[here["cutoff"].isin(list(priors))].reset_index(drop=True)
    if len(here) < FEWEST:
        return None
    present = pd.Timestamp(now["cutoff"].iloc[0])
    weight, left = _hindsight(here, now, priors[present].pareto, horizon_days)
    if (weight * left).sum() < FEWEST / 10:
        return None
    start = np.empty(len(here))
    for cutoff, rows in here.groupby("cutoff"):
        start[rows.index] = _log_odds(_by_pareto(priors[pd.Timestamp(str(cutoff))].pareto, rows, horizon_days))
    encoding = Encoding.of(here[_seen(here.columns)])
    if not encoding.names:
        return None
    learned = TrainingRows(encoding.columns(here), encoding)
    return LeavingModel(
        fit_ensemble(learned, left, SETTINGS, "cross_entropy", init_score=start, weight=weight), encoding
    )


def columns_read(columns: Iterable[str]) -> list[str]:
    """Those of the columns of a feature table that `fit_leaving` reads, beside keys."""
    held = list(columns)
    return list(dict.fromkeys((*purchase_columns(held), *_seen(held))))


def _seen(columns: Iterable[str]) -> list[str]:
    """Those that the trees see."""
    return [f.name for f in FEATURES if f.theme in THEMES] + [c for c in columns if str(c).startswith(BAD_PREFIX)]


def _hindsight(past: pd.DataFrame, now: pd.DataFrame, pareto: ParetoNbd, horizon: int) -> tuple[Floats, Floats]:
    """Probability, by all that is known now, of having been here at each row's cutoff; and, if so, of leaving then."""
    number = pd.Series(np.arange(len(now)), index=now["customer_id"])
    row = number[past["customer_id"]].to_numpy()
    whole = purchase_summary(now)
    summary = Summary(whole.frequency[row], whole.recency[row], whole.age[row])
    ago = (now["cutoff"].iloc[0] - past["cutoff"]).dt.days.to_numpy(np.float64)
    # Rounded before they are divided: by a small chance of having been here, last digits would grow to first ones.
    before, after = (probabilities(left_by(pareto, summary, days)) for days in (ago, np.maximum(ago - horizon, 0.0)))
    here = probabilities(1 - before)
    left = np.divide(after - before, here, out=np.zeros_like(here), where=here > 0)
    return here, probabilities(np.clip(left, 0, 1))


def _by_pareto(pareto: ParetoNbd, rows: pd.DataFrame, horizon_days: int) -> Floats:
    ahead = outlook(pareto, purchase_summary(rows), horizon_days=horizon_days, lead_days=0, span_days=_SPAN)
    return ahead.p_leaves


def _log_odds(chance: Floats) -> Floats:
    held = np.clip(chance, 1e-6, 1 - 1e-6)
    return rounded_log(np.log(held / (1 - held)))
