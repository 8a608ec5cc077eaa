"""Where everybody bought once, or nobody left, every stage runs: the baseline is used, and the reason is reported."""

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest
import tiny_project
from tiny_project import DAYS, START, inside

from fedelta.pipeline import paths


def bought_once() -> pl.DataFrame:
    """The first purchase of each customer and nothing else."""
    purchases = tiny_project.interactions(300).filter(pl.col("kind").cast(pl.String) == "purchase")
    return purchases.sort("customer_id", "occurred_at").unique("customer_id", keep="first", maintain_order=True)


def all_stay() -> pl.DataFrame:
    """Everybody buys every 20 days from some day on, to the end."""
    first = bought_once()
    later = pl.concat(
        [
            first.with_columns(
                pl.col("occurred_at") + timedelta(days=20 * n), interaction_id=pl.format("{}-{}", "interaction_id", n)
            )
            for n in range(DAYS // 20)
        ]
    )
    return later.filter(pl.col("occurred_at") < START + timedelta(days=DAYS)).sort("customer_id", "occurred_at")


@pytest.mark.parametrize(("events", "outcome"), [(bought_once, "churned"), (all_stay, "stayed")])
def test_with_one_outcome_the_baseline_is_used_and_says_why(
    tmp_path: Path, events: Callable[[], pl.DataFrame], outcome: str
):
    table = events().select(tiny_project.interactions(1).columns).cast(tiny_project.interactions(1).schema)
    with inside(tiny_project.make(tmp_path / "project", table)):
        for fit in ("evaluated", "delivered"):
            contract = json.loads((paths.CHURN_BUNDLE / fit / "model.json").read_text())
            assert contract["candidate"] == "pareto_nbd"
            assert f"training rows have the same outcome ({outcome}). So the baseline is used." in contract["note"]
        scores = pl.read_parquet(paths.SCORES)
        assert (scores["status"] == "scored").all()
        probability = scores["churn_probability"]
        assert probability.is_between(0, 1, closed="none").all()
        assert (probability > 0.5).all() if outcome == "churned" else (probability < 0.5).all()
