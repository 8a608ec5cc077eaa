"""Predictions of every row by models of other customers: how well the recipe does where no later outcome is known."""

import numpy as np

from fedelta.features.errors import FedeltaError
from fedelta.models.churn.baselines import fit_baselines
from fedelta.models.churn.model import fit_churn
from fedelta.models.churn.predictions import churn_predictions
from fedelta.models.learning.conformal import coverage
from fedelta.models.learning.cross_fitting import copies_as_one, cross_fitted, customer_folds
from fedelta.models.panel import Floats, Panel
from fedelta.models.value.model import fit_clv, fit_orders
from fedelta.models.value.predictions import clv_predictions, orders_predictions
from fedelta.pipeline.params import Params
from fedelta.pipeline.training import THREADS, ahead, counts_orders, value_ahead


class TooFewToEvaluate(FedeltaError):
    """Too few labelled customers for cross-fitting."""


def churn_out_of_fold(panel: Panel, params: Params) -> tuple[dict[str, Floats], int]:
    """Churn probabilities of every row by the recipe and the baselines, each fitted on other customers; and the folds.

    Raises
    ------
    TooFewToEvaluate
        If the rows that some fold leaves to learn from have one outcome only.
    """
    fold = customer_folds(panel)
    churned = panel.churned(params.churn.definition)
    if any(np.ptp(churned[fold != number]) == 0 for number in np.unique(fold)):
        raise TooFewToEvaluate(
            f"{int(churned.sum()):,} of {len(panel):,} labelled customers churned: in some fold those left to learn "
            "from have one outcome only. Bring more labelled customers of the rarer outcome."
        )

    def predict(past: Panel, present: Panel) -> dict[str, Floats]:
        model = fit_churn(copies_as_one(past), params.churn, **ahead(params), threads=1)
        return churn_predictions(present.table, model, fit_baselines(past, params.churn.definition))

    return cross_fitted(panel, predict, fold, threads=THREADS), int(fold.max()) + 1


def spend_out_of_fold(panel: Panel, params: Params) -> tuple[dict[str, Floats], dict[str, object] | None]:
    """Expected spend of every row by a model of other customers and by baselines, and how often its interval held.

    Nothing, where no spend is known.
    """
    if not (panel.spend > 0).any():
        return {}, None

    def predict(past: Panel, present: Panel) -> dict[str, Floats]:
        model = fit_clv(copies_as_one(past), params.clv, **value_ahead(params), threads=1)
        if model is None:
            raise TooFewToEvaluate("Too few customers spent anything to measure how well spend is predicted.")
        low, high = model.interval(present.table)
        return clv_predictions(present.table, model) | {"low": low, "high": high}

    found = cross_fitted(panel, predict, customer_folds(panel), threads=THREADS)
    low, high = found.pop("low"), found.pop("high")
    known = ~np.isnan(low)
    known_spend = {name: values for name, values in found.items() if not np.isnan(values).any()}
    if not known.any():
        return known_spend, None
    return known_spend, coverage(panel.spend[known], low[known], high[known], found["chosen"][known]).to_dict()


def orders_out_of_fold(panel: Panel, params: Params) -> dict[str, Floats]:
    """Expected orders of every row by a model of other customers; nothing where none are known."""
    if not counts_orders(panel):
        return {}

    def predict(past: Panel, present: Panel) -> dict[str, Floats]:
        return orders_predictions(present.table, fit_orders(past, params.clv, **ahead(params), threads=1))

    return cross_fitted(panel, predict, customer_folds(panel), threads=THREADS)
