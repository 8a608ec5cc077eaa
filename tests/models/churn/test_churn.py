"""The churn model: the same from the same rows, a probability for everybody, calibrated on what it had not seen."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from company import with_columns, with_outcomes
from scipy.stats import rankdata

import fedelta.models.churn.model
from fedelta.models.churn.candidates import candidates, check_candidate, contributions, fit_blend
from fedelta.models.churn.model import ChurnModel, TooLittleData, fit_churn, too_little
from fedelta.models.churn.settings import BadCandidate, ChurnSettings, LargeSettings
from fedelta.models.churn.trees import Trees
from fedelta.models.encoding import MissingFeatures
from fedelta.models.learning.calibration import Calibrator
from fedelta.models.learning.competition import out_of_time_folds
from fedelta.models.learning.log_odds import btyd_log_odds, sigmoid
from fedelta.models.learning.season import Season
from fedelta.models.learning.settings import Prior
from fedelta.models.metrics.metrics import auc
from fedelta.models.minimum import Minimum
from fedelta.models.panel import Panel, horizon_end

SMALL = ChurnSettings(num_iterations=12, seeds=2, candidate="lightgbm")
AUTO = replace(SMALL, candidate="auto")


def fit(panel: Panel, settings: ChurnSettings = SMALL, horizon_days: int = 60) -> ChurnModel:
    return fit_churn(panel, settings, horizon_days=horizon_days, lead_days=0, threads=1)


def texts(model: ChurnModel) -> list[str]:
    ((_, trees),) = model.components
    assert isinstance(trees, Trees)
    return trees.ensemble.to_text()


def test_the_same_rows_grow_the_same_trees(train: Panel, churn: ChurnModel):
    again = fit(train)
    assert texts(again) == texts(churn)
    assert again.calibrator == churn.calibrator


def test_two_seeds_grow_two_different_boosters(churn: ChurnModel):
    first, second = texts(churn)
    assert first != second


def test_everybody_gets_a_probability_strictly_between_never_and_surely(churn: ChurnModel, to_score: pd.DataFrame):
    probability = churn.churn_probability(to_score)
    assert probability.shape == (len(to_score),)
    assert ((probability > 0) & (probability < 1)).all()


def test_it_ranks_customers_it_never_saw_better_than_chance(churn: ChurnModel, evaluated: Panel):
    assert auc(evaluated.churned("inactivity"), churn.churn_probability(evaluated.table)) > 0.65


def test_a_customer_is_scored_alone_as_among_others_and_in_any_order_of_columns(
    churn: ChurnModel, to_score: pd.DataFrame
):
    together = churn.churn_probability(to_score)
    backwards = to_score[to_score.columns[::-1]].iloc[::-1]
    assert churn.churn_probability(backwards)[::-1].tolist() == together.tolist()
    alone = [churn.churn_probability(to_score.iloc[[row]])[0] for row in range(20)]
    assert alone == together[:20].tolist()


def test_nobody_to_score_is_nobody_scored(churn: ChurnModel, to_score: pd.DataFrame):
    assert churn.churn_probability(to_score.head(0)).shape == (0,)


def test_calibration_keeps_the_rank_of_every_customer(
    churn: ChurnModel, building_churn: ChurnModel, to_score: pd.DataFrame
):
    for model in (churn, building_churn):
        raw, calibrated = model.log_odds(to_score), model.churn_probability(to_score)
        assert (np.diff(calibrated[np.argsort(raw, kind="stable")]) >= 0).all()
    assert rankdata(churn.log_odds(to_score)).tolist() == rankdata(churn.churn_probability(to_score)).tolist()


def test_a_column_the_model_knows_and_the_table_lacks_is_named(churn: ChurnModel, to_score: pd.DataFrame):
    lost = churn.encoding.names[0]
    with pytest.raises(MissingFeatures, match=rf"The model needs \['{lost}'\].*Rebuild it with `dvc repro"):
        churn.churn_probability(to_score.drop(columns=[lost]))


def test_an_unknown_category_and_an_unknown_value_are_scored_as_unknown(train: Panel, to_score: pd.DataFrame):
    plans = np.where(train.churned("inactivity") > 0, "tin", "gold")
    model = fit(with_columns(train, attribute_plan=plans))
    assert "attribute_plan" in model.encoding.categories
    known, never_seen, missing = (
        model.churn_probability(to_score.assign(attribute_plan=plan)) for plan in ("tin", "platinum", None)
    )
    assert never_seen.tolist() == missing.tolist()
    assert known.tolist() != missing.tolist()


@pytest.mark.parametrize(("purchases", "all_of_them"), [(0.0, "churned"), (1.0, "stayed")])
def test_when_everybody_left_or_nobody_did_the_baseline_is_used_and_it_says_why(
    train: Panel, to_score: pd.DataFrame, purchases: float, all_of_them: str
):
    same = with_outcomes(train, horizon_purchase_count=purchases, horizon_cancellation_count=1 - purchases)
    none = Minimum(customers=0, positives=0, negatives=0, span_days=0)
    for settings in (AUTO, replace(AUTO, minimum=none), replace(AUTO, definition="event")):
        model = fit(same, settings)
        assert model.name == ("tenure" if settings.definition == "event" else "pareto_nbd")
        assert f"training rows have the same outcome ({all_of_them}). So the baseline is used." in model.note
        probability = model.churn_probability(to_score)
        assert ((probability > 0) & (probability < 1)).all()
    with pytest.raises(TooLittleData, match="have the same outcome"):
        fit(same, replace(AUTO, too_little="refuse"))


def test_training_horizons_as_long_as_the_scored_one_take_btyd_as_features(churn: ChurnModel):
    assert churn.prior == "features"
    assert {"pareto_p_any", "bg_p_any"} <= set(churn.encoding.names)


def test_shorter_training_horizons_build_on_btyd_at_the_rows_own_horizon(
    building_churn: ChurnModel, short_panel: Panel, to_score: pd.DataFrame
):
    assert building_churn.prior == "init_score"
    ((_, trees),) = building_churn.components
    assert isinstance(trees, Trees)
    assert not any("pareto" in name for name in trees.encoding.names)
    raw = trees.ensemble.raw(trees.encoding.matrix(to_score))
    assert building_churn.log_odds(to_score) == pytest.approx(raw + btyd_log_odds(to_score))
    # What 30 days taught carries to 60: fewer stay away that long, as the prior knows.
    at = short_panel.of_role("evaluate").table
    shorter = at.assign(pareto_p_any=at["pareto_p_any"] / 2)
    assert building_churn.churn_probability(at).mean() < building_churn.churn_probability(shorter).mean()


@pytest.mark.parametrize("asked", ["features", "init_score"])
def test_how_btyd_enters_may_be_set(train: Panel, asked: Prior):
    assert fit(train, replace(SMALL, prior=asked, num_iterations=2)).prior == asked


def test_a_cancellation_is_not_what_btyd_predicts(short_panel: Panel):
    train = short_panel.of_role("train")
    cancelled = with_outcomes(train, horizon_cancellation_count=np.arange(len(train)) % 3 == 0)
    assert fit(cancelled, replace(SMALL, definition="event", num_iterations=2)).prior == "features"


def test_deep_trees_have_settings_of_their_own_and_unless_told_otherwise_those_they_always_had(train: Panel):
    asked = replace(SMALL, candidate="lightgbm_large", seeds=1)
    (text,) = texts(fit(train, asked))
    for line in (
        "num_iterations: 12", "learning_rate: 0.04", "num_leaves: 31", "min_data_in_leaf: 20", "bagging_fraction: 0.8",
        "feature_fraction: 0.7", "lambda_l2: 1",
    ):  # fmt: skip
        assert f"[{line}]" in text
    assert texts(fit(train, replace(asked, num_leaves=4, lambda_l2=50.0, bagging_fraction=0.5))) == [text]
    (other,) = texts(fit(train, replace(asked, lightgbm_large=LargeSettings(num_iterations=5, num_leaves=9))))
    assert "[num_iterations: 5]" in other
    assert "[num_leaves: 9]" in other


@pytest.mark.parametrize("name", ["pareto_nbd", "bg_nbd"])
def test_a_purchase_model_is_not_asked_about_cancellations(name: str):
    with pytest.raises(
        BadCandidate, match=rf"churn\.candidate is {name}, which predicts purchases.* or lightgbm_defaults\.$"
    ):
        check_candidate(ChurnSettings(definition="event", candidate=name))
    check_candidate(ChurnSettings(definition="event", candidate="lightgbm_large"))


@pytest.mark.parametrize(
    ("name", "table"), [("lightgbm_large", "short"), ("hiatus", "short"), ("pareto_nbd", "unknown")]
)
def test_a_candidate_asked_for_that_the_rows_do_not_allow_is_refused_with_those_they_do(
    train: Panel, short_panel: Panel, name: str, table: str
):
    unknown = with_columns(train, pareto_p_any=train.table["pareto_p_any"].mask(train.table.index % 2 == 0))
    rows = short_panel.of_role("train") if table == "short" else unknown
    with pytest.raises(BadCandidate, match=rf"churn\.candidate is {name}.* auto or one of .*logistic, lightgbm"):
        fit(rows, replace(SMALL, candidate=name))


def test_who_never_bought_has_no_prior_to_build_on(short_panel: Panel):
    train = short_panel.of_role("train")
    some_unknown = train.table["pareto_p_any"].where(np.arange(len(train)) % 5 > 0)
    assert fit(with_columns(train, pareto_p_any=some_unknown), replace(SMALL, num_iterations=2)).prior == "features"


def test_calibration_is_tested_only_on_outcomes_known_before_the_rows_it_tests(train: Panel):
    folds = list(out_of_time_folds(train))
    assert len(folds) == 2  # 240 and 300 days: by each, the outcomes of the cutoffs before are known
    for past, present in folds:
        (cutoff,) = present.cutoffs
        assert (horizon_end(past.table) <= cutoff).all()


def test_one_step_between_two_cutoffs_calibrates_nothing_though_their_levels_differ(train: Panel):
    two = train.where(train.table["cutoff"].isin(train.cutoffs[-2:]))
    outcomes = two.outcomes.copy()
    outcomes.loc[two.table["cutoff"] == two.cutoffs[1], "horizon_purchase_count"] *= two.table["customer_id"].map(
        lambda who: float(ord(who[-1]) % 2)
    )
    model = fit_churn(Panel(two.table, outcomes), SMALL, horizon_days=60, lead_days=0, threads=1)
    assert "those of one cutoff by what was known at it" in model.note
    assert model.calibrator.kind == "none"
    assert "one step in time may not come again" in model.calibrator.note


def test_where_no_cutoff_lies_after_anothers_horizon_nothing_is_calibrated_and_it_says_so(short_panel: Panel):
    model = fit(short_panel.of_role("train"), replace(SMALL, num_iterations=2))
    assert model.calibrator.kind == "none"
    assert "no training cutoff lies after the horizon of another" in model.calibrator.note


def test_the_refitted_model_is_the_candidate_that_was_chosen_and_every_rival_is_accounted_for(train: Panel):
    model = fit(train, AUTO)
    weights = {result.candidate: result.weight for result in model.selection}
    assert list(weights) == list(candidates())
    assert sum(weights.values()) == pytest.approx(1)
    assert sum(weight for weight, _ in model.components) == pytest.approx(1)
    weighed = [name for name, weight in weights.items() if weight]
    assert model.name == ("weighted_average" if len(weighed) > 1 else weighed[0])
    assert "out of time" in model.note


def test_figures_of_levels_set_right_are_said_not_to_be_those_of_use(train: Panel, monkeypatch: pytest.MonkeyPatch):
    assert "not those to expect in use" not in fit(train).note
    monkeypatch.setattr("fedelta.models.churn.model.seasonal", lambda *_: True)
    note = fit(train).note
    assert "later ones too" in note
    assert "level at every cutoff was set to what came" in note
    assert "not those to expect in use, for which see the evaluation" in note


def test_what_was_predicted_of_held_out_rows_is_not_fitted_again_for_the_season_and_is_the_same(
    train: Panel, monkeypatch: pytest.MonkeyPatch
):
    forecasts: list[tuple[np.ndarray, np.ndarray]] = []
    fits = [0]

    def counted(*given: Any, **named: Any) -> object:
        fits[-1] += 1
        return fit_blend(*given, **named)

    def known(_: object, both: tuple[np.ndarray, np.ndarray], *__: object, event: bool) -> Season:
        forecasts.append(both)
        return Season()

    def both_ways(*arguments: object) -> Season:
        for held_out in (arguments[-1], {}):
            fits.append(0)
            season = of_errors(*arguments[:-1], held_out)  # type: ignore[arg-type]
        return season

    of_errors = fedelta.models.churn.model._season
    monkeypatch.setattr("fedelta.models.churn.model.seasonal", lambda *_: True)
    monkeypatch.setattr("fedelta.models.churn.model._season", both_ways)
    monkeypatch.setattr("fedelta.models.churn.model.fit_season", known)
    monkeypatch.setattr("fedelta.models.churn.model.fit_blend", counted)
    fit(train, replace(AUTO, num_iterations=3))
    again, anew = forecasts
    assert np.array_equal(again, anew)
    assert 0 < fits[1] < fits[2]


def test_a_candidate_set_by_hand_is_not_said_to_be_the_best(churn: ChurnModel):
    assert [result.verdict for result in churn.selection] == [
        "set in params.yaml (churn.candidate), compared with none"
    ]


def test_calibration_and_season_add_up_from_the_log_odds_to_the_probability(churn: ChurnModel, to_score: pd.DataFrame):
    _, none = churn.shifts(to_score)
    assert none == pytest.approx(0, abs=1e-6)  # probabilities have seven significant digits
    season = Season(first=0.0, last=400.0, cosine=0.3, sine=0.2)
    model = replace(churn, calibrator=Calibrator("platt", 0.5, 1.2), season=season)
    calibration, shift = model.shifts(to_score)
    assert calibration == pytest.approx(0.5 + 0.2 * churn.log_odds(to_score), abs=1e-6)
    assert np.abs(shift).min() > 0.001
    assert sigmoid(model.log_odds(to_score) + calibration + shift) == pytest.approx(model.churn_probability(to_score))


def test_half_of_the_mean_is_the_regressions_and_half_the_trees(train: Panel, to_score: pd.DataFrame):
    mean, logistic, trees = (fit(train, replace(SMALL, candidate=name)) for name in ("blend", "logistic", "lightgbm"))
    expected = (logistic.log_odds(to_score) + trees.log_odds(to_score)) / 2
    assert mean.log_odds(to_score) == pytest.approx(expected, abs=1e-12)


def test_a_blend_averages_log_odds_by_the_weights_of_its_candidates(
    train: Panel, to_score: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
):
    rivals = ("pareto_nbd", "bg_nbd", "logistic", "lightgbm")  # of which none is the best in every resample
    monkeypatch.setattr(fedelta.models.churn.model, "competing", lambda *_: rivals)
    few = train.where(train.table["customer_id"].isin(sorted(train.table["customer_id"].unique())[:220]))
    model = fit(few, AUTO)
    assert model.name == "weighted_average"
    parts = {s.candidate: s.weight for s in model.selection if s.weight}
    alone = {name: fit(few, replace(SMALL, candidate=name)).log_odds(to_score) for name in parts}
    expected = sum(weight * alone[name] for name, weight in parts.items())
    assert model.log_odds(to_score) == pytest.approx(expected, abs=1e-12)
    assert sum(contributions(model.components, to_score).values()) == pytest.approx(expected, abs=1e-9)


def test_models_that_are_not_told_the_horizon_do_not_compete_on_short_ones(short_panel: Panel):
    model = fit(short_panel.of_role("train"), replace(AUTO, num_iterations=3))
    assert [result.candidate for result in model.selection] == ["pareto_nbd", "bg_nbd", "logistic", "lightgbm"]


def test_below_the_minimum_the_baseline_is_used_and_it_says_why(train: Panel, to_score: pd.DataFrame):
    few = train.where(train.table["customer_id"].isin(train.table["customer_id"].unique()[:60]))
    model = fit(few, AUTO)
    assert model.name == "pareto_nbd"
    assert model.note.startswith("Too little to learn from: 60 customers (at least 200)")
    assert model.churn_probability(to_score) == pytest.approx(1 - to_score["pareto_p_any"].to_numpy(), abs=1e-4)


def test_below_the_minimum_a_run_may_be_refused_in_one_line(train: Panel):
    few = train.where(np.arange(len(train)) % 40 == 0)
    with pytest.raises(TooLittleData, match=r"^Too little to learn from: .*lower churn\.minimum") as refused:
        fit(few, replace(AUTO, too_little="refuse"))
    assert "\n" not in str(refused.value)


def test_each_minimum_is_asked_for_by_itself(train: Panel):
    assert too_little(train, AUTO) == ""
    for name, words in (("customers", "customers"), ("positives", "that churned"), ("negatives", "that stayed")):
        assert words in too_little(train, replace(AUTO, minimum=replace(AUTO.minimum, **{name: 10_000})))
    assert "days of history" in too_little(train, replace(AUTO, minimum=Minimum(span_days=10_000)))


def test_a_handful_of_customers_is_enough_to_answer(train: Panel, to_score: pd.DataFrame):
    few = train.where(np.arange(len(train)) % 40 == 0)
    assert np.isfinite(fit(few).churn_probability(to_score)).all()
