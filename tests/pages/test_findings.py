"""The report says plainly whom the model beats, whom not, and how the past may mislead."""

from datetime import date
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedelta.features.registry import FEATURES
from fedelta.models.churn.baselines import BASELINES
from fedelta.models.churn.candidates import candidates
from fedelta.models.churn.selection import MINIMUM_RELEVANT_DIFFERENCE
from fedelta.models.panel import PRIOR_FEATURES
from fedelta.models.value.value_trees import OrdersName, SpendName
from fedelta.pages.findings import (
    CHURN,
    DECIDES,
    VALUE,
    base_rates,
    beaten,
    by_theme,
    candidate,
    comparisons,
    drift,
    importances,
    in_order,
    listed,
    losses,
    name_of,
    short_horizons,
    untested,
    verdict,
    why,
)

LOSS, RMSE = DECIDES["churn"], DECIDES["clv"]
R2 = next(metric for metric in VALUE if metric.name == "r2")


def against(**intervals: tuple[float, float]) -> dict[str, dict[str, dict[str, float]]]:
    """Differences of the log loss, by rival."""
    return {
        name: {"log_loss": {"value": (low + high) / 2, "low": low, "high": high}}
        for name, (low, high) in intervals.items()
    }


def verdict_on(**intervals: tuple[float, float]) -> str:
    return verdict(comparisons(against(**intervals), LOSS), LOSS)


def test_a_model_that_beats_all_is_reported_to():
    words = verdict_on(**dict.fromkeys(BASELINES, (-0.2, -0.1)), pareto_nbd=(-0.05, -0.01))
    assert words == (
        "On log loss the model beats all 7 baselines: a constant (the base rate), tenure alone, days since the last "
        "activity, the customer's own past rate, days since the last purchase, logistic regression and Pareto/NBD."
    )


@given(st.sets(st.sampled_from(BASELINES), min_size=1))
def test_who_beats_all_that_were_compared_is_not_reported_to_beat_all_where_a_simple_one_was_left_out(names):
    words = verdict_on(**dict.fromkeys(names, (-0.2, -0.1)), pareto_nbd=(-0.05, -0.01))
    absent = set(BASELINES) - names
    assert ("all 7 baselines" in words) == (not absent)
    assert (f"beats the {len(names) + 1} baselines that could be compared" in words) == bool(absent)
    left_out = words.partition("Not compared: ")[2]
    assert {name for name in BASELINES if name_of(name) in left_out} == absent


def test_a_difference_that_may_be_luck_is_no_victory():
    words = verdict_on(hiatus=(-0.2, -0.1), logistic=(-0.02, 0.01), pareto_nbd=(-0.02, 0.0))
    assert words == (
        "On log loss the model beats days since the last purchase. It is not shown to beat logistic regression or "
        "Pareto/NBD: the interval includes 0, so these rows give no reason to prefer the model."
    )


def test_a_baseline_that_wins_is_recommended():
    words = verdict_on(hiatus=(0.01, 0.02))
    assert words == (
        "On log loss the model beats no baseline. It is worse than days since the last purchase: use that instead, and "
        "look for the reason."
    )


def test_a_metric_that_a_baseline_wins_is_reported_though_another_decides():
    rows = against(logistic=(-0.2, -0.1), uncalibrated=(-0.2, -0.1))
    rows["logistic"]["auc"] = {"value": -0.01, "low": -0.02, "high": -0.005}
    rows["uncalibrated"]["auc"] = {"value": -0.01, "low": -0.02, "high": -0.005}
    assert losses(rows, CHURN) == "On AUC it is worse than logistic regression."
    assert losses(against(hiatus=(-0.2, 0.1)), CHURN) == ""


def test_parts_of_the_model_are_no_baselines():
    found = comparisons(against(uncalibrated=(-0.3, -0.2), hiatus=(-0.2, -0.1)), LOSS)
    assert [row.kind for row in found] == ["baseline", "part"]
    assert beaten(found) == (1, 1)
    assert verdict_on(uncalibrated=(-0.3, -0.2)) == "No baseline could be compared on log loss."


def test_unchanged_predictions_are_identical_and_no_victory():
    (row,) = comparisons(against(hiatus=(0.0, 0.0)), LOSS)
    assert row.outcome == "identical"
    assert "not shown to beat days since the last purchase" in verdict_on(hiatus=(0.0, 0.0))


def test_higher_is_better_where_the_metric_says_so():
    rows = {"pareto_nbd": {"r2": {"value": 0.2, "low": 0.1, "high": 0.3}}}
    assert comparisons(rows, R2)[0].outcome == "better"
    assert comparisons({"pareto_nbd": {"rmse": {"value": 2, "low": 1, "high": 3}}}, RMSE)[0].outcome == "worse"


def test_a_metric_without_meaning_is_not_compared():
    assert comparisons({"hiatus": {"log_loss": {"value": None, "low": None, "high": None}}}, LOSS) == []
    assert comparisons({"hiatus": {}}, LOSS) == []


@given(st.floats(-1, 1), st.floats(0, 1))
def test_a_win_is_never_claimed_when_the_interval_holds_zero(low, width):
    (row,) = comparisons(against(hiatus=(low, low + width)), LOSS)
    assert (row.outcome == "better") == (low + width < 0 and row.value <= -MINIMUM_RELEVANT_DIFFERENCE)
    assert (row.outcome == "worse") == (low > 0 and row.value >= MINIMUM_RELEVANT_DIFFERENCE)


def test_a_difference_below_the_minimum_relevant_one_is_neither_victory_nor_defeat():
    words = verdict_on(hiatus=(-0.2, -0.1), pareto_nbd=(0.000002, 0.000004), logistic=(-0.0019, -0.0015))
    assert words == (
        "On log loss the model beats days since the last purchase. It is as good as Pareto/NBD and logistic "
        "regression: they differ by less than 0.002."
    )
    assert "worse than Pareto/NBD" in verdict_on(pareto_nbd=(0.0019, 0.0023))
    auc = {"pareto_nbd": {"auc": {"value": -0.0005, "low": -0.0006, "high": -0.0004}}}
    assert losses(auc, CHURN) == ""


def test_a_baseline_that_was_chosen_is_the_model_and_not_its_rival():
    rows = against(hiatus=(-0.2, -0.1), pareto_nbd=(-0.05, -0.01))
    rows["pareto_nbd"]["brier"] = {"value": 1e-9, "low": 1e-10, "high": 2e-9}
    found = comparisons(rows, LOSS, "pareto_nbd")
    words = "The model is Pareto/NBD. On log loss the model beats the one baseline that could be compared: days since"
    assert verdict(found, LOSS).startswith(words)
    assert beaten(found) == (1, 1)
    assert losses(rows, CHURN, "pareto_nbd") == ""
    assert "it is worse than Pareto/NBD" in losses(rows, CHURN)
    only = comparisons(against(pareto_nbd=(0.000002, 0.000004)), LOSS, "pareto_nbd")
    assert verdict(only, LOSS) == "The model is Pareto/NBD."


def test_a_calibration_that_spoils_the_chosen_baseline_is_reported():
    found = comparisons(against(pareto_nbd=(0.01, 0.02)), LOSS, "pareto_nbd")
    assert "It is worse than Pareto/NBD" in verdict(found, LOSS)


def facts(*rates: float, days: int = 90) -> list[dict[str, object]]:
    return [{"cutoff": "2024-01-01", "rows": 10, "churn_rate": rate, "horizon_days": days} for rate in rates]


@pytest.mark.parametrize(("rate", "words"), [(0.5, "within"), (0.61, "above all"), (0.39, "below all")])
def test_a_churn_rate_outside_the_past_is_a_warning(rate, words):
    assert f"It lies {words}" in drift(facts(0.4, 0.6), rate, 90)


def test_churn_rates_over_other_horizons_are_not_compared():
    assert "It lies above all" in drift([*facts(0.4), *facts(0.9, days=180)], 0.5, 90)
    assert "is unknown" in drift(facts(0.4, days=60), 0.5, 90)


def rates(*training: tuple[str, float, int], scored: str | None = None) -> list[tuple[str, str | None]]:
    """Each cutoff beside the one a year before; the last of `training` is the evaluation cutoff."""
    rows = [{"cutoff": day, "churn_rate": rate, "horizon_days": days, "rows": 10} for day, rate, days in training]
    found = base_rates(rows[:-1], rows[-1], (date.fromisoformat(scored), 9) if scored else None)
    return [(row.cutoff, row.year_before and row.year_before.cutoff) for row in found]


def test_each_cutoff_stands_beside_the_nearest_of_the_same_weeks_a_year_before():
    assert rates(
        ("2023-09-08", 0.4, 90), ("2023-11-07", 0.5, 90), ("2024-09-10", 0.5, 90), ("2024-10-20", 0.6, 90),
        scored="2025-01-10",
    ) == [
        ("2023-09-08", None), ("2023-11-07", None), ("2024-09-10", "2023-09-08"), ("2024-10-20", "2023-11-07"),
        ("2025-01-10", None),
    ]  # fmt: skip


def test_the_rate_to_come_has_that_of_a_year_before_the_scoring_cutoff():
    training = [{"cutoff": "2024-01-06", "churn_rate": 0.466, "horizon_days": 90, "rows": 11}]
    metrics = {"cutoff": "2024-10-02", "churn_rate": 0.556, "horizon_days": 90, "rows": 12}
    *_, row = base_rates(training, metrics, (date(2024, 12, 31), 13))
    assert (row.use, row.rows, row.churn_rate) == ("score", 13, None)
    assert row.year_before is not None
    assert row.year_before.churn_rate == 0.466


def test_over_another_horizon_or_more_than_a_month_off_it_is_not_the_same_season():
    assert rates(("2023-10-02", 0.4, 60), ("2024-10-02", 0.5, 90))[-1] == ("2024-10-02", None)
    assert rates(("2023-09-01", 0.4, 90), ("2024-10-02", 0.5, 90))[-1] == ("2024-10-02", None)
    assert rates(("2023-09-03", 0.4, 90), ("2024-10-02", 0.5, 90))[-1] == ("2024-10-02", "2023-09-03")
    assert rates(("2022-10-02", 0.4, 90), ("2024-10-02", 0.5, 90))[-1] == ("2024-10-02", None)


def test_models_whose_candidates_were_not_compared_are_named_with_the_reason():
    chosen, untested_model = (
        {"note": "Tested.", "selection": [{}]},
        {"note": "Too little to learn from.", "selection": []},
    )
    assert untested(untested_model, {"spend": chosen, "orders": untested_model}) == [
        "Who leaves: Too little to learn from.", "Orders: Too little to learn from.",
    ]  # fmt: skip
    assert untested(chosen, {"spend": None, "orders": chosen}) == []


def test_costs_that_are_not_the_companys_own_are_reported_to_be_the_papers():
    of_money = [metric for metric in CHURN if "profit" in metric.says]
    assert {metric.name for metric in of_money} == {"profit_at_capacity", "empc"}
    assert all("paper" in metric.says for metric in of_money)


def test_every_candidate_has_a_name_for_readers():
    names = {*candidates(), *get_args(OrdersName), *get_args(SpendName)}
    assert not [name for name in names if candidate(name) == name]
    assert (
        why("ranks significantly worse than pareto_gg") == "ranks significantly worse than Pareto/NBD with Gamma-Gamma"
    )


def test_short_training_horizons_are_a_warning_and_whole_ones_are_not():
    assert "as little as 60 days, for a prediction over 90" in str(short_horizons(facts(0.5, days=60), 90))
    assert short_horizons(facts(0.5), 90) is None


def test_importance_is_reported_by_feature_and_sums_by_theme():
    shares = {"spend": 0.25, "pareto_p_any": 0.5, "attribute_plan": 0.25, "interaction_count": 0.0}
    rows = importances(shares)
    assert [row.name for row in rows] == ["pareto_p_any", "attribute_plan", "spend"]
    assert dict(by_theme(rows)) == {"rhythm": 0.5, "attributes": 0.25, "purchases": 0.25}
    assert rows[1].says == "plan"


def test_every_column_a_model_can_use_has_words():
    names = [*(feature.name for feature in FEATURES), *PRIOR_FEATURES]
    for row in importances(dict.fromkeys(names, 0.01)):
        assert " " in row.says


def test_the_model_stands_first_its_rivals_next_its_parts_last():
    assert in_order(["tweedie", "pareto_nbd", "chosen"]) == ["chosen", "pareto_nbd", "tweedie"]


def test_lists_read_as_sentences_do():
    assert [listed(["a"]), listed(["a", "b"]), listed(["a", "b", "c"], "or")] == ["a", "a and b", "a, b or c"]


def test_the_metrics_shown_are_those_measured():
    from fedelta.models.metrics.metrics import CHURN_METRICS, VALUE_METRICS

    assert {metric.name for metric in CHURN} == set(CHURN_METRICS)
    assert {metric.name for metric in VALUE} == set(VALUE_METRICS)
