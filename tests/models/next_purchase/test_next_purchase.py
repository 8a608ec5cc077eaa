"""The model of the next purchase: figures by hand, what it finds where something is planted, and its laws."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from fedelta.features.categories import categories_at
from fedelta.models.metrics.bootstrap import Resampling
from fedelta.models.next_purchase.associations import fit_associations
from fedelta.models.next_purchase.candidates import fit_candidates
from fedelta.models.next_purchase.evaluation import evaluate_next
from fedelta.models.next_purchase.measures import hit_rate, loss, ndcg
from fedelta.models.next_purchase.model import NextModel, fit_next, weigh
from fedelta.models.next_purchase.recommendations import recommend
from fedelta.models.next_purchase.rows import Rows
from fedelta.models.next_purchase.settings import NextSettings
from fedelta.models.next_purchase.storage import load_next, save_next

START = datetime(2025, 1, 1, tzinfo=UTC)
CATEGORIES = ("coats", "hats", "mugs", "scarves", "shoes")
THEN = {"coats": "scarves", "scarves": "hats", "hats": "coats", "mugs": "mugs", "shoes": "mugs"}
CUTOFFS = (240, 300, 360)
LATER = 420
HORIZON = 60
SMALL = NextSettings(num_iterations=30, min_data_in_leaf=20)


@pytest.fixture(scope="module")
def purchases() -> pl.DataFrame:
    """Of 600 customers who every month or so buy what `THEN` says of their last purchase, or anything."""
    rng, rows = np.random.default_rng(3), []
    for number in range(600):
        day, last = rng.uniform(0, 100), str(rng.choice(CATEGORIES))
        while day < 500:
            rows.append((f"c{number:03}", START + timedelta(days=float(day)), last))
            last = THEN[last] if rng.random() < 0.6 else str(rng.choice(CATEGORIES, p=[0.3, 0.1, 0.1, 0.1, 0.4]))
            day += rng.exponential(35) + 1
    names = ("customer_id", "occurred_at", "category")
    return pl.DataFrame(rows, schema=names, orient="row").with_columns(
        pl.col("occurred_at").cast(pl.Datetime("us", "UTC")), known_at=pl.lit(None, pl.Datetime("us", "UTC"))
    )


def rows_at(purchases: pl.DataFrame, *days: int) -> Rows:
    views = []
    for day in days:
        at = START + timedelta(days=day)
        view = categories_at(purchases, CATEGORIES, at, (at, at + timedelta(days=HORIZON)))
        views.append((view, {"cutoff": at.replace(tzinfo=None), "horizon_days": HORIZON, "lead_days": 0}))
    return Rows.of(views)


@pytest.fixture(scope="module")
def model(purchases: pl.DataFrame) -> NextModel:
    return fit_next(rows_at(purchases, *CUTOFFS), CATEGORIES, SMALL, horizon_days=HORIZON, lead_days=0)


# --- figures by hand -----------------------------------------------------------------------------------------------


def test_hit_rate_and_ndcg_of_three_customers_by_hand():
    score = np.array([[4.0, 3, 2, 1], [4, 3, 2, 1], [4, 3, 2, 1]])
    bought = np.array([[0.0, 0, 1, 1], [0, 0, 0, 1], [0, 0, 0, 0]])
    np.testing.assert_equal(hit_rate(score, bought), [1, 0, np.nan])
    ideal = 1 + 1 / np.log2(3)
    np.testing.assert_allclose(ndcg(score, bought), [0.5 / ideal, 0, np.nan])
    np.testing.assert_allclose(ndcg(bought[:1], bought[:1]), [1])


def test_equal_scores_go_by_the_order_of_the_categories():
    np.testing.assert_equal(hit_rate(np.zeros((1, 4)), np.array([[0.0, 0, 0, 1]])), [0])


def test_log_loss_is_the_mean_over_a_customers_categories():
    found = loss(np.array([[0.5, 0.25]]), np.array([[1.0, 0.0]]))
    np.testing.assert_allclose(found, [(np.log(2) - np.log(0.75)) / 2])


def test_associations_count_who_bought_what_after_what_and_shrink_to_popularity():
    bought = np.array([[1.0, 0], [1, 0], [0, 1], [0, 0]])
    count = np.array([[1.0, 0], [1, 0], [0, 1], [1, 1]])
    rows = Rows(
        rows_of_keys(4),
        {
            "category_count": count,
            "category_decayed_90d": count,
            "occasions_since_category": np.where(count > 0, 0, np.nan),
        },
        {},
        bought,
    )
    found = fit_associations(rows)
    np.testing.assert_allclose(found.popularity, [2.5 / 5, 1.5 / 5])
    np.testing.assert_allclose(found.after[0], [(2 + 50 * 0.5) / 53, (0 + 50 * 0.3) / 53], rtol=1e-6)
    np.testing.assert_allclose(found.by_history(rows)[3], (found.after[0] + found.after[1]) / 2, rtol=1e-6)


def rows_of_keys(n: int):
    import pandas as pd

    return pd.DataFrame({"customer_id": [f"c{k}" for k in range(n)], "cutoff": pd.Timestamp(2026, 1, 1)})


def test_weights_go_to_who_ranks_held_out_customers_best():
    rng = np.random.default_rng(1)
    bought = (rng.random((400, 4)) < 0.3).astype(float)
    good, bad = bought + rng.normal(0, 0.5, bought.shape), rng.normal(0, 1, bought.shape)
    ids = np.array([f"c{k}" for k in range(400)])
    weights, results = weigh({"lightgbm": good, "popularity": bad}, bought, ids)
    assert weights == {"lightgbm": 1.0}
    assert [result.weight for result in results] == [1.0, 0.0]
    assert results[1].ndcg_3_difference.high < 0
    same, _ = weigh({"own_last": bad, "popularity": bad}, bought, ids)
    assert same == {"own_last": 1.0}  # the first, that is the simpler, of two that never differ


# --- what is planted is found --------------------------------------------------------------------------------------


def test_where_one_purchase_leads_to_another_the_model_beats_popularity_and_own_frequency(purchases, model):
    report = evaluate_next(model, rows_at(purchases, LATER), Resampling(100))
    for rival in ("popularity", "own_frequency", "own_last"):
        assert report["next_against"][rival]["ndcg_3"]["low"] > 0, rival
    assert report["next"]["chosen"]["ece"]["value"] < 0.08
    assert set(model.weights) <= {"lightgbm", "blend"}
    assert sum(model.weights.values()) == pytest.approx(1, abs=1e-5)


def test_probabilities_are_as_frequent_as_they_say(purchases, model):
    later = rows_at(purchases, LATER)
    assert model.forecast(later).probability.mean() == pytest.approx(later.bought.mean(), abs=0.02)


def test_a_reason_states_what_the_customer_did_or_else_what_others_do(purchases, model):
    some = purchases.filter(pl.col("customer_id") < "c020")
    found = recommend(model, rows_at(some, LATER))
    assert found["next_categories"].list.len().to_list() == [3] * found.height
    for customer, best in found.iter_rows():
        mine = some.filter(pl.col("customer_id") == customer, pl.col("occurred_at") < START + timedelta(days=LATER))
        assert [one["probability"] for one in best] == sorted((one["probability"] for one in best), reverse=True)
        for one in best:
            own = mine.filter(pl.col("category") == one["category"])
            last = own["occurred_at"].max()
            if last is None:
                assert "of all" in one["reason"]
            else:
                assert one["reason"].endswith(f"on {last.day} {last:%b %Y}")


def test_a_rule_keeps_its_own_ranking(purchases):
    rows = rows_at(purchases, *CUTOFFS)
    odds = fit_candidates(rows, SMALL).log_odds(rows)
    assert (np.ptp(odds["popularity"], axis=0) == 0).all()
    held = rows.by_category["occasions_since_category"] == 0
    least_held = np.where(held, odds["own_last"], np.inf).min(axis=1)
    most_other = np.where(held, -np.inf, odds["own_last"]).max(axis=1)
    assert (least_held >= most_other).all()


# --- laws ----------------------------------------------------------------------------------------------------------


def test_one_customer_alone_gets_what_all_get_together(purchases, model):
    together = recommend(model, rows_at(purchases, LATER))
    for customer in together["customer_id"].head(12):
        alone = recommend(model, rows_at(purchases.filter(pl.col("customer_id") == customer), LATER))
        assert alone.row(0) == together.row(by_predicate=pl.col("customer_id") == customer)


def test_what_happens_after_the_last_horizon_changes_no_model(purchases, model):
    known = START + timedelta(days=CUTOFFS[-1] + HORIZON)
    earlier = fit_next(
        rows_at(purchases.filter(pl.col("occurred_at") < known), *CUTOFFS),
        CATEGORIES,
        SMALL,
        horizon_days=HORIZON,
        lead_days=0,
    )
    assert earlier.fitted.to_dict() == model.fitted.to_dict()
    assert earlier.fitted.ensemble.to_text() == model.fitted.ensemble.to_text()
    assert (earlier.weights, earlier.calibrator) == (model.weights, model.calibrator)


def test_a_saved_model_predicts_the_same_and_none_keeps_its_reason(purchases, model, tmp_path: Path):
    save_next(model, tmp_path / "some", None, {})
    loaded, reason = load_next(tmp_path / "some")
    assert reason is None
    assert loaded is not None
    later = rows_at(purchases, LATER)
    np.testing.assert_array_equal(loaded.forecast(later).probability, model.forecast(later).probability)
    assert loaded.selection == model.selection
    save_next(None, tmp_path / "none", "no_categories", {})
    assert load_next(tmp_path / "none") == (None, "no_categories")
