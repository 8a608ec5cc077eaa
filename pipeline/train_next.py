"""DVC stage ``train_next``: interactions and features' keys in; models of the next purchase out."""

from collections.abc import Sequence
from typing import get_args

import polars as pl

from fedelta.features.contract import NextStatus
from fedelta.features.cutoffs import Fit
from fedelta.features.errors import FedeltaError
from fedelta.models.next_purchase.model import NextModel, fit_next
from fedelta.models.next_purchase.settings import NextSettings
from fedelta.models.next_purchase.storage import save_next
from fedelta.pipeline import paths
from fedelta.pipeline.atomic_write import whole
from fedelta.pipeline.next_categories import NO_CATEGORIES, Look
from fedelta.pipeline.next_rows import customers_with_features, looks_of, rows_at, sample_of
from fedelta.pipeline.params import Params, load_params
from fedelta.pipeline.training import THREADS

_LEAST_BUYERS = 50  # in the horizon of the rows learned from
TOO_FEW: NextStatus = "too_few_purchases"


class BadHorizon(FedeltaError, ValueError):
    """The horizon of the next purchase does not fit that of churn."""


def main() -> None:
    """Train the project's models of the next purchase twice, as those of churn; or write why there are none."""
    params = load_params()
    check_horizon(params)
    with whole(paths.NEXT_BUNDLE) as folder:
        for fit in get_args(Fit):
            looks = looks_of(fit, params)
            if fit == "evaluated" and not has_rows(fit):
                continue
            model, reason = train(looks, params)
            learned = [{"cutoff": f"{look.at:%Y-%m-%d}", "horizon_days": look.horizon_days} for look in looks]
            save_next(model, folder / fit, reason, {"training": learned})
            print(f"train_next: {fit}: {in_words(model, reason)}")


def check_horizon(params: Params) -> None:
    """Refuse a horizon whose outcomes are not over when those of churn are.

    Raises
    ------
    BadHorizon
        If it is longer than churn's.
    """
    if params.next.horizon_days is not None and params.next.horizon_days > params.horizon_days:
        raise BadHorizon(
            f"params.yaml: next.horizon_days is {params.next.horizon_days}; it must be at most horizon_days, "
            f"{params.horizon_days}, or null for the same."
        )


def has_rows(fit: Fit) -> bool:
    """Whether the features have cutoffs that a fit learns from, of whatever horizon."""
    learned = pl.col("refit") if fit == "delivered" else pl.col("role") == "train"
    return bool(pl.scan_parquet(paths.FEATURES / "*.parquet").select(learned.any()).collect().item())


def train(looks: Sequence[Look], params: Params) -> tuple[NextModel | None, NextStatus | None]:
    """The model of purchases at these cutoffs, or why there is none."""
    customers = customers_with_features()
    purchases = sample_of(customers, len(looks), params.next.categories, params.next)
    if purchases.is_empty():
        return None, NO_CATEGORIES
    if not looks:
        return None, TOO_FEW
    known = max(look.horizon[1] for look in looks)
    named = most_bought(purchases.filter(pl.col("occurred_at") < known), params.next)
    if len(named) < 2:
        return None, TOO_FEW
    if len(named) < params.next.categories:  # fewer categories: more customers for the same rows
        purchases = sample_of(customers, len(looks), len(named), params.next)
    rows = rows_at(purchases, named, looks)
    if rows is None or rows.buyers.sum() < _LEAST_BUYERS:
        return None, TOO_FEW
    days, lead = looks[0].horizon_days, looks[0].lead_days
    return fit_next(rows, named, params.next, horizon_days=days, lead_days=lead, threads=THREADS), None


def most_bought(purchases: pl.DataFrame, settings: NextSettings) -> list[str]:
    """The categories that most customers bought of, as many as the settings allow, in alphabetical order."""
    counts = purchases.group_by("category").agg(n=pl.col("customer_id").n_unique())
    kept = counts.filter(pl.col("n") >= settings.least_customers).sort("n", "category", descending=[True, False])
    return sorted(kept["category"].head(settings.categories).to_list())


def in_words(model: NextModel | None, reason: NextStatus | None) -> str:
    """What was learned and chosen, in one line."""
    if model is None:
        why = {
            NO_CATEGORIES: "purchases have no topic, so there are no categories to recommend",
            TOO_FEW: "too few purchases of two categories or more to learn from",
        }
        return f"{why[reason or NO_CATEGORIES]}: next_categories is null"
    weights = ", ".join(f"{name} {weight:.0%}" for name, weight in model.weights.items())
    return f"{len(model.categories)} categories within {model.horizon_days} days; weights: {weights}. {model.note}"
