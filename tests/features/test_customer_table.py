"""A table of customers as features at one cutoff."""

from datetime import UTC, datetime

import polars as pl

from fedelta.features.attributes import Attribute
from fedelta.features.customer_table import table_features
from fedelta.features.cutoffs import Cutoff
from fedelta.features.kernel import KEYS
from fedelta.features.recent import RECENT
from fedelta.features.registry import FEATURES

AT = datetime(2024, 4, 1, tzinfo=UTC)
ATTRIBUTES = (
    Attribute("plan", "categorical", None, "plan"),
    Attribute("calls", "numeric", None, "calls", bad_experience="resolution"),
)


def built(**of_customer):
    """Features and outcomes of ann, bob and cat."""
    known = {
        "customer_id": ["cat", "ann", "bob"],
        "churned": [None, True, False],
        "spend": [None, 0.0, 12.0],
        "signed_up_at": [None, datetime(2024, 3, 1, tzinfo=UTC), None],
        "plan": ["x", "y", "x"],
        "calls": [0.0, 3.0, 1.0],
    }
    types = {"churned": pl.Boolean, "signed_up_at": pl.Datetime("us", "UTC"), "spend": pl.Float64}
    customers = pl.DataFrame({**known, **of_customer}, schema_overrides=types)
    return table_features(customers, Cutoff(AT, 30, 0, "score"), ATTRIBUTES)


def test_the_labelled_are_learned_from_and_everybody_is_scored_but_who_left():
    table, _ = built()
    assert table.select("customer_id", "role", "refit", "status").rows() == [
        ("ann", "refit", True, "scored"),
        ("bob", "refit", True, "scored"),
        ("ann", "score", False, "already_churned"),
        ("bob", "score", False, "scored"),
        ("cat", "score", False, "scored"),
    ]


def test_attributes_are_all_that_is_known_and_counts_of_bad_experiences_have_a_name_of_their_own():
    table, _ = built()
    assert table.columns == [
        *KEYS_IN_ORDER,
        *(f.name for f in FEATURES),
        "attribute_plan",
        "attribute_bad_experience_calls",
    ]
    silent = table.select(f.name for f in FEATURES if f.name != "tenure_days")
    assert silent.null_count().sum_horizontal().item() == silent.height * silent.width
    assert table.filter(customer_id="ann")["tenure_days"].to_list() == [31.0, 31.0]


def test_outcomes_are_those_of_the_labelled():
    _, outcomes = built()
    assert outcomes.select("customer_id", "declared_churn", "horizon_spend").rows() == [
        ("ann", 1.0, 0.0),
        ("bob", 0.0, 12.0),
    ]


KEYS_IN_ORDER = [
    "customer_id", "cutoff", "horizon_days", "lead_days", "role", "refit", "status", "last_bad_experience", "journey",
    "journey_stage", *RECENT,
]  # fmt: skip
assert set(KEYS_IN_ORDER) == set(KEYS)
