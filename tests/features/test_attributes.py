"""Declared attributes: what was known of a customer at the cutoff, and not a moment earlier."""

from datetime import timedelta

import polars as pl
from histories import CUTOFF

from fedelta.features.attributes import Attribute, attributes_at
from fedelta.features.contract import INTERACTIONS

TIME = INTERACTIONS["occurred_at"]
INSTANT = timedelta(microseconds=1)
CITY = Attribute("city", "categorical", None, "where they live")
PLAN = Attribute("plan", "categorical", "plan_since", "their plan")
SEATS = Attribute("seats", "numeric", "plan_since", "seats of the plan")


def at_cutoff(known_from: timedelta, *names: str) -> pl.DataFrame:
    keys = pl.DataFrame({"customer_id": names, "cutoff": [CUTOFF] * len(names)}, schema_overrides={"cutoff": TIME})
    customers = pl.DataFrame(
        {
            "customer_id": ["ann", "bob"],
            "city": ["Rome", None],
            "plan": ["gold", "tin"],
            "seats": [3, 1],
            "plan_since": [CUTOFF + known_from, CUTOFF - timedelta(days=9)],
        },
        schema_overrides={"plan_since": TIME},
    )
    return attributes_at(keys, customers, [CITY, PLAN, SEATS])


def test_attributes_come_in_row_order_with_their_types():
    found = at_cutoff(-INSTANT, "bob", "ann", "bob")
    assert found.rows() == [(None, "tin", 1.0), ("Rome", "gold", 3.0), (None, "tin", 1.0)]
    assert found.schema == {
        "attribute_city": pl.String(),
        "attribute_plan": pl.String(),
        "attribute_seats": pl.Float64(),
    }


def test_what_becomes_known_at_the_cutoff_or_later_is_unknown_there():
    assert at_cutoff(timedelta(0), "ann").rows() == [("Rome", None, None)]
    assert at_cutoff(timedelta(days=3), "ann").rows() == [("Rome", None, None)]


def test_nothing_is_known_of_a_stranger():
    assert at_cutoff(-INSTANT, "stranger").rows() == [(None, None, None)]
