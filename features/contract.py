"""The contract of the tables that pass between rooms: interactions, treatments, scores."""

from collections.abc import Mapping
from typing import Literal, get_args

import polars as pl

KINDS = (
    "purchase", "return", "visit", "contact", "complaint", "delivery", "survey", "message", "response", "referral",
    "review", "error", "outage", "enrolment", "renewal", "downgrade", "cancellation",
)  # fmt: skip
DIGITAL_CHANNELS = (
    "direct", "referral", "organic_search", "paid_search", "social", "email", "display", "app", "web", "chat",
)  # fmt: skip
PHYSICAL_CHANNELS = ("store", "phone", "partner")
CHANNELS = DIGITAL_CHANNELS + PHYSICAL_CHANNELS

Pillar = Literal["integrity", "resolution", "expectations", "empathy", "personalisation", "time_and_effort"]
Level = Literal["needs", "ease", "enjoyable"]
PILLARS: tuple[Pillar, ...] = get_args(Pillar)
LEVELS: tuple[Level, ...] = get_args(Level)

RiskTier = Literal["low", "medium", "high", "critical"]
RISK_TIERS: tuple[RiskTier, ...] = get_args(RiskTier)  # lowest first

Status = Literal["scored", "too_new", "no_history", "already_churned", "ended", "erased"]
STATUS_REASON: Mapping[Status, str] = {
    "too_new": "The customer has not been known for long enough to be scored.",
    "no_history": "Nothing to score the customer by is known yet, such as a purchase.",
    "already_churned": "The customer had already left when the score was made.",
    "ended": "The relationship had ended without churn when the score was made.",
    "erased": "The customer's history has been erased.",
}

# Whether there are next_categories, or why not.
NextStatus = Literal["predicted", "no_categories", "too_few_purchases", "no_purchase_yet"]

# One row per interaction: the single record of everything a customer went through. Sorted by
# (customer_id, occurred_at, interaction_id) within a bucket. Kinds and channels are strings: a source may declare more.
INTERACTIONS = pl.Schema(
    {
        "interaction_id": pl.String(),
        "customer_id": pl.String(),
        "occurred_at": pl.Datetime("us", "UTC"),
        "kind": pl.String(),
        "channel": pl.String(),
        "amount": pl.Decimal(18, 4),  # money, positive; a return's amount is what was given back
        "rating": pl.Float64(),  # 0 worst, 1 best
        "resolved": pl.Boolean(),
        "wait_hours": pl.Float64(),  # time to first answer
        "delay_hours": pl.Float64(),  # delivered minus promised; negative is early
        "effort": pl.Float64(),  # 0 none, 1 most
        "reach": pl.Int64(),  # people who saw it
        "topic": pl.String(),  # of a purchase: the category of each article, with | between them
        "margin": pl.Decimal(18, 4),  # money left of a purchase's amount after its costs; below 0 at a loss
        "known_at": pl.Datetime("us", "UTC"),  # when the company learned of it, where that is later than occurred_at
    }
)
REQUIRED = ("interaction_id", "customer_id", "occurred_at", "kind")

# One row per customer and date of whom the company itself says whether they left: `labels.sql`, the optional table that
# `churn.definition: declared` learns from.
LABELS = pl.Schema(
    {
        "customer_id": pl.String(),
        "as_of": pl.Date(),  # the outcome is what came after midnight (UTC) of this date
        "churned": pl.Boolean(),
        "spend": pl.Decimal(18, 4),  # in the horizon; null: what the interactions say
        "known_at": pl.Datetime("us", "UTC"),  # null: when the horizon was over
    }
)

# One row per entry of a customer into an arm: what was done, or not done (control group), at what cost, and what came
# of it. Facts at entry (`churn_probability`, `expected_value`) are those known before it. All but TREATMENTS_NEEDED may
# be null.
Arm = Literal["treated", "held_out"]
Action = Literal["keep", "win back"]  # of a contact: who is still here, who has left
SuppressionReason = Literal["opted out", "contacted lately"]
TREATMENTS = pl.Schema(
    {
        "customer_id": pl.String(),
        "treated_at": pl.Datetime("us", "UTC"),  # when the customer entered the arm, contacted in the end or not
        "campaign": pl.String(),
        "action": pl.String(),  # keep, win back, or a company's own
        "arm": pl.String(),  # of Arm
        "reached": pl.Boolean(),  # whether the contact took place; null: unknown
        "cost": pl.Float64(),  # in the source's currency
        "outcome": pl.String(),
        "outcome_at": pl.Datetime("us", "UTC"),
        "churn_probability": pl.Float64(),
        "expected_value": pl.Float64(),  # in the source's currency, of a horizon
    }
)
TREATMENTS_NEEDED = ("customer_id", "treated_at", "arm")
# Columns that a parquet file of treatments may lack.
TREATMENTS_OPTIONAL = ("campaign", "reached", "churn_probability", "expected_value")

# Why a score is what it is. The last one of a customer, with the code "rest", is everything that no other names:
# contributions sum to the log-odds of the churn probability.
Direction = Literal["raises", "lowers", "neither"]
REASON = pl.Schema(
    {
        "code": pl.String(),  # of the sentence: silence, bad_experiences, open_issue, ...
        "theme": pl.String(),
        "text": pl.String(),  # a sentence with its fact and its date, in English
        "text_it": pl.String(),  # the same in Italian
        "direction": pl.String(),  # of Direction: what it does to the risk
        "contribution": pl.Float64(),  # to the log-odds of churn
        "value": pl.Float64(),  # of the fact, where it is a number
        "peer_median": pl.Float64(),  # of the same among customers who bought about as often; null where unknown
        "date": pl.Date(),  # of the fact, in the source's time zone
    }
)

BAD_WINDOWS = (30, 90, 365)  # days, in which scores count bad experiences

# One row per scored customer: the contract for everything downstream (data/scores.parquet). A column a stage cannot
# fill yet is null, never invented.
SCORES = pl.Schema(
    {
        "customer_id": pl.String(),
        "as_of": pl.Datetime("us", "UTC"),
        "horizon_days": pl.Int32(),
        "churn_probability": pl.Float64(),
        "churn_score": pl.Float64(),  # 0-100
        "risk_tier": pl.String(),  # of RISK_TIERS
        "percentile": pl.Float64(),  # share of scored customers at lower or equal risk, 0-100
        "percentile_in_journey": pl.Float64(),
        "previous_probability": pl.Float64(),
        "clv_expected": pl.Float64(),
        "clv_low": pl.Float64(),  # clv_low to clv_high: a 90% interval
        "clv_high": pl.Float64(),
        "clv_horizon_days": pl.Int32(),
        "clv_margin": pl.Float64(),  # of clv_expected, left after costs; null where no margin is recorded
        "lifetime_value": pl.Float64(),  # of the rest of the customer's life, later money at a discount
        "lifetime_low": pl.Float64(),  # to lifetime_high: a 90% interval
        "lifetime_high": pl.Float64(),
        "historic_value": pl.Float64(),  # bought minus given back, so far; below 0 where more was given back
        "historic_value_gross": pl.Float64(),  # bought so far, whatever was given back
        "currency": pl.String(),
        "p_here": pl.Float64(),  # of still being a customer
        "p_leaves": pl.Float64(),  # of leaving before the horizon is over, if still here
        "value_at_risk": pl.Float64(),  # of who is still here and leaves
        "win_back_value": pl.Float64(),  # of who has left and would come back
        "expected_orders": pl.Float64(),
        "expected_next_order_at": pl.Datetime("us", "UTC"),
        "p_alive": pl.Float64(),
        "loyalty_class": pl.String(),
        "loyalty_score": pl.Float64(),
        "persona": pl.String(),
        "channel": pl.String(),  # of most interactions in a year
        "journey": pl.String(),
        "journey_stage": pl.String(),
        **{f"bad_experiences_{days}d": pl.Int32() for days in BAD_WINDOWS},
        "last_bad_experience_at": pl.Datetime("us", "UTC"),
        "last_bad_experience": pl.String(),
        "open_issue": pl.Boolean(),
        "experience_index": pl.Float64(),  # this and the next: 0-100, good against bad where it was exercised
        **{f"pillar_{name}": pl.Float64() for name in PILLARS},
        **{f"level_{name}": pl.Float64() for name in LEVELS},
        "reasons": pl.List(pl.Struct(REASON)),  # of customers at high or critical risk, with an action or most at stake
        "next_categories": pl.List(  # the three likeliest to be bought of within the horizon, likeliest first
            pl.Struct({"category": pl.String(), "probability": pl.Float64(), "reason": pl.String()})
        ),
        "next_categories_status": pl.String(),  # of NextStatus
        "action": pl.String(),  # of Action
        "best_action": pl.String(),  # the same, also of those who get none: what contacting them would be for
        "offer": pl.Boolean(),  # whether the contact comes with an offer
        "expected_profit": pl.Float64(),  # of the best way to contact the customer, whether they are contacted or not
        "expected_profit_low": pl.Float64(),  # to expected_profit_high: a 90% interval
        "expected_profit_high": pl.Float64(),
        "contact_cost": pl.Float64(),  # of the best way
        "p_saved": pl.Float64(),  # that it keeps or brings back the customer
        "team": pl.String(),
        "contact_on": pl.Date(),
        "held_out": pl.Boolean(),
        "suppression_reason": pl.String(),  # of SuppressionReason; null: may be contacted
        "model_version": pl.String(),
        "status": pl.String(),
    }
)
