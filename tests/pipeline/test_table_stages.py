"""A table of customers through every real stage, and other customers scored by its bundle."""

import json

import numpy as np
import polars as pl
import pytest
from table_project import HEADER, SOURCE, SQL, Gym, members
from tiny_project import inside

from fedelta.features.contract import SCORES
from fedelta.features.errors import FedeltaError
from fedelta.models.churn.settings import TuneSettings
from fedelta.models.what_if import NothingToChange
from fedelta.pipeline import (
    build_features,
    evaluate,
    experience,
    fairness,
    fit_btyd,
    ingest,
    leak_check,
    model_card,
    monitor,
    paths,
    report,
    score,
    train_churn,
    train_clv,
    train_leaving,
    train_loyalty,
    train_next,
)
from fedelta.pipeline.commands import backtest, tune
from fedelta.pipeline.commands.explain import explain
from fedelta.pipeline.commands.score_population import CannotScore
from fedelta.pipeline.commands.score_population import main as score_population

STAGES = (
    ingest, build_features, experience, fit_btyd, leak_check, train_churn, train_clv, train_leaving,
    train_loyalty, train_next,
    evaluate, score, fairness, report, monitor, model_card,
)  # fmt: skip


def run(gym: Gym):
    with inside(gym.write()):
        for stage in STAGES:
            stage.main()
    return gym.folder


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return run(Gym(tmp_path_factory.mktemp("gym"), members()))


def read(folder, path):
    return json.loads((folder / path).read_text())


def scores_of(folder):
    return pl.read_parquet(folder / paths.SCORES)


def test_everybody_has_a_row_and_who_left_is_not_scored(project):
    scores, customers = scores_of(project), pl.read_parquet(project / paths.CUSTOMERS)
    assert scores.schema == SCORES
    both = scores.join(customers.select("customer_id", "churned", "value", "opted_out"), on="customer_id")
    assert len(both) == len(scores) == 400
    assert (both.filter(pl.col("churned"))["status"] == "already_churned").all()
    rest = both.filter(~pl.col("churned").fill_null(False))
    assert (rest["status"] == "scored").all()
    assert rest["churn_probability"].is_between(0, 1).all()
    assert (both.filter("opted_out")["suppression_reason"] == "opted out").all()


def test_labelled_customers_get_their_out_of_fold_probability_and_others_the_delivered_models(project):
    scored = scores_of(project).filter(status="scored")
    evaluation = pl.read_parquet(project / paths.EVALUATION)
    both = scored.join(evaluation.select("customer_id", "churn_chosen"), on="customer_id", how="left")
    labelled = both.filter(pl.col("churn_chosen").is_not_null())
    assert (labelled["churn_probability"] == labelled["churn_chosen"]).all()
    assert len(both) - len(labelled) == 40


def test_value_at_risk_goes_by_the_value_that_the_company_says(project):
    both = scores_of(project).filter(status="scored").join(pl.read_parquet(project / paths.CUSTOMERS), on="customer_id")
    expected = both["churn_probability"] * both["value"]
    assert np.allclose(both["value_at_risk"], expected)
    assert (both["currency"] == "EUR").all()
    assert both["clv_expected"].null_count() == len(both)


def test_what_a_table_does_not_hold_is_null_and_never_zero(project):
    scores = scores_of(project)
    for name in ("bad_experiences_90d", "open_issue", "p_alive", "loyalty_class", "persona", "last_bad_experience_at"):
        assert scores[name].null_count() == len(scores), name


def test_the_evaluation_is_cross_fitted_and_says_so(project):
    found = read(project, paths.EVALUATION_REPORT)
    assert found["cross_fitted_folds"] == 5
    assert found["rows"] == 360
    assert found["churn"]["chosen"]["auc"]["value"] > 0.6
    assert not (project / paths.CHURN_EVALUATED).exists()
    card, page = ((project / path).read_text() for path in (paths.MODEL_CARD, paths.REPORT))
    assert "cross-fitting in 5 folds" in card
    assert "cross-fitting: in 5 folds" in page


def test_leaving_by_the_number_of_complaints_and_what_the_column_adds_are_in_the_report(project):
    (column,) = read(project, paths.EXPERIENCE_REPORT)["counts"]["columns"]
    assert column["name"] == "complaints"
    shares = [step["share"] for step in column["steps"]]
    assert shares[-1] > shares[0]
    gain = read(project, paths.EVALUATION_REPORT)["bad_experience_gain"]
    assert gain["auc"]["low"] <= gain["auc"]["value"] <= gain["auc"]["high"]
    page = (project / paths.REPORT).read_text()
    assert "Bad experiences and leaving" in page
    assert "Moments of truth</h2>" not in page


def test_reasons_tell_complaints_under_bad_experiences(project):
    reasons = scores_of(project)["reasons"].drop_nulls().explode().struct.unnest()
    complaints = reasons.filter(pl.col("text").str.starts_with("Complaints:"))
    assert len(complaints)
    assert set(complaints["theme"]) == {"experience"}


def test_the_monitor_compares_who_has_no_label_with_those_learned_from(project):
    found = read(project, "reports/drift.json")
    names = [check["name"] for check in found["checks"]]
    assert names == ["inputs", "performance"]
    assert found["performance"][0]["role"] == "cross-fitted"


def test_other_customers_are_scored_without_training(project, capsys):
    others = project / "others"
    others.mkdir()
    rows = [row.rsplit(",", 1)[0] for row in members(30, seed=9, first=900)]
    rows[4] = rows[4].replace("monthly", "weekly").replace("yearly", "weekly")
    (others / "april.csv").write_text("\n".join([HEADER.removesuffix(",left_us"), *rows]) + "\n")
    with inside(project):
        before = (project / paths.SCORES).read_bytes()
        score_population(others, None, None)
        assert (project / paths.SCORES).read_bytes() == before
    found = pl.read_parquet(project / "data/scored/others.parquet")
    assert found.schema == SCORES
    assert (found["status"] == "scored").sum() == 30
    warned = capsys.readouterr().err
    assert "attribute_plan: 1 rows hold categories that the model never met" in warned
    assert "'weekly' (1)" in warned


def test_a_score_does_not_depend_on_who_else_is_in_the_files(project):
    one = project / "one"
    one.mkdir()
    (one / "m.csv").write_text("\n".join([HEADER, members(30, seed=9, first=900)[7]]) + "\n")
    many = project / "many"
    many.mkdir()
    (many / "m.csv").write_text("\n".join([HEADER, *members(30, seed=9, first=900)]) + "\n")
    with inside(project):
        for folder in (one, many):
            score_population(folder, None, "2024-05-01")
    alone, among = (pl.read_parquet(project / f"data/scored/{name}.parquet") for name in ("one", "many"))
    same = among.filter(pl.col("customer_id") == alone["customer_id"].item())
    columns = ["customer_id", "as_of", "churn_probability", "value_at_risk"]
    assert alone.select(columns).equals(same.select(columns))


def test_customers_of_whom_nobody_knows_the_worth_are_scored_without_it(project):
    poor = project / "poor"
    poor.mkdir()
    rows = [row.split(",") for row in members(30, seed=9, first=900)]
    (poor / "m.csv").write_text("\n".join([HEADER, *(",".join([*row[:3], "", *row[4:]]) for row in rows)]) + "\n")
    with inside(project):
        score_population(poor, None, None)
    found = pl.read_parquet(project / "data/scored/poor.parquet").filter(pl.col("status") == "scored")
    assert found["churn_probability"].null_count() == 0
    assert found["value_at_risk"].null_count() == len(found)


def test_nobody_is_scored_as_of_a_day_to_come(project):
    with inside(project), pytest.raises(FedeltaError, match="--at is 2999-01-01, which is yet to come"):
        score_population(project / "data/raw", None, "2999-01-01")


def test_customers_of_another_kind_come_with_a_warning(project, capsys):
    rich = project / "rich"
    rich.mkdir()
    rows = [row.split(",") for row in members(200, seed=9, first=900)]
    for row in rows:
        row[6] = str(float(row[6].strip() or 0) + 500)
    (rich / "m.csv").write_text("\n".join([HEADER, *map(",".join, rows)]) + "\n")
    with inside(project):
        score_population(rich, None, None)
    warned = capsys.readouterr().err
    assert "differ widely from those learned from" in warned
    assert "attribute_fee" in warned


def test_the_projects_own_scores_are_never_overwritten(project):
    with inside(project), pytest.raises(CannotScore, match="--out"):
        score_population(project / "data/raw", paths.SCORES, None)


def test_a_bundle_that_reads_what_the_source_no_longer_yields_is_refused(project):
    source = project / "sources/gym"
    try:
        (source / "source.yaml").write_text(SOURCE.replace("  city: { type: categorical, says: city }\n", ""))
        (source / "customers.sql").write_text(SQL.replace("city, ", ""))
        with inside(project), pytest.raises(CannotScore, match="trained on attribute_city"):
            score_population(project / "data/raw", project / "x.parquet", None)
    finally:
        Gym(project, members()).write()


def test_spend_of_a_table_is_learned_and_measured_out_of_fold(tmp_path):
    sql = SQL.replace("worth AS value", "CASE WHEN left_us = 'true' THEN 0 ELSE TRY_CAST(worth AS DOUBLE) END AS spend")
    gym = Gym(tmp_path, members(400, unlabelled=0), sql=sql)
    folder = run(gym)
    found = read(folder, paths.EVALUATION_REPORT)
    assert found["clv"]["chosen"]["rmse"]["value"] > 0
    scored = scores_of(folder).filter(status="scored")
    assert scored["clv_expected"].null_count() == 0


def test_a_score_is_explained_and_says_when_it_is_not_the_delivered_models(project):
    scored = scores_of(project).filter(status="scored")
    learned = set(pl.read_parquet(project / paths.EVALUATION)["customer_id"])
    with inside(project):
        labelled = next(name for name in scored["customer_id"] if name in learned)
        other = next(name for name in scored["customer_id"] if name not in learned)
        assert "by a model that did not learn from this customer" in explain(labelled).caution
        plain = explain(other)
        assert "did not learn" not in plain.caution
        row = scored.filter(customer_id=other)
        assert plain.now.churn_probability == pytest.approx(row["churn_probability"].item(), abs=1e-9)
        with pytest.raises(NothingToChange, match="a table without a history"):
            explain(other, "without")


def test_what_needs_a_history_says_that_there_is_none(project):
    with inside(project):
        with pytest.raises(FedeltaError, match="kind: table has none"):
            backtest.main("2024-01-01")
        with pytest.raises(FedeltaError, match="as in a table of customers"):
            tune.main(TuneSettings(trials=1), candidate="lightgbm")
