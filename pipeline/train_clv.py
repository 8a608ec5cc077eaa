"""DVC stage ``train_clv``: training rows in; models of lifetime value and of orders out."""

from typing import get_args

from features.cutoffs import Fit
from models.bundle import save_clv
from models.clv import ClvModel, OrdersModel, fit_clv, fit_orders
from models.panel import Panel
from pipeline import paths
from pipeline.panel import read_training
from pipeline.params import load_params
from pipeline.train_churn import THREADS, training_facts
from pipeline.whole_files import whole


def main() -> None:
    """Train the project's models of value twice, as those of churn; without money the bundle says so."""
    params = load_params()
    ahead = {"horizon_days": params.horizon_days, "lead_days": params.lead_days, "threads": THREADS}
    with whole(paths.CLV_BUNDLE) as folder:
        for fit in get_args(Fit):
            panel = read_training(fit)
            if len(panel):
                model, orders = fit_clv(panel, params.clv, **ahead), fit_orders(panel, params.clv, **ahead)
                facts = {"training": training_facts(panel, params.churn.definition)}
                save_clv(model, folder / fit, facts, orders)
                report(fit, panel, model, orders)


def report(fit: Fit, panel: Panel, model: ClvModel | None, orders: OrdersModel) -> None:
    """Print what was learned from and what was chosen."""
    spenders = f"{len(panel):,} rows, {(panel.spend > 0).mean():.1%} spend in the horizon"
    how = f"{orders.note} {orders.level.note} {orders.season.note}"
    print(f"train_clv: {fit}: {spenders}; orders by {orders.chosen}. {how}")
    print(f"train_clv: {fit}: {in_words(model)}")


def in_words(model: ClvModel | None) -> str:
    """What was chosen for lifetime value, and how far its intervals can be trusted."""
    if model is None:
        return "no purchase in training carries an amount: no lifetime value is learned, it is null in scores"
    words = f"spend by {model.chosen}. {model.note} {model.level.note} {model.season.note}"
    if model.intervals is None:
        return f"{words} No intervals: too few rows could be held out to know how wrong a forecast is."
    words, held = f"{words} {model.intervals.note}", model.intervals.coverage
    if held is None:
        return words
    above = "" if held.covered_above_0 is None else f", {held.covered_above_0:.1%} where they reach above 0"
    return f"{words} They cover {held.covered:.1%} of {held.rows:,} rows held out{above} ({held.nominal:.0%} wanted)."
