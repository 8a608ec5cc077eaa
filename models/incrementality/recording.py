"""Entries of both arms by one rule: who is on the list, and who of the control group would have been."""

from datetime import datetime

import polars as pl

from fedelta.features.contract import TREATMENTS
from fedelta.features.errors import FedeltaError


class NothingToRecord(FedeltaError, ValueError):
    """The scores plan no action, so nobody enters a comparison."""


def entries_of(scores: pl.DataFrame, at: datetime, campaign: str | None = None) -> pl.DataFrame:
    """The entries of a list that is about to be worked on, in the columns of `features.contract.TREATMENTS`.

    Treated is who has an action. Held out is who is in the control group, may be contacted otherwise, and stands before
    the last who has an action, among those with the same action at the same cost: the same rule in both arms, also
    where a budget takes the cheaper first, or teams take one action only. The held-out have the action that they would
    have received. To keep without an offer is the action "contact", whose success is measured apart from that of an
    offer (`incrementality.measured.ACTIONS`).

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
    free = scores.filter(pl.col("suppression_reason").is_null())
    passed_over = free.filter(pl.col("action").is_null(), ~pl.col("held_out"))
    apart = _would_be_listed(free.filter("held_out"), listed, passed_over)
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
        "action": pl.when(pl.col("action") == "keep", ~pl.col("offer")).then(pl.lit("contact")).otherwise("action"),
        **{name: pl.col(name) for name in ("customer_id", "arm", "churn_probability")},
    }
    return entered.select(
        known.get(name, pl.lit(None)).cast(dtype).alias(name) for name, dtype in TREATMENTS.items()
    ).sort("customer_id")


def _would_be_listed(apart: pl.DataFrame, listed: pl.DataFrame, passed_over: pl.DataFrame) -> pl.DataFrame:
    """Those who stand before the end of the list of their action and cost: by profit, equal profits by id."""
    profit, kind = pl.col("expected_profit"), ["best_action", "contact_cost"]
    last = listed.group_by(best_action="action", contact_cost="contact_cost").agg(
        least=profit.min(), with_offer=pl.col("offer").first()
    )
    tied = passed_over.join(last, on=kind, nulls_equal=True).filter(profit == pl.col("least"))
    first_out = tied.group_by(kind).agg(first_out=pl.col("customer_id").min())
    end = last.join(first_out, on=kind, how="left", nulls_equal=True)
    before = (pl.col("customer_id") < pl.col("first_out")).fill_null(value=True)
    beside = apart.join(end, on=kind, nulls_equal=True).with_columns(offer="with_offer")
    return beside.filter((profit > pl.col("least")) | ((profit == pl.col("least")) & before)).select(apart.columns)
