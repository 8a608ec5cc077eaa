"""Who enters a comparison: the list, and who of the control group would have been on it, by one rule."""

from datetime import UTC, datetime

import polars as pl
import pytest

from fedelta.features.contract import SCORES, TREATMENTS
from fedelta.models.incrementality.recording import NothingToRecord, entries_of

AT = datetime(2026, 5, 1, 9, tzinfo=UTC)


def scores(*rows: tuple[str, str | None, float | None, bool, str | None], best: str = "keep") -> pl.DataFrame:
    """Scores of customers: id, action, expected profit, held out, why they must not be contacted."""
    names = ("customer_id", "action", "expected_profit", "held_out", "suppression_reason")
    known = {"churn_probability": 0.4, "clv_expected": 9.0, "contact_cost": 7.0}
    table = pl.DataFrame(rows, schema=names, orient="row").with_columns(pl.lit(v).alias(k) for k, v in known.items())
    table = table.with_columns(best_action=pl.coalesce("action", pl.lit(best)))
    return table.select(
        (pl.col(name) if name in table.columns else pl.lit(None)).cast(dtype).alias(name)
        for name, dtype in SCORES.items()
    )


def test_the_held_out_enter_where_they_would_have_been_on_the_list():
    found = entries_of(
        scores(
            ("ann", "keep", 9.0, False, None),
            ("ben", "keep", 5.0, False, None),
            ("cid", None, 4.9, False, None),  # beyond the capacity
            ("dan", None, 5.0, True, None),
            ("eve", None, 4.9, True, None),  # would have been beyond it too
            ("fay", None, 8.0, True, "opted out"),
            ("gus", None, None, True, None),
        ),
        AT,
        "may",
    )
    assert found.schema == TREATMENTS
    assert found.select("customer_id", "arm", "action", "campaign").rows() == [
        ("ann", "treated", "keep", "may"), ("ben", "treated", "keep", "may"), ("dan", "held_out", "keep", "may"),
    ]  # fmt: skip
    assert found.select("treated_at", "churn_probability", "expected_value").unique().rows() == [(AT, 0.4, 9.0)]


def test_the_held_out_have_the_action_that_they_would_have_received_and_cost_nothing():
    rows = (("ann", "keep", 9.0, False, None), ("ben", "win back", 5.0, False, None), ("dan", None, 6.0, True, None))
    found = entries_of(scores(*rows, best="win back"), AT)
    assert found.select("action", "arm", "cost").rows() == [
        ("keep", "treated", 7.0), ("win back", "treated", 7.0), ("win back", "held_out", None),
    ]  # fmt: skip


def test_a_list_without_actions_records_nobody():
    with pytest.raises(NothingToRecord, match="plan no action"):
        entries_of(scores(("ann", None, 1.0, False, None)), AT)
