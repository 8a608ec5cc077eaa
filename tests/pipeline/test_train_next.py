"""The stage of the next purchase in a small project: what it writes, what scores say, and why there may be nothing."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from tiny_project import CUTOFFS, inside, interactions, make

from fedelta.models.next_purchase.storage import load_next
from fedelta.pipeline import paths, score, train_next
from fedelta.pipeline.evaluate import NOT_MEASURED, headline_figures, next_report
from fedelta.pipeline.next_categories import next_categories
from fedelta.pipeline.next_rows import sample_of
from fedelta.pipeline.params import load_params
from fedelta.pipeline.train_next import BadHorizon, check_horizon, most_bought

GOODS = ("coats", "hats", "mugs", "shoes")


def with_topics(events: pl.DataFrame) -> pl.DataFrame:
    """The usual interactions, where each customer mostly buys of one category, and one in five never names any."""
    rng = np.random.default_rng(2)
    number = events["customer_id"].str.slice(1).cast(pl.Int64).to_numpy()
    place = np.where(rng.random(len(number)) < 0.7, number % 4, rng.integers(4, size=len(number)))
    topic = pl.Series(np.array(GOODS)[place])
    named = (pl.col("kind") == "purchase") & pl.Series(number % 5 != 0)
    return events.with_columns(topic=pl.when(named).then(topic))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("goods"), events=with_topics(interactions(400)))


def test_who_named_categories_is_recommended_three_and_who_did_not_is_told_why(project):
    with inside(project):
        scores = pl.read_parquet(paths.SCORES).filter(pl.col("status") == "scored")
    number = scores["customer_id"].str.slice(1).cast(pl.Int64)
    silent = scores.filter(number % 5 == 0)
    assert set(silent["next_categories_status"]) == {"no_purchase_yet"}
    assert silent["next_categories"].is_null().all()
    named = scores.filter(number % 5 != 0)
    assert set(named["next_categories_status"]) == {"predicted"}
    assert set(named["next_categories"].list.len()) == {3}
    first = named["next_categories"].list.first().struct.field("category")
    favourite = pl.Series(np.array(GOODS)[named["customer_id"].str.slice(1).cast(pl.Int64).to_numpy() % 4])
    assert (first == favourite).mean() > 0.8


def test_the_evaluated_fit_is_measured_and_its_hit_rate_is_a_headline(project):
    with inside(project):
        report = next_report(load_params())
        model, _ = load_next(paths.NEXT_EVALUATED)
    assert model is not None
    assert model.categories == GOODS
    assert report["next_rows"]["buyers"] > 50
    assert report["next_against"]["popularity"]["hit_rate_3"]["value"] > 0
    headline = headline_figures({"churn": {}, "clv": {}, **report})
    assert headline == {"hit_at_3": round(report["next"]["chosen"]["hit_rate_3"]["value"], 4)}


def test_the_number_of_buckets_changes_no_recommendation(project):
    with inside(project):
        one, many = (next_categories(paths.INTERACTIONS, CUTOFFS[-1].at, number)[0] for number in (1, 7))
    assert one.sort("customer_id").equals(many.sort("customer_id"))


def test_purchases_after_the_scoring_cutoff_change_no_delivered_model_and_no_recommendation(project, tmp_path):
    events = with_topics(interactions(400))
    last = events.filter(pl.col("kind") == "purchase").with_columns(
        pl.col("interaction_id") + "-later", occurred_at=pl.lit(CUTOFFS[-1].at), topic=pl.lit("mugs")
    )
    with inside(project):
        recommended, _ = next_categories(paths.INTERACTIONS, CUTOFFS[-1].at, 1)
        before = load_next(paths.NEXT_DELIVERED)[0]
        more = pl.concat([pl.read_parquet(paths.INTERACTIONS / "*.parquet").drop("customer_hash"), last])
    future = tmp_path / "future"
    other = make(future, events=more.sort("customer_id", "occurred_at", "interaction_id"))
    with inside(other):
        later, _ = next_categories(paths.INTERACTIONS, CUTOFFS[-1].at, 1)
        after = load_next(paths.NEXT_DELIVERED)[0]
    assert before is not None
    assert after is not None
    assert after.fitted.to_dict() == before.fitted.to_dict()
    assert later.sort("customer_id").equals(recommended.sort("customer_id"))


def test_purchases_without_topics_leave_null_with_the_reason(tmp_path):
    with inside(make(tmp_path / "plain", events=interactions(200))):
        scores = pl.read_parquet(paths.SCORES).filter(pl.col("status") == "scored")
        assert load_next(paths.NEXT_DELIVERED) == (None, "no_categories")
        assert next_report(load_params()) == NOT_MEASURED
    assert scores["next_categories"].is_null().all()
    assert set(scores["next_categories_status"]) == {"no_categories"}


def test_categories_that_too_few_buy_are_none(project, tmp_path):
    with inside(project):
        params = load_params()
        every = sample_of(1, 1, 1, params.next)
        assert most_bought(every, replace(params.next, categories=2, least_customers=1)) == sorted(
            every.group_by("category").agg(n=pl.col("customer_id").n_unique()).top_k(2, by="n")["category"]
        )
        rare = replace(params, next=replace(params.next, least_customers=10_000))
        assert train_next.train(train_next.looks_of("delivered", params), rare) == (None, "too_few_purchases")


def test_a_base_too_large_for_the_rows_is_learned_from_by_a_sample_of_whole_customers(project):
    with inside(project):
        few = sample_of(1_000_000, 3, 4, load_params().next)
        every = sample_of(1, 1, 1, load_params().next)
    assert 0 < few.height < 0.2 * every.height
    ids = few["customer_id"].unique()
    assert every.filter(pl.col("customer_id").is_in(ids.implode())).height == few.height


def test_a_horizon_longer_than_churns_is_refused_in_words(project):
    with inside(project):
        params = load_params()
    check_horizon(replace(params, next=replace(params.next, horizon_days=30)))
    with pytest.raises(BadHorizon, match=r"next\.horizon_days is 120; it must be at most horizon_days, 90"):
        check_horizon(replace(params, next=replace(params.next, horizon_days=120)))


def test_scoring_again_writes_the_same_recommendations(project):
    with inside(project):
        before = paths.SCORES.read_bytes()
        score.main()
        assert paths.SCORES.read_bytes() == before
