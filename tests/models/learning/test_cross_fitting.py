"""Cross-fitting: nobody is predicted by a model that saw them, their copy, or their label."""

import numpy as np
import pandas as pd
import pytest

from fedelta.models.learning.cross_fitting import copies_as_one, cross_fitted, customer_folds
from fedelta.models.panel import Panel


def panel_of(customers, cutoffs=("2024-01-01",), **attributes):
    """A panel of every customer at every cutoff; outcomes are all zero."""
    rows = [(c, pd.Timestamp(at)) for at in cutoffs for c in customers]
    table = pd.DataFrame(rows, columns=["customer_id", "cutoff"])
    for name, values in attributes.items():
        table[f"attribute_{name}"] = np.tile(values, len(cutoffs))
    return Panel(table, pd.DataFrame({"declared_churn": np.zeros(len(table))}))


def base_rate(past, present):
    """The simplest recipe: the share that churned among the rows learned from."""
    return {"chosen": np.full(len(present), past.churned("declared").mean())}


def labelled(panel, churned):
    return Panel(panel.table, pd.DataFrame({"declared_churn": np.asarray(churned, float)}))


def test_every_row_is_predicted_from_the_rows_of_other_folds_alone():
    panel = labelled(panel_of(["a", "b", "c", "d"]), [1, 0, 0, 0])
    found = cross_fitted(panel, base_rate, np.array([0, 0, 1, 1]))
    assert found["chosen"].tolist() == [0.0, 0.0, 0.5, 0.5]


@pytest.mark.parametrize("customer", range(0, 40, 7))
def test_a_customers_own_label_never_moves_their_own_prediction(customer):
    panel = panel_of([f"c{i}" for i in range(40)], x=np.arange(40.0))
    rng = np.random.default_rng(5)
    churned = rng.integers(0, 2, 40).astype(float)
    other = churned.copy()
    other[customer] = 1 - other[customer]
    before, after = (
        cross_fitted(panel_, base_rate, customer_folds(panel_))["chosen"]
        for panel_ in (labelled(panel, churned), labelled(panel, other))
    )
    assert before[customer] == after[customer]
    assert (before != after).any()  # others do learn from it


def test_all_rows_of_a_customer_are_in_one_fold():
    panel = panel_of([f"c{i}" for i in range(23)], cutoffs=("2024-01-01", "2024-02-01", "2024-03-01"))
    folds = pd.DataFrame({"customer": panel.table["customer_id"], "fold": customer_folds(panel)})
    assert (folds.groupby("customer")["fold"].nunique() == 1).all()
    assert sorted(folds["fold"].unique()) == [0, 1, 2, 3, 4]


def test_copies_of_a_customer_are_in_the_fold_of_the_first_and_count_as_one():
    x = np.arange(30.0)
    x[[11, 25]] = x[3]
    panel = panel_of([f"c{i:02}" for i in range(30)], x=x)
    folds = customer_folds(panel)
    assert folds[3] == folds[11] == folds[25]
    assert copies_as_one(panel).table["customer_id"].iloc[[3, 11, 25]].tolist() == ["c03", "c03", "c03"]


def test_where_attributes_are_so_coarse_that_most_rows_repeat_equal_rows_are_no_copies():
    panel = panel_of([f"c{i:02}" for i in range(30)], x=np.arange(30) % 3)
    assert copies_as_one(panel).table["customer_id"].nunique() == 30
    assert len(set(customer_folds(panel)[panel.table["attribute_x"] == 0])) > 1


def test_folds_do_not_depend_on_the_order_of_the_rows():
    panel = panel_of([f"c{i:02}" for i in range(30)])
    order = np.random.default_rng(1).permutation(30)
    shuffled = Panel(panel.table.iloc[order], panel.outcomes.iloc[order])
    assert (customer_folds(panel)[order] == customer_folds(shuffled)).all()


def test_the_number_of_threads_changes_nothing():
    panel = labelled(panel_of([f"c{i}" for i in range(40)]), np.arange(40) % 3 == 0)
    fold = customer_folds(panel)
    one, four = (cross_fitted(panel, base_rate, fold, threads=n)["chosen"] for n in (1, 4))
    assert (one == four).all()
