"""A model that is better than customers usually are predictable is questioned, and its columns are named."""

from fedelta.models.too_good import questioned

IMPORTANCE = {"days_since_last_purchase": 0.3, "attribute_closing_code": 0.5, "spend": 0.15, "tenure_days": 0.05}


def measured(auc: float | None) -> dict[str, dict[str, dict[str, float | None]]]:
    return {"chosen": {"auc": {"value": auc, "low": auc, "high": auc}}}


def test_a_model_as_good_as_others_is_not_questioned():
    assert questioned(measured(0.97), IMPORTANCE) is None
    assert questioned(measured(None), IMPORTANCE) is None
    assert questioned({}, IMPORTANCE) is None


def test_a_model_above_the_limit_is_asked_for_its_three_most_important_columns_by_name():
    question = questioned(measured(0.987), IMPORTANCE)
    assert question is not None
    assert question.startswith("An AUC of 0.987 is higher")
    named = ["attribute_closing_code (closing code): 50%", "days_since_last_purchase", "spend"]
    places = [question.index(name) for name in named]
    assert places == sorted(places)
    assert "tenure_days" not in question
    assert "the figure stands" in question
