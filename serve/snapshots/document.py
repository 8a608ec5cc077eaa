"""The score document: what a customer's score looks like over HTTP, as JSON and as a row of CSV."""

import datetime as dt
from collections.abc import Mapping
from typing import Any

import orjson
import polars as pl
from pydantic import BaseModel, Field, create_model

from fedelta.features.contract import BAD_WINDOWS, SCORES, STATUS_REASON, Direction, Status


def _index(name: str, interactions: str) -> str:
    """What the index of a pillar or level means."""
    return f"{name} index, 0 to 100: share of good among the interactions {interactions}. Null if there were none."


# What each field means, in the order in which it is served: the columns of a scoring run, then provenance.
MEANING = {
    "customer_id": "Id of the customer, as in the source.",
    "as_of": "Time of the score, in UTC: it uses what was known before and predicts what follows.",
    "horizon_days": "Length of the predicted period in days.",
    "churn_probability": "Calibrated probability of churn within the horizon, 0 to 1.",
    "churn_score": "Churn probability × 100, 0 to 100, to one decimal.",
    "risk_tier": "Tier of the churn probability: low, medium, high or critical.",
    "percentile": "Share of scored customers with the same or a lower churn probability, 0 to 100.",
    "percentile_in_journey": "Percentile among the customers on the same journey. Null without a journey.",
    "previous_probability": "Churn probability in the previous scoring run.",
    "delta": "Churn probability minus `previous_probability`. Null without a previous one.",
    "tier_changed_at": "Time of the first score of the present tier; null if the tier never changed while published.",
    "clv_expected": "Expected spend within `clv_horizon_days`, in `currency`.",
    "clv_low": "Lower end of the 90% interval of `clv_expected`.",
    "clv_high": "Upper end of the 90% interval of `clv_expected`. 0 if nine in ten such customers spend nothing.",
    "clv_horizon_days": "Length of the period of `clv_expected` in days.",
    "clv_margin": "Part of `clv_expected` left after costs, by recorded margins. Null if the source records none.",
    "lifetime_value": "Expected spend over the rest of the customer's life, later money at a discount, in `currency`.",
    "lifetime_low": "Lower end of the 90% interval of one such customer's spend.",
    "lifetime_high": "Upper end of that interval.",
    "historic_value": "Spend so far minus returns. Negative if returns exceed spend.",
    "historic_value_gross": "Spend so far, returns not deducted.",
    "currency": "Currency of every amount.",
    "p_here": "Probability that the customer has not left yet, 0 to 1.",
    "p_leaves": "Probability that a customer who is still here leaves within the horizon, 0 to 1.",
    "value_at_risk": "Expected loss if a customer who is still here leaves: margin × p_here × p_leaves × their value.",
    "win_back_value": "What a customer who has left would bring if they came back, × the probability that they have.",
    "expected_orders": "Expected number of days with a purchase (or what churn.activity declares) within the horizon.",
    "expected_next_order_at": "Expected time of the next purchase (or what churn.activity declares).",
    "p_alive": "Probability that the customer is still active (Pareto/NBD), 0 to 1.",
    "loyalty_class": "Class of loyalty: loyal, latent, spurious or none.",
    "loyalty_score": "Loyalty, 0 to 100.",
    "persona": "Name of the segment of similar customers.",
    "channel": "Channel of most of the customer's interactions in the last 365 days.",
    "journey": "Journey the customer is on: onboarding, use, maintenance or renewal.",
    "journey_stage": "Stage of the journey: awareness, familiarity, consideration, purchase or loyalty.",
    **{f"bad_experiences_{days}d": f"Number of bad experiences in the last {days} days." for days in BAD_WINDOWS},
    "last_bad_experience_at": "Time of the last bad experience.",
    "last_bad_experience": "Name of the rule behind the last bad experience.",
    "open_issue": "Whether an issue is still unresolved.",
    "experience_index": "Experience index, 0 to 100: share of good interactions, shrunk to the average if few.",
    "pillar_integrity": _index("Integrity", "that test trust"),
    "pillar_resolution": _index("Resolution", "in which something had to be put right"),
    "pillar_expectations": _index("Expectations", "in which a promise had to be kept"),
    "pillar_empathy": _index("Empathy", "in which the customer had to be heard and answered"),
    "pillar_personalisation": _index("Personalisation", "that had to fit this customer"),
    "pillar_time_and_effort": _index("Time and effort", "that cost the customer time and effort"),
    "level_needs": _index("Needs", "that had to work"),
    "level_ease": _index("Ease", "that had to be easy"),
    "level_enjoyable": _index("Enjoyable", "that could be enjoyed"),
    "reasons": "Why the score is what it is: what can be acted on, what else raises it, what lowers it, and the rest.",
    "next_categories": "The three categories the customer most likely buys of within the horizon, likeliest first: "
    "category, probability, reason. Null if there are none: see `next_categories_status`.",
    "next_categories_status": "`predicted`, or why not: no_categories (purchases name none), too_few_purchases (to "
    "learn from), no_purchase_yet.",
    "action": "Planned action: keep (who is still here) or win back (who has left). Null if none is planned.",
    "best_action": "What contacting the customer would be for, planned or not. Null where nothing is known of it.",
    "offer": "Whether the planned contact comes with an offer.",
    "expected_profit": "Expected profit of the best way to contact the customer, planned or not, in `currency`.",
    "expected_profit_low": "Lower end of its 90% interval: how much the customer spends a day is not known exactly.",
    "expected_profit_high": "Upper end of that interval.",
    "contact_cost": "Cost of the best way to contact the customer, in `currency`.",
    "p_saved": "Probability that the contact keeps the customer or brings them back.",
    "team": "Team that is to contact the customer. Null without teams or action.",
    "contact_on": "Day of the planned contact. Null without teams or action.",
    "held_out": "Whether the customer is in the control group (holdout), which is never contacted.",
    "suppression_reason": "Why the customer must not be contacted now: opted out or contacted lately. Null if allowed.",
    "model_version": "Version of the model that made the score.",
    "status": "`scored`, or why there is no score: too_new, no_history, already_churned, ended, erased.",
    "status_reason": "The status in words. Null if scored.",
    "snapshot_id": "Id of the scoring run.",
}
# What a publish adds to the columns of a scoring run: from the comparison with the run before.
COMPARED = {"delta": pl.Float64(), "tier_changed_at": pl.Datetime("us", "UTC")}
COLUMNS = pl.Schema(SCORES | COMPARED)
CSV_COLUMNS = ("rank", *MEANING)

_TYPES: dict[pl.DataType, type] = {
    pl.String(): str,
    pl.Float64(): float,
    pl.Int32(): int,
    pl.Boolean(): bool,
    pl.Date(): dt.date,
}


class Reason(BaseModel):
    """One reason of a score."""

    code: str | None = Field(description="of the sentence: silence, bad_experiences, …; rest: everything else")
    theme: str | None
    text: str | None = Field(description="the fact with its date, in English")
    text_it: str | None = Field(description="the same in Italian")
    direction: Direction | None = Field(description="what it does to the risk")
    contribution: float | None = Field(description="to the log-odds of churn; they sum to those of the probability")
    value: float | None = Field(description="of the fact, where it is a number")
    peer_median: float | None = Field(description="of the same among similar customers")
    date: dt.date | None = Field(description="of the fact, in the source's time zone")


class NextCategory(BaseModel):
    """A category the customer may buy of next."""

    category: str | None
    probability: float | None = Field(description="of a purchase within the horizon, 0 to 1")
    reason: str | None


def encoded(scores: pl.DataFrame, snapshot_id: str) -> pl.Series:
    """One JSON document per row of ``scores`` (columns of ``COLUMNS``), in row order, encoded as orjson would.

    Polars encodes a whole column at once; nothing but that is a third of the CPU of a publish.
    """
    document = scores.with_columns(
        pl.col(pl.Datetime).dt.strftime("%Y-%m-%dT%H:%M:%S%.fZ"),
        pl.col(pl.Date).dt.strftime("%Y-%m-%d"),
        pl.col("status").replace_strict(STATUS_REASON, default=None, return_dtype=pl.String).alias("status_reason"),
        pl.lit(snapshot_id).alias("snapshot_id"),
    )
    return document.select(pl.struct(list(MEANING)).struct.json_encode().alias("body")).to_series()


def document_of(row: Mapping[str, Any], snapshot_id: str) -> bytes:
    """The document of one row as Python has it, times in UTC: the bytes that ``encoded`` makes of it."""
    provenance = {"status_reason": STATUS_REASON.get(row["status"]), "snapshot_id": snapshot_id}
    every = {**row, **provenance}
    return orjson.dumps(
        {name: every[name] for name in MEANING}, default=_instant, option=orjson.OPT_PASSTHROUGH_DATETIME
    )


def _instant(at: dt.date) -> str:
    """A day, or an instant with no decimals of a second, three, or six, the fewest that lose nothing."""
    if not isinstance(at, dt.datetime):
        return at.isoformat()
    unit = "seconds" if not at.microsecond else "microseconds" if at.microsecond % 1000 else "milliseconds"
    return f"{at.replace(tzinfo=None).isoformat(timespec=unit)}Z"


_LISTS: dict[str, Any] = {"reasons": list[Reason], "next_categories": list[NextCategory]}


def _field(name: str) -> Any:
    dtype = COLUMNS.get(name, pl.String())
    if name == "status":
        return (Status, ...)
    if name in ("customer_id", "snapshot_id"):
        return (str, Field(description=MEANING[name]))
    kind: Any = (
        _LISTS[name] if isinstance(dtype, pl.List) else dt.datetime if isinstance(dtype, pl.Datetime) else _TYPES[dtype]
    )
    return (kind | None, Field(description=MEANING[name]))


_LIVE = "True where the score was made anew since the run, upon what happened to the customer; else left out."
# For the OpenAPI description alone: documents are served as the bytes that were stored.
Score: type[BaseModel] = create_model(
    "Score",
    __doc__="The latest score of one customer.",
    **{name: _field(name) for name in MEANING},
    live=(bool, Field(False, description=_LIVE)),
)
