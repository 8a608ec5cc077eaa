"""A history too short for an evaluation cutoff: the figures come from cross-fitting, and say so."""

import json

import polars as pl
import pytest
from shop_project import make
from tiny_project import inside

from fedelta.pipeline import leak_check, model_card, monitor, paths, report


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = make(tmp_path_factory.mktemp("short"), horizon_days=380)
    with inside(folder):
        for stage in (leak_check, report, monitor, model_card):
            stage.main()
    return folder


def test_customers_at_the_last_cutoff_learned_from_are_predicted_by_models_of_others(project):
    found = json.loads((project / paths.EVALUATION_REPORT).read_text())
    assert found["cross_fitted_folds"] == 5
    evaluation = pl.read_parquet(project / paths.EVALUATION)
    features = pl.read_parquet(project / paths.FEATURES).filter(refit=True, status="scored")
    last = features["cutoff"].max()
    assert evaluation["cutoff"].unique().to_list() == [last]
    assert set(evaluation["customer_id"]) == set(features.filter(cutoff=last)["customer_id"])
    assert {"chosen", "pareto_nbd"} <= set(found["churn"])
    assert {"chosen", "as_before"} <= set(found["clv"])


def test_report_and_card_say_how_they_measured(project):
    for path in (paths.REPORT, paths.MODEL_CARD):
        assert "cross-fitting" in (project / path).read_text()


def test_scores_are_the_delivered_models_as_what_comes_is_not_known_to_it(project):
    scores = pl.read_parquet(project / paths.SCORES).filter(status="scored")
    assert len(scores) > 100
    assert not (project / paths.CHURN_EVALUATED).exists()
