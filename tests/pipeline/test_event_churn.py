"""Churn by cancellation where payments are renewals: no purchases, and every stage runs up to the scores."""

from pathlib import Path

import duckdb
import hashed_project
import polars as pl
import pytest
from tiny_project import PARAMS, inside

from fedelta.pipeline import (
    build_features,
    evaluate,
    experience,
    fit_btyd,
    leak_check,
    monitor,
    paths,
    score,
    train_churn,
    train_clv,
    train_leaving,
    train_loyalty,
    train_next,
)
from fedelta.pipeline.buckets.shuffle import HASH, shuffle
from fedelta.pipeline.commands import explain  # fmt: skip

STAGES = (
    build_features, experience, fit_btyd, leak_check, train_churn, train_clv, train_leaving,
    train_loyalty, train_next, evaluate,
    score, monitor,
)  # fmt: skip


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Members who pay now and then. Every second cancels after the last payment; some of them complain or pay again."""
    folder = hashed_project.make(tmp_path_factory.mktemp("event") / "project", customers=400)
    text = PARAMS.replace("TREES", "5").replace("source: demo", "source: cdnow").replace("candidate: lightgbm", "")
    (folder / "params.yaml").write_text(text.replace("churn: {", "churn: {definition: event, "))
    with inside(folder):
        path = paths.INTERACTIONS / "part-00000.parquet"
        events = pl.read_parquet(path).filter(pl.col("kind") == "purchase").with_columns(kind=pl.lit("renewal"))
        last = pl.col("occurred_at") == pl.col("occurred_at").max().over("customer_id")
        number = pl.col("customer_id").str.slice(1).cast(pl.Int32)
        cancelled = events.filter(last & (number % 2 == 0)).with_columns(
            pl.col("occurred_at") + pl.duration(minutes=1),
            interaction_id=pl.format("{}-cancelled", "interaction_id"),
            kind=pl.lit("cancellation"),
            amount=pl.lit(None, pl.Decimal(18, 4)),
        )
        complained = cancelled.filter(number % 4 == 0).with_columns(
            pl.col("occurred_at") + pl.duration(minutes=1),
            interaction_id=pl.format("{}-complained", "interaction_id"),
            kind=pl.lit("complaint"),
        )
        back = cancelled.filter(number % 10 == 2).with_columns(
            pl.col("occurred_at") + pl.duration(minutes=2),
            interaction_id=pl.format("{}-back", "interaction_id"),
            kind=pl.lit("renewal"),
        )
        table = pl.concat([events, cancelled, complained, back])
        path.unlink()
        with duckdb.connect() as connection:
            connection.register("events", table.drop(HASH).to_arrow())
            shuffle(connection, "SELECT * FROM events", paths.INTERACTIONS)
    return folder


def test_every_stage_runs_without_a_purchase_and_says_what_it_left_out(
    project: Path, capsys: pytest.CaptureFixture[str]
):
    with inside(project):
        for stage in STAGES:
            stage.main()
        text = capsys.readouterr().out
        scores, kinds = pl.read_parquet(paths.SCORES), pl.read_parquet(paths.INTERACTIONS / "*.parquet")
    assert "fit_btyd: skipped, as no customer in scope has a purchase" in text
    assert "without orders: none are predicted" in text
    scored = scores.filter(pl.col("status") == "scored")
    assert scored["churn_probability"].is_between(0, 1).all()
    assert scored["churn_probability"].null_count() == 0
    assert scored["expected_orders"].null_count() == scored["p_alive"].null_count() == len(scored)
    assert (scored["clv_expected"] > 0).all(), "renewals are money"
    number = pl.col("customer_id").str.slice(1).cast(pl.Int32)
    everyone = kinds.select("customer_id").unique()
    assert len(scores.filter(number % 10 == 2)) > 10
    gone = scores.filter(pl.col("status") == "already_churned")["customer_id"].to_list()
    expected = everyone.filter((number % 2 == 0) & (number % 10 != 2))["customer_id"]
    assert sorted(gone) == sorted(expected), "who pays again is back; who only complains is not"


def test_a_score_without_purchases_can_be_explained(project: Path):
    with inside(project):
        who = pl.read_parquet(paths.SCORES).filter(pl.col("status") == "scored")["customer_id"][0]
        assert explain.explain(who).now.themes
