"""What is counted of the few interactions of a request is what a run counts of all."""

from datetime import timedelta

import numpy as np
import pandas as pd
import polars as pl
from histories import CUTOFF, EVENTS, SETTINGS, Event, interactions, law
from hypothesis import given
from hypothesis import strategies as st

from fedelta.features import attributes, categories, margins, usual_channel
from fedelta.features.attributes import Attribute
from fedelta.features.experience_rules import exercised, exercised_few
from fedelta.features.few_events import FewEvents
from fedelta.features.visibility import seen_before
from fedelta.models.experience import exposure
from fedelta.models.panel import to_pandas
from fedelta.models.table import Table
from fedelta.scoring.few_events import attributes_at, categories_at, customer_counts, margins_before, usual_channels
from fedelta.scoring.histories import seen

NAMES = ("bags", "shoes")
TOPICS = st.sampled_from([None, "", "|", "shoes", " shoes|shoes", "bags| socks\x1f|\u2003bags\u00a0", "hats"])
MARGINS = st.sampled_from([None, -3, 0, 5])


@st.composite
def histories(draw: st.DrawFn) -> pl.DataFrame:
    """Interactions of several customers that were seen before the cutoff, with topics and margins."""
    events: list[Event] = draw(EVENTS)
    told = [event | {"topic": draw(TOPICS), "margin": draw(MARGINS)} for event in events]
    return interactions(*told).filter(seen_before(CUTOFF))


@law
@given(histories())
def test_the_usual_channel_is_that_of_the_run(events: pl.DataFrame):
    expected = usual_channel.usual_channels(events.lazy(), CUTOFF).collect()
    assert usual_channels(FewEvents.of(events), CUTOFF) == dict(expected.rows())


@law
@given(histories())
def test_margins_are_those_of_the_run(events: pl.DataFrame):
    expected = margins.margins_before(events.lazy(), CUTOFF).collect()
    assert margins_before(FewEvents.of(events)) == {
        name: (amount, margin) for name, _, amount, margin, _ in expected.rows()
    }


@law
@given(histories())
def test_what_rules_test_is_counted_as_by_the_run(events: pl.DataFrame):
    settings = SETTINGS.experience
    expected = exposure.customer_counts(events.select("customer_id").hstack(exercised(events, settings)))
    few = seen(events, CUTOFF)
    found = customer_counts(few, exercised_few(few, settings))
    assert pl.DataFrame(found).equals(expected)


def test_attributes_are_those_of_the_run():
    declared = (
        Attribute("city", "categorical", None, "where they live"),
        Attribute("plan", "categorical", "plan_since", "what they pay for"),
        Attribute("age", "numeric", "born", "age"),
        Attribute("visits", "numeric", None, "how often they came"),
    )
    days = [CUTOFF - timedelta(days=1), CUTOFF, None, CUTOFF - timedelta(microseconds=1)]
    customers = pl.DataFrame(
        {"customer_id": ["a", "b", "c", "d"], "city": ["Rome", None, "Bari", ""], "plan": ["x", "y", "z", None],
         "plan_since": days, "age": [1, 2, 3, 4], "born": days[::-1], "visits": [0.5, None, 2.0, -1.0]},
    )  # fmt: skip
    ids = ["d", "a", "nobody", "b", "c"]
    keys = pl.DataFrame({"customer_id": ids, "cutoff": [CUTOFF] * len(ids)})
    expected = Table.of(to_pandas(attributes.attributes_at(keys, customers, declared)))
    found = attributes_at(ids, customers, declared, CUTOFF)
    assert list(found) == list(expected)
    for name, values in found.items():
        np.testing.assert_array_equal(values, expected[name], strict=True, err_msg=name)
    lacking = attributes_at(ids, customers.select("customer_id"), declared, CUTOFF)
    assert all(pd.isna(values).all() for values in lacking.values())


@law
@given(histories())
def test_what_was_bought_by_category_is_what_the_run_sees(events: pl.DataFrame):
    expected = categories.categories_at(categories.purchases_by_category(events), NAMES, CUTOFF)
    found = categories_at(FewEvents.of(events), NAMES, CUTOFF)
    assert found.customer_ids.to_list() == expected.customer_ids.to_list()
    for mine, theirs in ((found.by_category, expected.by_category), (found.by_customer, expected.by_customer)):
        assert mine.keys() == theirs.keys()
        for name, values in mine.items():
            np.testing.assert_array_equal(values, theirs[name], strict=True, err_msg=name)
