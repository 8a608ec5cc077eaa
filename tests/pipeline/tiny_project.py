"""A project of a few hundred customers, made in a temporary folder by the real stages, in seconds."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
from made_once import made_once

from fedelta.features.contract import INTERACTIONS
from fedelta.features.cutoffs import Cutoff
from fedelta.features.kernel import KernelSettings, features_at
from fedelta.pipeline import (
    evaluate,
    experience,
    fairness,
    fit_btyd,
    paths,
    score,
    train_churn,
    train_clv,
    train_leaving,
    train_loyalty,
    train_next,
)
from fedelta.pipeline.buckets.shuffle import shuffle
from fedelta.pipeline.params import load_params

HERE = Path(__file__).parents[2]
TREES = 20
START = datetime(2023, 1, 1, tzinfo=UTC)
DAYS = 480
CUTOFFS = tuple(
    Cutoff(START + timedelta(days=days), 90, 0, role, refit)
    for days, role, refit in (
        (210, "train", False),
        (300, "train", True),
        (390, "evaluate", True),
        (480, "score", False),
    )
)
PARAMS = """\
source: demo
data: data/raw/demo
horizon_days: 90
lead_days: 0
cutoffs: {step_days: 90, train: 2}
engine: {workers: 1, buckets: 1}
experience:
  rules:
    late_delivery: {when: "kind = 'delivery' AND delay_hours > 24", pillar: expectations, level: needs, severity: 2}
churn: {num_iterations: TREES, seeds: 1, candidate: lightgbm}
clv: {num_iterations: TREES, seeds: 1, horizon_days: 90}
evaluate: {bootstrap: 20, seed: 7}
policy: {tiers: {medium: 0.3, high: 0.6, critical: 0.8}}
gate: {metric: log_loss, max_ece: 0.3}
"""


@contextmanager
def inside(folder: Path) -> Iterator[Path]:
    """Work in a folder, as `fedelta` does."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield folder
    finally:
        os.chdir(before)


def scored_project(folder: Path) -> Path:
    """A project of 300 customers with every stage run up to `score`: a copy, to change as one pleases."""
    usual = made_once("tiny-project", lambda new: make(new, interactions(300)))
    return Path(shutil.copytree(usual, folder, symlinks=True, dirs_exist_ok=True))


def make(folder: Path, events: pl.DataFrame) -> Path:
    """A project of these interactions with every stage run up to `score`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sources").symlink_to(HERE / "sources")
    (folder / "params.yaml").write_text(PARAMS.replace("TREES", str(TREES)))
    with inside(folder):
        table, labels = features_at(events, CUTOFFS, KernelSettings(load_params().experience))
        for path, frame in ((paths.FEATURES, table), (paths.LABELS, labels)):
            path.mkdir(parents=True)
            frame.write_parquet(path / "part-00000.parquet")
        paths.INTERACTIONS.mkdir()
        with duckdb.connect() as connection:
            connection.register("events", events.to_arrow())
            shuffle(connection, "SELECT * FROM events", paths.INTERACTIONS)
        _customers(events).write_parquet(paths.CUSTOMERS)
        stages = (
            experience, fit_btyd, train_churn, train_clv, train_leaving, train_loyalty, train_next, evaluate, score,
            fairness,
        )  # fmt: skip
        for stage in stages:
            stage.main()
    return folder


def retrained(project: Path, folder: Path, *, num_iterations: int) -> Path:
    """A copy of a project whose models were trained anew, with other settings."""
    shutil.copytree(project, folder, symlinks=True)
    (folder / "params.yaml").write_text(PARAMS.replace("TREES", str(num_iterations)))
    with inside(folder):
        for stage in (train_churn, train_clv, train_loyalty, train_next, evaluate, score):
            stage.main()
    return folder


def _customers(events: pl.DataFrame) -> pl.DataFrame:
    return (
        events.group_by("customer_id")
        .agg(signed_up_at=pl.col("occurred_at").min())
        .sort("customer_id")
        .with_columns(
            opted_out=pl.lit(value=False),
            country=pl.lit("IT"),
            age_group=pl.lit("30-39"),
            plan=pl.lit("basic"),
            plan_since=pl.col("signed_up_at"),
        )
    )


def interactions(customers: int, seed: int = 5) -> pl.DataFrame:
    """Purchases at each customer's own rhythm until a silent end; some deliveries come late."""
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(customers):
        day, end, gap = rng.uniform(0, 200), rng.uniform(60, 900), rng.gamma(2, 15) + 3
        while day < min(end, DAYS):
            at = START + timedelta(days=float(day))
            rows.append((number, at, "purchase", "web", rng.gamma(2, 20) + 1, None))
            rows.append((number, at + timedelta(days=2), "delivery", None, None, rng.normal(0, 20)))
            day += rng.exponential(gap)
    names = ("customer", "occurred_at", "kind", "channel", "amount", "delay_hours")
    table = pl.DataFrame(rows, schema=names, orient="row").filter(pl.col("occurred_at") < START + timedelta(days=DAYS))
    table = table.sort("customer", "occurred_at").with_row_index()
    table = table.with_columns(
        interaction_id=pl.format("i{}", "index"),
        customer_id=pl.format("c{}", pl.col("customer").cast(str).str.zfill(4)),
    )
    return table.select(
        (pl.col(name) if name in table.columns else pl.lit(None)).cast(dtype).alias(name)
        for name, dtype in INTERACTIONS.items()
    )
