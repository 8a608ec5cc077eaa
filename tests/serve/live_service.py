"""A project that was really scored, published and asked: for the tests of what is computed now."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import polars as pl
from live_project import make
from made_once import made_once
from scoring_runs import Client

from fedelta.features.contract import INTERACTIONS
from fedelta.pipeline import paths
from fedelta.serve.operational.database import Database
from fedelta.serve.snapshots.publish import Published, publish

WHOLE = ("previous_probability", "delta", "tier_changed_at")  # what a publish adds by comparing


def scored_project() -> Path:
    """300 customers and some odd ones, scored."""
    return made_once("live-project", make)


def histories(project: Path) -> dict[str, pl.DataFrame]:
    """The interactions of each customer."""
    events = pl.read_parquet(project / paths.INTERACTIONS / "*.parquet").select(INTERACTIONS.names())
    return {str(name): part for (name,), part in events.partition_by("customer_id", as_dict=True).items()}


def known_of(project: Path) -> dict[str, dict[str, Any]]:
    """What is known of each customer besides."""
    return {row["customer_id"]: row for row in pl.read_parquet(project / paths.CUSTOMERS).to_dicts()}


def published(project: Path, database: Database, **other: Any) -> Published:
    where: dict[str, Any] = {
        "bundle": project / paths.BUNDLE, "scoring": project / paths.SCORING,
        "interactions": project / paths.INTERACTIONS, "customers": project / paths.CUSTOMERS,
    }  # fmt: skip
    return publish(project / paths.SCORES, database, **(where | other))


def given(name: str, parts: dict[str, pl.DataFrame], known: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """A customer as a request has it: what is null is left out."""
    about = known[name]
    rows = [
        {column: _json(value) for column, value in row.items() if value is not None and column != "customer_id"}
        for row in parts[name].to_dicts()
    ]
    attributes = {
        column: _json(value)
        for column, value in about.items()
        if column in ("country", "plan", "plan_since") and value is not None
    }
    return {
        "customer_id": name, "attributes": attributes, "opted_out": about["opted_out"], "interactions": rows,
    }  # fmt: skip


def _json(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return value if isinstance(value, str | bool | int | float) else float(value)


def compute(client: Client, customers: Sequence[dict[str, Any]], **asked: Any) -> httpx.Response:
    return client.post("/v1/scores:compute", json={"customers": customers, **asked})


def served(client: Client, names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The documents of the run, without what a publish adds by comparing."""
    answer = client.post("/v1/scores:batch", json={"customer_ids": list(names)}).json()
    return {one["customer_id"]: plain(one["score"]) for one in answer["results"]}


def plain(score: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in score.items() if name not in WHOLE}
