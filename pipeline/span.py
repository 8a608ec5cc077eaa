"""From when to when the project's interactions reach."""

from datetime import datetime
from pathlib import Path

import duckdb

from fedelta.features.cutoffs import believed_times
from fedelta.features.errors import FedeltaError


class NoInteractions(FedeltaError):
    """There is nothing to compute features of."""


def span(folder: Path) -> tuple[datetime, datetime]:
    """Time of the first and of the last interaction, but for stray dates (`features.cutoffs.believed_span`).

    Raises
    ------
    NoInteractions
        If the folder holds none.
    """
    days: list[tuple[int, int, datetime, datetime]] = []
    if files := [str(path) for path in folder.glob("*.parquet")]:
        with duckdb.connect() as connection:
            days = connection.execute(
                "SELECT epoch_us(occurred_at) // 86_400_000_000 AS day, count(*), "
                "make_timestamp(min(epoch_us(occurred_at))), make_timestamp(max(epoch_us(occurred_at))) "
                "FROM read_parquet(?) GROUP BY day ORDER BY day",
                [files],
            ).fetchall()
    if not days:
        raise NoInteractions(
            f"{folder} holds no interactions. Run `dvc repro ingest` first. A source of kind: table has none: what "
            "needs a history (backtest, churn-window) cannot be asked of it."
        )
    return believed_times(days)
