"""Customers who each get one parcel, late or not, and come back or leave."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl

from fedelta.features.episodes import EPISODES

START = datetime(2025, 1, 1, tzinfo=UTC)


def company(chance_of_leaving: float, customers: int = 1_500, seed: int = 1, **same: object) -> pl.DataFrame:
    """One parcel per customer, late for two in five; without harm a quarter never comes back, with harm more."""
    rng = np.random.default_rng(seed)
    late = rng.random(customers) < 0.4
    leaves = (rng.random(customers) < 0.25) | (late & (rng.random(customers) < chance_of_leaving))
    days = np.where(leaves, 200.0, rng.uniform(1, 80, customers))
    table = pl.DataFrame(
        {
            "customer_id": [f"c{number:05}" for number in range(customers)],
            "occurred_at": [START + timedelta(days=int(day)) for day in rng.integers(0, 100, customers)],
            "kind": "delivery",
            "channel": rng.choice(["web", "app"], customers),
            "among": "kind = 'delivery'",
            "rule": pl.Series(["late_delivery" if each else None for each in late], dtype=pl.String),
            "pillar": pl.Series(["expectations" if each else None for each in late], dtype=pl.String),
            "number": 1,
            "purchases": rng.integers(1, 9, customers),
            "tenure_days": rng.uniform(50, 500, customers),
            "recovered": False,
            "days": days,
            "ended": ~leaves,
            "spend": np.where(leaves, 0.0, rng.gamma(4, 10, customers)),
        }
    ).with_columns(**same, interaction_id="customer_id")
    return table.select(
        (pl.col(name) if name in table.columns else pl.lit(None)).cast(dtype).alias(name)
        for name, dtype in EPISODES.items()
    )
