"""What customers have bought from each category: by hand, and never with a look ahead."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from fedelta.features.categories import CategoryView, categories_at, purchases_by_category
from fedelta.features.interaction_frames import interactions_of

CUTOFF = datetime(2026, 3, 1, tzinfo=UTC)
CATEGORIES = ("coats", "shirts", "shoes")


def bought(*rows: tuple[str, int, str | None], known: int | None = None) -> pl.DataFrame:
    """Purchases: customer, days before the cutoff, topic; `known` so many days before it."""
    events = interactions_of(
        pl.DataFrame(
            {
                "customer_id": [who for who, _, _ in rows],
                "occurred_at": [CUTOFF - timedelta(days=days) + timedelta(hours=5) for _, days, _ in rows],
                "kind": ["purchase"] * len(rows),
                "topic": pl.Series([topic for _, _, topic in rows], dtype=pl.String),
            }
        )
    )
    if known is not None:
        events = events.with_columns(known_at=pl.lit(CUTOFF - timedelta(days=known)).cast(events.schema["known_at"]))
    return purchases_by_category(events)


def row_of(view: CategoryView, customer: str) -> dict[str, object]:
    row = view.customer_ids.to_list().index(customer)
    arrays = {**view.by_category, **view.by_customer}
    return {name: values[row].tolist() for name, values in arrays.items()}


def test_a_history_of_three_purchases_reads_as_one_would_count_it_by_hand():
    view = categories_at(
        bought(("ann", 100, "shoes"), ("ann", 40, "shirts|shirts|shoes"), ("ann", 10, "hats")), CATEGORIES, CUTOFF
    )
    ann = row_of(view, "ann")
    assert ann["category_count"] == [0, 1, 2]
    assert ann["category_articles"] == [0, 2, 2]
    np.testing.assert_allclose(
        ann["category_decayed_30d"], [0, 2 ** (-40 / 30), 2 ** (-40 / 30) + 2 ** (-100 / 30)], atol=1e-6
    )
    np.testing.assert_equal(ann["days_since_category"], [np.nan, 40, 40])
    np.testing.assert_equal(ann["occasions_since_category"], [np.nan, 1, 1])  # hats, no category here, came since
    assert (ann["occasions"], ann["occasions_90d"], ann["days_since_last"], ann["days_since_first"]) == (3, 2, 10, 100)
    assert ann["categories_bought"] == 2


def test_two_purchases_of_a_day_are_one_occasion():
    ann = row_of(categories_at(bought(("ann", 5, "shoes"), ("ann", 5, "shoes|coats")), CATEGORIES, CUTOFF), "ann")
    assert (ann["occasions"], ann["category_count"], ann["category_articles"]) == (1, [1, 0, 1], [1, 0, 2])


def test_names_are_cut_at_bars_without_the_blanks_around_them_and_returns_and_purchases_without_topic_are_none():
    assert bought(("ann", 5, " coats | shoes ||")).get_column("category").to_list() == ["coats", "shoes"]
    assert bought(("ann", 5, None)).is_empty()


def test_the_cutoff_itself_and_what_was_known_only_then_are_the_future():
    assert categories_at(bought(("ann", 0, "shoes")), CATEGORIES, CUTOFF).customer_ids.is_empty()
    assert categories_at(bought(("ann", 9, "shoes"), known=0), CATEGORIES, CUTOFF).customer_ids.is_empty()
    assert len(categories_at(bought(("ann", 9, "shoes"), known=1), CATEGORIES, CUTOFF).customer_ids) == 1


def test_outcomes_are_the_categories_bought_in_the_half_open_horizon():
    purchases = bought(("ann", 9, "shoes"), ("ann", -1, "coats"), ("ann", -30, "shirts"), ("ben", -2, "shoes"))
    view = categories_at(purchases, CATEGORIES, CUTOFF, (CUTOFF, CUTOFF + timedelta(days=30)))
    assert view.customer_ids.to_list() == ["ann"]
    assert view.bought is not None
    assert view.bought.tolist() == [[True, False, False]]


HISTORY = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(-40, 400), st.sampled_from([*CATEGORIES, "shoes|coats", "hats"])),
    min_size=1,
    max_size=30,
)


@settings(max_examples=60, deadline=None)
@given(history=HISTORY)
def test_the_future_changes_nothing_and_nobody_elses_purchases_do(history):
    horizon = (CUTOFF, CUTOFF + timedelta(days=30))
    everything = categories_at(bought(*history), CATEGORIES, CUTOFF, horizon)
    past = [row for row in history if row[1] > 0]
    if not past:
        assert everything.customer_ids.is_empty()
        return
    alone = categories_at(bought(*past), CATEGORIES, CUTOFF)
    assert alone.customer_ids.to_list() == everything.customer_ids.to_list()
    for customer in alone.customer_ids:
        one = categories_at(bought(*(row for row in past if row[0] == customer)), CATEGORIES, CUTOFF)
        np.testing.assert_equal(row_of(one, customer), row_of(everything, customer))
        np.testing.assert_equal(row_of(alone, customer), row_of(everything, customer))


@settings(max_examples=30, deadline=None)
@given(history=HISTORY, order=st.permutations(range(len(CATEGORIES))))
def test_the_order_of_the_categories_is_that_of_the_columns_and_nothing_else(history, order):
    usual = categories_at(bought(*history), CATEGORIES, CUTOFF)
    mixed = categories_at(bought(*history), [CATEGORIES[place] for place in order], CUTOFF)
    for name, values in mixed.by_category.items():
        np.testing.assert_equal(values, usual.by_category[name][:, list(order)])
    for name, values in mixed.by_customer.items():
        np.testing.assert_equal(values, usual.by_customer[name])
