"""Every known customer is scored in bounded memory: a range of ids after the other, to the bytes of all at once."""

from pathlib import Path

import polars as pl
import pytest
from tiny_project import inside, scored_project

from fedelta.models.base import Base
from fedelta.pipeline import paths, score


def test_scores_are_the_same_however_many_customers_are_scored_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    with inside(scored_project(tmp_path)):
        unseen = pl.read_parquet(paths.CUSTOMERS).head(2).with_columns(customer_id=pl.Series(["0", "zoe"]))
        pl.concat([pl.read_parquet(paths.CUSTOMERS), unseen]).write_parquet(paths.CUSTOMERS)
        score.main()
        together, base = pl.read_parquet(paths.SCORES), Base.load(paths.SCORING)
        says = capsys.readouterr().out.splitlines()[-1]
        monkeypatch.setattr(score, "_AT_ONCE", 70)
        score.main()
        parts = pl.scan_parquet(paths.SCORES)
        assert parts.collect().equals(together)
        assert together["customer_id"].is_sorted()
        assert together.filter(status="no_history")["customer_id"].to_list() == ["0", "zoe"]
        assert (Base.load(paths.SCORING).lists, capsys.readouterr().out.strip()) == (base.lists, says)
        assert not list(paths.SCORES.parent.glob(".unfinished*"))
