"""Rows, splits and dates through which an outcome leaks into what is learned."""

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from fedelta.features.attributes import PREFIX
from fedelta.models.panel import Panel, feature_columns, horizon_end

LEAST = 30  # rows; with fewer, what looks like a pattern may be chance
ACCEPT = "if it is honestly known before the cutoff, name it under leak_check.accept in params.yaml"


@dataclass(frozen=True)
class Leak:
    """One way in which the outcome is known too early."""

    check: str
    column: str  # or the rows in question
    evidence: str
    remedy: str
    gravity: float  # 0 to 1, to name the worst


def repeated_rows(table: pd.DataFrame) -> Iterator[Leak]:
    """One customer twice at one cutoff: on both sides of any split."""
    twice = int(table.duplicated(["cutoff", "customer_id"]).sum())
    if twice:
        yield Leak(
            "repeated_rows",
            "customer_id, cutoff",
            f"{twice:,} rows repeat the customer and cutoff of another",
            "build the features again: one row per customer and cutoff",
            0.9,
        )


def twin_customers(table: pd.DataFrame) -> Iterator[Leak]:
    """Customers of three purchase days and more who share every feature, to the cent: one person under several ids.

    Without money nothing is reported: the regular histories of two members of a club coincide by chance.
    """
    rows = table[(table["purchase_day_count"] >= 3) & (table["spend"] > 0)]
    names = ["cutoff", *(n for n in feature_columns(table) if not str(n).startswith(PREFIX))]
    twins = rows[rows.duplicated(names, keep=False)]
    share = len(twins) / max(len(rows), 1)
    if share > 0.01 and twins["customer_id"].nunique() > 2:
        yield Leak(
            "twin_customers",
            "customer_id",
            f"{share:.1%} of the rows with three purchase days and more equal another customer's in every feature, "
            f"{', '.join(sorted(twins['customer_id'].astype(str).unique())[:3])} among them",
            "one person under several ids lands on both sides of a split: merge the ids in the source",
            0.8,
        )


def overlapping_horizons(table: pd.DataFrame) -> Iterator[Leak]:
    """Training outcomes that are not over when the evaluation begins, or that begin before their own cutoff."""
    train, evaluate = (table[table["role"] == role] for role in ("train", "evaluate"))
    if len(train) and len(evaluate) and (late := (horizon_end(train) > evaluate["cutoff"].min()).sum()):
        yield Leak(
            "overlapping_horizons",
            "cutoff, horizon_days",
            f"{late:,} training rows have outcomes after {evaluate['cutoff'].min():%Y-%m-%d}, where evaluation begins",
            "step the training cutoffs back by the lead and the horizon",
            0.9,
        )
    if early := int((table["lead_days"] < 0).sum()):
        yield Leak(
            "early_horizon",
            "lead_days",
            f"the horizons of {early:,} rows begin before their cutoff",
            "set lead_days to 0 or more",
            1.0,
        )


def after_the_outcome(panel: Panel, definition: str) -> Iterator[Leak]:
    """Customers who left for good and are learned from again at a later cutoff, where all their activity is zero."""
    if definition != "event":
        return
    table = panel.table.assign(over=horizon_end(panel.table), gone=panel.churned(definition) > 0)
    left = table[table["gone"]].groupby("customer_id")["over"].min()
    if left.empty:
        return
    again = table[table["cutoff"] >= table["customer_id"].map(left)]
    silent = int((again["interaction_count_90d"] == 0).sum())
    if silent >= LEAST and silent > len(again) / 2:
        yield Leak(
            "after_the_outcome",
            "status",
            f"{silent:,} rows are of customers who had already left and did nothing in the 90 days before",
            "their silence is the outcome: leave customers out once they have cancelled",
            0.9,
        )


def shared_customers(learned: pd.Series, held_out: pd.Series) -> Iterator[Leak]:
    """Customers on both sides of a split by customer."""
    both = set(learned) & set(held_out)
    if both:
        yield Leak(
            "shared_customers",
            "customer_id",
            f"{len(both):,} customers are on both sides of the split, {min(both)} among them",
            "split by customer: all rows of one on one side",
            0.9,
        )


def future_dated(occurred_at: pd.Series, until: pd.Timestamp) -> Iterator[Leak]:
    """Interactions dated after `until`, when the data were taken."""
    if late := int((occurred_at > until).sum()):
        yield Leak(
            "future_dated",
            "occurred_at",
            f"{late:,} interactions are dated after {until:%Y-%m-%d %H:%M}, the last on {occurred_at.max():%Y-%m-%d}",
            "they are planned, not done, or their time zone is wrong: correct occurred_at in interactions.sql",
            0.9,
        )
