"""A shop with an event log as raw files, and a project that the real stages run on."""

import shutil
from pathlib import Path

import polars as pl
from tiny_project import HERE, PARAMS, inside, interactions

from fedelta.pipeline import (
    build_features,
    evaluate,
    experience,
    fairness,
    fit_btyd,
    ingest,
    score,
    train_churn,
    train_clv,
    train_leaving,
    train_loyalty,
    train_next,
)

SOURCE = """\
name: shop
says: purchases and deliveries
currency: EUR
files: { events: { path: "*.csv" } }
"""
SQL = "SELECT interaction_id, customer_id, occurred_at, kind, channel, amount, delay_hours FROM events"
STAGES = (
    ingest, build_features, experience, fit_btyd, train_churn, train_clv, train_leaving,
    train_loyalty, train_next, evaluate, score, fairness,
)  # fmt: skip


def write(folder: Path, events: pl.DataFrame) -> Path:
    """Raw files of the shop."""
    folder.mkdir(parents=True)
    named = events.select("interaction_id", "customer_id", "occurred_at", "kind", "channel", "amount", "delay_hours")
    named.write_csv(folder / "events.csv")
    return folder


def make(folder: Path, *, horizon_days: int = 90) -> Path:
    """The project with every stage run up to `score`."""
    with inside(begun(folder, horizon_days=horizon_days)):
        for stage in STAGES:
            stage.main()
    return folder


def begun(folder: Path, *, horizon_days: int = 90) -> Path:
    """The project, nothing run yet."""
    (folder / "sources/shop").mkdir(parents=True)
    (folder / "sources/shop/source.yaml").write_text(SOURCE)
    (folder / "sources/shop/interactions.sql").write_text(SQL)
    shutil.copytree(HERE / "treatments", folder / "treatments")
    params = PARAMS.replace("TREES", "10").replace("source: demo", "source: shop")
    params = params.replace("data/raw/demo", "data/raw").replace("horizon_days: 90", f"horizon_days: {horizon_days}")
    (folder / "params.yaml").write_text(params)
    write(folder / "data/raw", interactions(300))
    return folder
