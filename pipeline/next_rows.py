"""Rows of the next purchase: what customers had bought at cutoffs, and then bought, to learn from and to measure on."""

from collections.abc import Sequence

import polars as pl

from fedelta.features.categories import categories_at
from fedelta.features.cutoffs import Fit
from fedelta.models.next_purchase.model import NextModel
from fedelta.models.next_purchase.rows import Rows
from fedelta.models.next_purchase.settings import NextSettings
from fedelta.pipeline import paths
from fedelta.pipeline.buckets.shuffle import Bucket
from fedelta.pipeline.next_categories import Look, purchases_in
from fedelta.pipeline.params import Params

_HASHES = 2**64


def horizon_of(params: Params) -> int:
    """Days ahead within which purchases are predicted."""
    return params.next.horizon_days or params.horizon_days


def looks_of(fit: Fit, params: Params, role: str = "train") -> list[Look]:
    """The cutoffs that a fit learns from, oldest first; those with shorter horizons than asked for do not count."""
    learned = pl.col("refit") if fit == "delivered" else pl.col("role") == role
    days = horizon_of(params)
    keys = pl.scan_parquet(paths.FEATURES / "*.parquet").filter(learned, pl.col("horizon_days") >= days)
    found = keys.select("cutoff", "lead_days").unique().sort("cutoff").collect()
    return [Look(at, days, int(lead)) for at, lead in found.iter_rows()]


def sample_of(customers: int, cutoffs: int, categories: int, settings: NextSettings) -> pl.DataFrame:
    """Purchases by category of all customers, or of a share of them that makes so many rows as the settings allow.

    The share is a range of the customers' hashes, of which no more is read.
    """
    share = min(1.0, settings.rows / max(1, customers * max(1, cutoffs) * categories))
    part = Bucket(0, 0, min(_HASHES - 1, int(share * _HASHES)), paths.INTERACTIONS)
    return purchases_in(part)


def rows_at(purchases: pl.DataFrame, categories: Sequence[str], looks: Sequence[Look]) -> Rows | None:
    """What customers who can be scored had bought at each cutoff, and then bought; None where nobody had."""
    ids = purchases["customer_id"].unique()
    scored = (
        pl.scan_parquet(paths.FEATURES / "*.parquet")
        .filter(pl.col("status") == "scored", pl.col("customer_id").is_in(ids.implode()))
        .select("customer_id", "cutoff")
        .collect()
    )
    views = []
    for look in looks:
        present = scored.filter(pl.col("cutoff") == look.at)
        mine = purchases.join(present, on="customer_id", how="semi")
        view = categories_at(mine, categories, look.at, look.horizon)
        if len(view.customer_ids):
            views.append((view, look.keys))
    return Rows.of(views) if views else None


def rows_to_measure(model: NextModel, params: Params) -> Rows | None:
    """What customers bought after the evaluation cutoff: all of them, or a sample as large as is learned from."""
    looks = looks_of("evaluated", params, "evaluate")
    return rows_at(sample_of(customers_with_features(), 1, len(model.categories), params.next), model.categories, looks)


def customers_with_features() -> int:
    """Customers with features at any cutoff."""
    keys = pl.scan_parquet(paths.FEATURES / "*.parquet")
    return int(keys.select(pl.col("customer_id").n_unique()).collect().item())
