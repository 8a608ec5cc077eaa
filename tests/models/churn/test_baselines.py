"""What every model must beat, checked by hand."""

import json

import numpy as np
import pandas as pd
import pytest
from company import with_columns

from fedelta.models.churn.baselines import (
    Logistic,
    Term,
    btyd_churn,
    fit_hiatus,
    fit_logistic,
    values_of,
)
from fedelta.models.encoding import MissingFeatures
from fedelta.models.metrics.metrics import auc
from fedelta.models.panel import Panel


def test_the_hiatus_rule_finds_a_longer_silence_riskier(train: Panel, to_score: pd.DataFrame):
    rule = fit_hiatus(train, "inactivity")
    risk = pd.Series(rule.churn_probability(to_score), index=to_score["days_since_last_purchase"])
    assert risk.sort_index().is_monotonic_increasing


def test_the_hiatus_rule_predicts_the_base_rate_on_average(train: Panel):
    rule = fit_hiatus(train, "inactivity")
    assert rule.churn_probability(train.table).mean() == pytest.approx(train.churned("inactivity").mean(), abs=1e-3)


def test_logistic_regression_knows_more_than_the_silence(train: Panel):
    left = train.churned("inactivity")
    silence, regression = (
        fit(train, "inactivity").churn_probability(train.table) for fit in (fit_hiatus, fit_logistic)
    )
    assert auc(left, regression) > auc(left, silence) > 0.5


def test_a_baseline_comes_back_from_json_and_says_the_same(train: Panel, to_score: pd.DataFrame):
    model = fit_logistic(train, "inactivity")
    again = Logistic.from_dict(json.loads(json.dumps(model.to_dict(), allow_nan=False)))
    assert again == model
    assert again.churn_probability(to_score).tolist() == model.churn_probability(to_score).tolist()


def test_what_is_unknown_counts_as_average(train: Panel):
    some_unknown = train.table["purchase_overdue_ratio"].where(np.arange(len(train)) % 2 > 0)
    model = fit_logistic(with_columns(train, purchase_overdue_ratio=some_unknown), "inactivity")
    position = [term.column for term in model.terms].index("purchase_overdue_ratio")
    average = float(np.expm1(model.mean[position]))
    row = train.table.head(1)
    unknown, usual = (row.assign(purchase_overdue_ratio=value) for value in (np.nan, average))
    assert model.churn_probability(unknown) == pytest.approx(model.churn_probability(usual))


def test_contributions_are_weight_times_distance_from_the_mean():
    terms, ends = (Term("days", "plain"), Term("plan", "is", "gold")), ((0.0, 0.0), (14.0, 1.0))
    model = Logistic(terms, *ends, (10.0, 0.5), (2.0, 0.5), (3.0, -1.0), 0.25)
    parts = model.contributions(pd.DataFrame({"days": [20.0, np.nan], "plan": ["gold", None]}))
    assert {name: part.tolist() for name, part in parts.items()} == {
        "base": [0.25, 0.25],
        "days": [6.0, 0.0],  # 3 × (14 − 10) / 2, as no row learned from had more than 14; unknown is average
        "plan": [-1.0, 1.0],
    }


def test_a_term_is_a_logarithm_perhaps_up_to_a_limit_or_a_product_of_two():
    table = pd.DataFrame({"silence": [0.0, 1.0, 7.0, np.nan], "orders": [1.0, 3.0, 0.0, 1.0]})
    expected = {
        Term("silence", "log"): [0, np.log(2), np.log(8)],
        Term("silence", "log", most=3.0): [0, np.log(2), np.log(4)],
        Term("silence", "log", times="orders"): [0, np.log(2) * np.log(4), 0],
    }
    for term, values in expected.items():
        assert term.of(table)[:3] == pytest.approx(values)
        assert np.isnan(term.of(table)[3])


def test_a_category_is_met_or_not_and_null_is_none_of_them():
    table = pd.DataFrame({"plan": ["gold", None, "tin", "gold"], "days": [1.0, 2.0, 3.0, 4.0]})
    gold, tin, unseen, days = (
        Term("plan", "is", "gold"),
        Term("plan", "is", "tin"),
        Term("plan", "is", "no"),
        Term("days"),
    )
    values = values_of(table, [gold, days, tin, unseen])
    assert {term: held.tolist() for term, held in values.items()} == {
        gold: [1, 0, 0, 1],
        days: [1, 2, 3, 4],
        tin: [0, 0, 1, 0],
        unseen: [0, 0, 0, 0],
    }
    assert all(term.of(table).tolist() == held.tolist() for term, held in values.items())


def test_to_the_regression_a_small_chance_and_a_silence_long_overdue_say_no_more(train: Panel, to_score: pd.DataFrame):
    model = fit_logistic(train, "inactivity")
    row = to_score.head(1)
    for column, near, limit, beyond in (
        ("pareto_p_any", 0.1, 0.05, 1e-9),
        ("bg_p_any", 0.1, 0.05, 0.0),
        ("purchase_overdue_ratio", 3.0, 4.0, 5e6),
    ):
        before, at, after = (model.log_odds(row.assign(**{column: value}))[0] for value in (near, limit, beyond))
        assert before != at == after


def test_a_column_that_only_multiplies_another_is_missed_too():
    model = Logistic((Term("silence", "log", times="orders"),), (0.0,), (9.0,), (0.0,), (1.0,), (1.0,), 0.0)
    with pytest.raises(MissingFeatures, match="orders"):
        model.log_odds(pd.DataFrame({"silence": [1.0]}))


def test_a_declared_attribute_is_a_term_of_its_own(train: Panel):
    plans = np.where(train.churned("inactivity") > 0, "tin", "gold")
    model = fit_logistic(with_columns(train, attribute_plan=plans, attribute_constant=1.0), "inactivity")
    assert {term.level for term in model.terms if term.column == "attribute_plan"} == {"tin", "gold"}
    assert "attribute_constant" not in {term.column for term in model.terms}


def test_btyd_churn_is_the_chance_of_no_purchase_and_never_certain():
    table = pd.DataFrame({"pareto_p_any": [0.25, 0.0, 1.0], "bg_p_any": [0.5, 0.5, 0.5]})
    assert btyd_churn(table, "pareto") == pytest.approx([0.75, 1 - 1e-6, 1e-6])
    assert btyd_churn(table, "bg") == pytest.approx([0.5] * 3)
