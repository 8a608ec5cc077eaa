"""DVC stage ``train_clv``: training rows in; models of lifetime value and of orders out."""

from typing import get_args

from fedelta.features.cutoffs import Fit
from fedelta.models.learning.cross_fitting import copies_as_one
from fedelta.models.value.model import ClvModel, OrdersModel, fit_clv, fit_orders
from fedelta.models.value.storage import save_clv
from fedelta.pipeline import paths
from fedelta.pipeline.atomic_write import whole
from fedelta.pipeline.panel import CHURN, files_of_value, read_training, sample_note
from fedelta.pipeline.params import load_params
from fedelta.pipeline.training import THREADS, ahead, counts_orders, training_facts, value_ahead


def main() -> None:
    """Train the project's models of value twice, as those of churn; without money the bundle says so."""
    params = load_params()
    with whole(paths.CLV_BUNDLE) as folder:
        for fit in get_args(Fit):
            panel = read_training(fit, most=params.engine.learn_customers)
            if len(panel):
                orders = (
                    fit_orders(panel, params.clv, **ahead(params), threads=THREADS) if counts_orders(panel) else None
                )
                rows, note = f"{len(panel):,} rows", sample_note(params.engine.learn_customers)
                if orders:
                    rows += f", {(panel.spend > 0).mean():.1%} spend in the horizon of churn"
                if (files := files_of_value()) != CHURN:
                    panel = read_training(fit, files, most=params.engine.learn_customers)
                model = fit_clv(copies_as_one(panel), params.clv, **value_ahead(params), threads=THREADS)
                save_clv(model, folder / fit, {"training": training_facts(panel, params.churn.definition)}, orders)
                report(fit, rows, note, model, orders)


def report(fit: Fit, rows: str, note: str, model: ClvModel | None, orders: OrdersModel | None) -> None:
    """Print what was learned from and what was chosen."""
    if orders is None:
        print(f"train_clv: {fit}: {rows} without orders: none are predicted; {in_words(model)}{note}")
        return
    how = f"orders by {orders.chosen}. {orders.note} {orders.bias.note} {orders.season.note}"
    print(f"train_clv: {fit}: {rows}; {how}")
    print(f"train_clv: {fit}: {in_words(model)}{note}")


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
