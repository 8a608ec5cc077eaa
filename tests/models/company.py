"""A small company whose customers buy at their own pace, are let down, and leave: something for models to learn."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

from fedelta.features.contract import INTERACTIONS
from fedelta.features.cutoffs import Cutoff
from fedelta.features.experience_rules import ExperienceSettings, Rule
from fedelta.features.kernel import KernelSettings, features_at
from fedelta.features.labels import OUTCOMES
from fedelta.models.btyd.fits import BgNbd, GammaGamma, ParetoNbd
from fedelta.models.btyd.purchase_prior import PurchasePrior
from fedelta.models.panel import Panel

BEGIN = datetime(2025, 1, 1, tzinfo=UTC)
RULES = ExperienceSettings({"late_delivery": Rule("delay_hours > 24", "expectations", "needs", 2)})
# About what a fit to the company would find; so a test need not fit.
PRIOR = PurchasePrior(
    ParetoNbd(r=2.4, alpha=72.0, s=0.73, beta=169.0, converged=True, note=""),
    BgNbd(r=1.4, alpha=42.0, a=0.83, b=8.9, converged=True, note=""),
    GammaGamma(p=4.0, q=4.0, gamma=20.0, converged=True, note=""),
)


def cutoffs(*, train_days: int = 60, lead_days: int = 0) -> tuple[Cutoff, ...]:
    """Three cutoffs to train, one to evaluate and one to score, of 60 days each; training horizons may be shorter."""
    train = tuple(Cutoff(BEGIN + timedelta(days=day), train_days, lead_days, "train") for day in (180, 240, 300))
    evaluate = Cutoff(BEGIN + timedelta(days=360), 60, lead_days, "evaluate")
    return (*train, evaluate, Cutoff(BEGIN + timedelta(days=420), 60, lead_days, "score"))


def interactions(customers: int, seed: int = 1) -> pl.DataFrame:
    """Purchases at each customer's pace, a delivery after each; one in five is late, and then many leave."""
    chance = np.random.default_rng(seed)
    rows: list[tuple[str, float, str, float | None, float | None]] = []
    for number in range(customers):
        name, day, pace = f"c{number:04}", chance.uniform(0, 300), chance.gamma(2, 1 / 60)
        price = chance.lognormal(3, 0.5)
        while day < 480:
            late = chance.random() < 0.2
            rows.append((name, day, "purchase", round(price * chance.lognormal(0, 0.3), 2), None))
            rows.append((name, day + 2, "delivery", None, 48.0 if late else 0.0))
            if chance.random() < (0.3 if late else 0.05):
                break
            day += chance.exponential(1 / pace)
    names = ["customer_id", "day", "kind", "amount", "delay_hours"]
    table = pl.DataFrame(rows, schema=names, orient="row", infer_schema_length=None)
    table = table.with_columns(
        interaction_id=pl.int_range(pl.len()).cast(pl.String),
        occurred_at=int(BEGIN.timestamp()) * 1_000_000 + (pl.col("day") * 86_400_000_000).cast(pl.Int64),
        channel=pl.when(pl.int_range(pl.len()) % 3 == 0).then(pl.lit("app")).otherwise(pl.lit("web")),
    )
    table = table.with_columns(pl.lit(None).alias(name) for name in INTERACTIONS if name not in table.columns)
    ordered = table.select(pl.col(name).cast(dtype) for name, dtype in INTERACTIONS.items())
    return ordered.sort("customer_id", "occurred_at", "interaction_id")


def panel_of(events: pl.DataFrame, at: Sequence[Cutoff]) -> Panel:
    """Features, prior columns and outcomes of a company's customers, as the stages hand them to models."""
    features, labels = features_at(events, at, KernelSettings(RULES))
    table = features.with_columns(pl.col("last_bad_experience").cast(pl.String)).to_pandas()
    bought = table[table["purchase_day_count"] > 0]
    return Panel(table.join(PRIOR.columns(bought)), labels.select(*OUTCOMES).to_pandas())


def with_columns(panel: Panel, **columns: Any) -> Panel:
    """The panel with other values in columns of its table."""
    return Panel(panel.table.assign(**columns), panel.outcomes)


def with_outcomes(panel: Panel, **columns: Any) -> Panel:
    """The panel with other outcomes."""
    return Panel(panel.table, panel.outcomes.assign(**columns))
