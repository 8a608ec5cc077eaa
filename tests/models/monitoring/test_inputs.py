"""Inputs of another population against those learned from."""

import numpy as np
import pandas as pd

from fedelta.models.encoding import Encoding
from fedelta.models.monitoring.input_drift import difference, profile_of, unseen_categories


def customers(number=2_000, seed=1, fee=40.0):
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {"fee": rng.normal(fee, 10, number), "plan": rng.choice(["a", "b", "c"], number, p=(0.6, 0.3, 0.1))}
    )


def looked(now):
    table = customers()
    read = Encoding.of(table)
    return difference(profile_of(table, read), now, read, {"fee": 0.7, "plan": 0.3})


def test_another_sample_of_the_same_customers_is_no_difference():
    found = looked(customers(seed=2))
    assert found.moved == ()
    assert found.unseen == {}
    assert found.weighted < 0.02


def test_a_number_that_moved_by_two_deviations_is_named():
    found = looked(customers(fee=60.0))
    assert [one.name for one in found.moved] == ["fee"]
    assert found.weighted > 0.25


def test_a_column_that_is_no_longer_filled_is_named():
    assert [one.name for one in looked(customers().assign(fee=np.nan)).moved] == ["fee"]


def test_categories_never_met_are_counted_commonest_first():
    now = customers(100)
    now["plan"] = ["d"] * 3 + ["e"] * 5 + [None] * 2 + ["a"] * 90
    assert unseen_categories(now, Encoding.of(customers())) == {"plan": {"e": 5, "d": 3}}


def test_three_customers_are_too_few_to_show_a_difference():
    assert looked(customers(3, fee=41.0)).moved == ()
