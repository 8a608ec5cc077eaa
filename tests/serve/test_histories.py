"""Interactions by customer, beside a snapshot: however much of a file is read at once, each customer has their own."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from fedelta.features.contract import INTERACTIONS
from fedelta.serve.snapshots.histories import Histories, HistoriesRefused, write_histories

COUNTS = {"zoe": 3, "ann": 1, "eve": 12, "bob": 2, "kim": 1, "joe": 5}  # in the order of a file: that of no alphabet


def events(counts: list[tuple[str, int]]) -> pl.DataFrame:
    begin = datetime(2024, 1, 1, tzinfo=UTC)
    names = [name for name, count in counts for _ in range(count)]
    table = pl.DataFrame(
        {
            "customer_id": names,
            "interaction_id": [f"i{number}" for number in range(len(names))],
            "occurred_at": [begin + timedelta(hours=number) for number in range(len(names))],
            "kind": "visit",
        }
    )
    missing = [pl.lit(None).alias(name) for name in INTERACTIONS.names() if name not in table.columns]
    return table.with_columns(missing).select(INTERACTIONS.names()).cast(INTERACTIONS)


@pytest.mark.parametrize("at_once", [1, 2, 7, 24, 1_000])
def test_each_customer_has_their_interactions_however_many_rows_are_read_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr("fedelta.serve.snapshots.histories._READ_AT_ONCE", at_once)
    monkeypatch.setattr("fedelta.serve.snapshots.histories._PIECE_ROWS", 4)
    made = tmp_path / "interactions"
    made.mkdir()
    rows = events(list(COUNTS.items()))
    rows.write_parquet(made / "part-0.parquet")
    events([]).write_parquet(made / "part-1.parquet")
    folder = tmp_path / "histories"
    folder.mkdir()
    write_histories(folder, made, tmp_path / "none.parquet", erased=["kim"])
    histories = Histories(folder)
    for name in COUNTS:
        expected = rows.filter(customer_id=name) if name != "kim" else rows.clear()
        assert histories.interactions([name]).equals(expected)
    histories.close()


def test_a_customer_whose_interactions_do_not_lie_together_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fedelta.serve.snapshots.histories._READ_AT_ONCE", 3)
    events([("ann", 2), ("bob", 4), ("ann", 1)]).write_parquet(tmp_path / "part-0.parquet")
    folder = tmp_path / "histories"
    folder.mkdir()
    with pytest.raises(HistoriesRefused, match="do not lie together in one file"):
        write_histories(folder, tmp_path, tmp_path / "none.parquet")
