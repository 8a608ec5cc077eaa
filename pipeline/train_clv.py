"""DVC stage ``train_clv``: training rows in; models of lifetime value and of orders out."""

from typing import get_args

import numpy as np

from fedelta.features.cutoffs import Fit
from fedelta.models.learning.conformal import coverage
from fedelta.models.learning.cross_fitting import copies_as_one, cross_fitted, customer_folds
from fedelta.models.panel import Floats, Panel
from fedelta.models.value.model import ClvModel, OrdersModel, fit_clv, fit_orders
from fedelta.models.value.predictions import clv_predictions, orders_predictions
from fedelta.models.value.storage import save_clv
from fedelta.pipeline import paths
from fedelta.pipeline.atomic_write import whole
from fedelta.pipeline.panel import CHURN, files_of_value, read_training
from fedelta.pipeline.params import Params, load_params
from fedelta.pipeline.train_churn import THREADS, TooFewToEvaluate, training_facts


def main() -> None:
    """Train the project's models of value twice, as those of churn; without money the bundle says so."""
    params = load_params()
    ahead = {"horizon_days": params.horizon_days, "lead_days": params.lead_days, "threads": THREADS}
    value_ahead = ahead | {"horizon_days": params.value_days}
    with whole(paths.CLV_BUNDLE) as folder:
        for fit in get_args(Fit):
            panel, files = read_training(fit), files_of_value()
            if len(panel):
                of_value = panel if files == CHURN else read_training(fit, files)
                model = fit_clv(copies_as_one(of_value), params.clv, **value_ahead)
                orders = fit_orders(panel, params.clv, **ahead) if counts_orders(panel) else None
                facts = {"training": training_facts(of_value, params.churn.definition)}
                save_clv(model, folder / fit, facts, orders)
                report(fit, panel, model, orders)


def counts_orders(panel: Panel) -> bool:
    """Whether the rows know of orders at all; a table of customers does not."""
    return not panel.outcomes["horizon_purchase_day_count"].isna().all()


def report(fit: Fit, panel: Panel, model: ClvModel | None, orders: OrdersModel | None) -> None:
    """Print what was learned from and what was chosen."""
    if orders is None:
        print(f"train_clv: {fit}: {len(panel):,} rows without orders: none are predicted; {in_words(model)}")
        return
    spenders = f"{len(panel):,} rows, {(panel.spend > 0).mean():.1%} spend in the horizon of churn"
    how = f"orders by {orders.chosen}. {orders.note} {orders.bias.note} {orders.season.note}"
    print(f"train_clv: {fit}: {spenders}; {how}")
    print(f"train_clv: {fit}: {in_words(model)}")


def spend_out_of_fold(panel: Panel, params: Params) -> tuple[dict[str, Floats], dict[str, object] | None]:
    """Expected spend of every row by a model of other customers and by baselines, and how often its interval held.

    Nothing, where no spend is known.
    """
    if not (panel.spend > 0).any():
        return {}, None

    def predict(past: Panel, present: Panel) -> dict[str, Floats]:
        model = fit_clv(
            copies_as_one(past), params.clv, horizon_days=params.value_days, lead_days=params.lead_days, threads=1
        )
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
        ahead = {"horizon_days": params.horizon_days, "lead_days": params.lead_days, "threads": 1}
        return orders_predictions(present.table, fit_orders(past, params.clv, **ahead))

    return cross_fitted(panel, predict, customer_folds(panel), threads=THREADS)


def in_words(model: ClvModel | None) -> str:
    """What was chosen for lifetime value, and how far its intervals can be trusted."""
    if model is None:
        return "no spend in training: no lifetime value is learned, it is null in scores"
    words = (
        f"spend within {model.horizon_days} days by {model.chosen}. {model.note} {model.bias.note} {model.season.note}"
    )
    if model.intervals is None:
        return f"{words} No intervals: too few rows could be held out to know how wrong a forecast is."
    words, held = f"{words} {model.intervals.note}", model.intervals.coverage
    if held is None:
        return words
    above = "" if held.covered_above_0 is None else f", {held.covered_above_0:.1%} where they reach above 0"
    return f"{words} They cover {held.covered:.1%} of {held.rows:,} held-out rows{above} ({held.nominal:.0%} wanted)."
