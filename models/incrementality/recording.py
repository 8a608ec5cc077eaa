"""Entries of both arms by one rule: who is on the list, and who of the control group would have been."""

from datetime import datetime

import polars as pl

from fedelta.features.contract import SCORES, TREATMENTS
from fedelta.features.errors import FedeltaError


class NothingToRecord(FedeltaError, ValueError):
    """The scores plan no action, so nobody enters a comparison."""


def entries_of(scores: pl.DataFrame, at: datetime, campaign: str | None = None) -> pl.DataFrame:
    """The entries of a list that is about to be worked on, in the columns of `features.contract.TREATMENTS`.

    Treated is who has an action. Held out is who is in the control group, may be contacted otherwise, and has at least
    the expected profit of the last who has an action: the same rule in both arms. The held-out have the action that
    they would have received.

    Parameters
    ----------
    scores : DataFrame
        With the columns of `features.contract.SCORES`.
    at : datetime
        When the list is worked on, in UTC.

    Raises
    ------
    NothingToRecord
        If no customer has an action.
    """
    listed = scores.filter(pl.col("action").is_not_null())
    if listed.is_empty():
        raise NothingToRecord("The scores plan no action, so there is nobody to record. Check policy in params.yaml.")
    least = listed["expected_profit"].cast(SCORES["expected_profit"]).min()
    apart = scores.filter(
        pl.col("held_out"), pl.col("suppression_reason").is_null(), pl.col("expected_profit") >= pl.lit(least)
    )
    entered = pl.concat(
        [
            listed.with_columns(arm=pl.lit("treated")),
            apart.with_columns(arm=pl.lit("held_out"), action=pl.col("best_action"), contact_cost=pl.lit(None)),
        ],
        how="vertical_relaxed",
    )
    known = {
        "treated_at": pl.lit(at),
        "campaign": pl.lit(campaign),
        "expected_value": pl.col("clv_expected"),
        "cost": pl.col("contact_cost"),
        **{name: pl.col(name) for name in ("customer_id", "action", "arm", "churn_probability")},
    }
    return entered.select(
        known.get(name, pl.lit(None)).cast(dtype).alias(name) for name, dtype in TREATMENTS.items()
    ).sort("customer_id")
