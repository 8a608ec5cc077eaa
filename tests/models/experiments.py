"""Treatments with outcomes, made by hand or at random, in the columns that comparisons read."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

from fedelta.features.contract import TREATMENTS
from fedelta.models.incrementality.comparison import Design

START = datetime(2026, 1, 1, tzinfo=UTC)
DESIGN = Design(30, START + timedelta(days=400), True, "EUR", 0.5, 0.2)


def rows_of(**columns: Any) -> pl.DataFrame:
    """Rows with these columns; the others as they are without a word, each customer another."""
    n = max(len(held) for held in columns.values() if isinstance(held, list))
    usual: dict[str, Any] = {
        "customer_id": [f"c{k:05}" for k in range(n)],
        "treated_at": START,
        "arm": "treated",
        "in_source": True,
        "stayed": 1.0,
        "spent": 0.0,
        "tier": pl.lit(None, pl.String),
        "persona": pl.lit(None, pl.String),
    }
    table = pl.DataFrame({name: held for name, held in columns.items() if isinstance(held, list)}).with_columns(
        **{
            name: held if isinstance(held, pl.Expr) else pl.Series(held) if isinstance(held, list) else pl.lit(held)
            for name, held in {**usual, **columns}.items()
            if not (isinstance(held, list) and name in columns)
        }
    )
    table = table.with_columns(pl.lit(None).alias(name) for name in TREATMENTS if name not in table.columns)
    table = table.cast(dict(TREATMENTS))
    if "drawn_held_out" not in table.columns:
        table = table.with_columns(drawn_held_out=pl.col("arm") == "held_out")
    return table


def drawn(
    n: int, seed: int, *, effect: float = 0.0, share: float = 0.2, days: int = 200, **columns: Any
) -> pl.DataFrame:
    """Customers who enter over some days, a share held out at random; contacting raises who stays by `effect`."""
    rng = np.random.default_rng(seed)
    held = rng.random(n) < share
    stayed = (rng.random(n) < 0.5 + effect * ~held).astype(float)
    return rows_of(
        **{
            "treated_at": [START + timedelta(days=int(day)) for day in np.sort(rng.integers(0, days, n))],
            "arm": np.where(held, "held_out", "treated").tolist(),
            "stayed": stayed.tolist(),
            "spent": (stayed * rng.gamma(2, 20, n)).tolist(),
            "x_risk": rng.random(n).tolist(),
            **columns,
        }
    )
