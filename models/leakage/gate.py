"""The leakage gate: every sign that a panel knows its own answer, gravest first, each with evidence and remedy."""

from collections.abc import Collection, Iterable, Iterator

import numpy as np
import pandas as pd

from fedelta.features.attributes import BAD_PREFIX, PREFIX
from fedelta.models.leakage.leaky_attributes import as_of_today, later_dates, undeclared
from fedelta.models.leakage.leaky_columns import copied_outcomes, telling_columns, telling_kinds
from fedelta.models.leakage.leaky_rows import (
    Leak,
    after_the_outcome,
    overlapping_horizons,
    repeated_rows,
    shared_customers,
    twin_customers,
)
from fedelta.models.learning.competition import folds
from fedelta.models.learning.season import seasonal
from fedelta.models.panel import Panel

# What is judged by figures alone, and may be honest after all; the others cannot be.
ACCEPTABLE = ("telling_column", "structural_zero", "one_sided", "telling_kind", "as_of_today", "later_date")


def leaks(
    panel: Panel, definition: str, declared: Collection[str] = (), days_since: pd.DataFrame | None = None
) -> list[Leak]:
    """Every leak of a panel of rows whose outcome is known, gravest first.

    Parameters
    ----------
    panel : Panel
        Rows to learn from and to evaluate on; of a table of customers, the labelled rows at their one cutoff.
    definition
        Of churn.
    declared
        The attributes that the source declares.
    days_since : DataFrame of shape (n_rows, n_kinds), optional
        Days from the last interaction of each kind to the row's cutoff, with the panel's index; null for never.
    """
    known = ~np.isnan(panel.churned(definition))
    scored = panel.where((panel.table["status"] == "scored") & known)
    found = [
        *undeclared(panel.table, declared),
        *repeated_rows(scored.table),
        *twin_customers(scored.table),
        *overlapping_horizons(scored.table),
        *_split(scored),
        *after_the_outcome(scored, definition),
        *copied_outcomes(scored),
        *as_of_today(scored.table),
        *later_dates(scored.table),
        *telling_columns(scored, definition),
        *(telling_kinds(scored, definition, days_since.loc[scored.table.index]) if days_since is not None else ()),
    ]
    return sorted(found, key=lambda leak: (-leak.gravity, leak.check, leak.column))


def without_accepted(found: Iterable[Leak], accepted: Collection[str]) -> tuple[list[Leak], list[Leak]]:
    """Leaks that stop a run, and those that somebody has looked into and accepted by the name of column or kind."""
    stopping: list[Leak] = []
    looked_into: list[Leak] = []
    for leak in found:
        names = {leak.column.removeprefix(prefix) for prefix in ("", PREFIX, BAD_PREFIX)}
        (looked_into if leak.check in ACCEPTABLE and names & set(accepted) else stopping).append(leak)
    return stopping, looked_into


def _split(panel: Panel) -> Iterator[Leak]:
    """A customer on both sides of a fold in which churn candidates are tested and calibrated."""
    train = panel.of_role("train")
    if len(train) == 0:
        return
    horizon, lead = (int(panel.table[name].max()) for name in ("horizon_days", "lead_days"))
    keys = Panel(train.table[["customer_id", "cutoff", "horizon_days", "lead_days"]], train.outcomes.iloc[:, :0])
    for fold in folds(keys, horizon, seasonal=seasonal(keys, horizon, lead)):
        if found := list(shared_customers(fold.past.table["customer_id"], fold.present.table["customer_id"])):
            yield from found
            return


def replayed(stored: pd.DataFrame, replay: pd.DataFrame) -> list[Leak]:
    """Features of `stored` that differ from `replay`, the same rows computed from the events before each cutoff alone.

    Both hold customer_id, cutoff and features; rows of `stored` that are not in `replay` count as moved as well.
    """
    names = [name for name in replay.columns if name not in ("customer_id", "cutoff")]
    both = stored.merge(replay, on=["customer_id", "cutoff"], how="left", suffixes=("", "|"), indicator=True)
    alone = (both["_merge"] == "left_only").to_numpy()
    found = []
    for name in names:
        a, b = both[name], both[f"{name}|"]
        moved = alone | ~((a == b) | (a.isna() & b.isna())).fillna(False).to_numpy(bool)
        if moved.any():
            row = both[moved].iloc[0]
            found.append(
                Leak(
                    "replay",
                    name,
                    f"{moved.sum():,} of {len(both):,} rows change when the events from the cutoff on are deleted "
                    f"({row['customer_id']} at {row['cutoff']:%Y-%m-%d}: {row[name]} becomes {row[f'{name}|']})",
                    "it reads beyond the cutoff, or the data changed since: rebuild the features, then look at it",
                    1.0,
                )
            )
    return found
