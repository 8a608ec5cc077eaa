"""From features to scores: one row per customer, with what to fear, what is at stake and why."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import polars as pl
from scipy.stats import rankdata

from fedelta.features.contract import BAD_WINDOWS, SCORES, NextStatus, SuppressionReason
from fedelta.features.history import DAY_US
from fedelta.models.btyd.fits import ParetoNbd
from fedelta.models.btyd.next_order import days_to_next_order
from fedelta.models.churn.model import ChurnModel
from fedelta.models.explain import reasons
from fedelta.models.loyalty.model import LoyaltyModel
from fedelta.models.loyalty.personas import PersonaModel
from fedelta.models.panel import floats
from fedelta.models.policy.actions import policy_table, risk_tier, value_at_risk
from fedelta.models.policy.settings import PolicySettings
from fedelta.models.value.model import ClvModel, OrdersModel

Floats = npt.NDArray[np.float64]
KNOWN_VALUE = "known_value"
_CENTURY_DAYS = 36_525
INDEXES = [name for name in SCORES if name.startswith(("experience_index", "pillar_", "level_"))]


@dataclass(frozen=True)
class Models:
    """What a bundle holds to score with; `clv` is None where no money is known, `orders` where too little was."""

    churn: ChurnModel
    clv: ClvModel | None
    orders: OrdersModel | None
    pareto: ParetoNbd | None  # of the scoring cutoff
    loyalty: LoyaltyModel
    personas: PersonaModel


def score(
    table: pd.DataFrame,
    models: Models,
    policy: PolicySettings,
    *,
    currency: str,
    model_version: str,
    indexes: pl.DataFrame | None = None,
    suppressed: Mapping[str, SuppressionReason] | None = None,
    unseen: Sequence[str] = (),
    out_of_fold: Mapping[str, float] | None = None,
    next_categories: tuple[pl.DataFrame, NextStatus] | None = None,
) -> pl.DataFrame:
    """Scores of every customer at one cutoff, in the columns and order of ``features.contract.SCORES``.

    Parameters
    ----------
    table : DataFrame
        Features and prior columns, times in UTC without a zone, of all customers with a history at the cutoff. Those
        whose `status` is not "scored" keep it and get no figures. `known_value`, if there, is what the company says
        each customer is worth over the horizon if they stay; value at risk then goes by it.
    indexes : DataFrame, optional
        `customer_id` and the indexes of experience, 0-100, each null where a customer never met what it judges.
    suppressed : mapping of str to str, optional
        Customers who must not be contacted, and why: `models.policy.actions.suppressed_customers`.
    unseen : sequence of str
        Known customers without features at the cutoff, as nothing had happened yet: status "no_history".
    out_of_fold : mapping of customer to float, optional
        Churn probabilities by models of other customers, for those of a table whom the model learned from: it knows
        their answer.
    next_categories : pair of DataFrame and str, optional
        `customer_id` and `next_categories` of those who had bought of a category, and the status of the others.

    Returns
    -------
    DataFrame of shape (n_customers, len(SCORES))
        Sorted by customer_id. What no model fills is null.
    """
    scored = table[table["status"] == "scored"]
    rest = table[table["status"] != "scored"]
    as_of, horizon = table["cutoff"].iloc[0], int(table["horizon_days"].iloc[0])
    frames = [_scored(scored, models, policy, suppressed or {}, out_of_fold or {}, as_of=as_of, currency=currency)]
    frames.append(pl.DataFrame({"customer_id": rest["customer_id"].to_list(), "status": rest["status"].to_list()}))
    frames.append(pl.DataFrame({"customer_id": list(unseen), "status": ["no_history"] * len(unseen)}))
    if indexes is not None:
        frames[0] = frames[0].join(indexes.select("customer_id", *INDEXES), on="customer_id", how="left")
    if next_categories is not None:
        recommended, otherwise = next_categories
        joined = frames[0].join(recommended, on="customer_id", how="left")
        some = pl.when(pl.col("next_categories").is_not_null()).then(pl.lit("predicted")).otherwise(pl.lit(otherwise))
        frames[0] = joined.with_columns(next_categories_status=some)
    every = pl.concat([_complete(frame) for frame in frames])
    return every.with_columns(
        as_of=pl.lit(as_of.to_pydatetime()).dt.replace_time_zone("UTC").cast(SCORES["as_of"]),
        horizon_days=pl.lit(horizon, pl.Int32),
        suppression_reason=pl.col("customer_id").replace_strict(suppressed or {}, default=None, return_dtype=pl.String),
        model_version=pl.lit(model_version),
    ).sort("customer_id")


def _scored(
    table: pd.DataFrame,
    models: Models,
    policy: PolicySettings,
    suppressed: Mapping[str, SuppressionReason],
    out_of_fold: Mapping[str, float],
    *,
    as_of: pd.Timestamp,
    currency: str,
) -> pl.DataFrame:
    churn, clv = models.churn, models.clv
    probability = churn.churn_probability(table)
    if out_of_fold:
        held_out = table["customer_id"].map(out_of_fold).to_numpy(np.float64)
        probability = np.where(np.isnan(held_out), probability, held_out)
    value = floats(table, KNOWN_VALUE) if KNOWN_VALUE in table else None
    loyalty_class, loyalty_score = models.loyalty.classify(table)
    out: dict[str, object] = {
        "customer_id": table["customer_id"].to_list(),
        "churn_probability": probability,
        "churn_score": (probability * 100).round(1),
        "risk_tier": risk_tier(probability, policy).tolist(),
        "percentile": rankdata(probability, "max") * (100 / max(len(table), 1)),
        "historic_value": _net(table) if clv else None,
        "historic_value_gross": floats(table, "spend") if clv else None,
        "currency": [currency] * len(table) if clv or value is not None else None,
        "expected_orders": models.orders.expected_orders(table) if models.orders else None,
        "expected_next_order_at": _ahead(as_of, days_to_next_order(table, models.pareto)) if models.pareto else None,
        "p_alive": floats(table, "pareto_p_alive"),
        "loyalty_class": loyalty_class.tolist(),
        "loyalty_score": loyalty_score,
        "persona": models.personas.assign(table).tolist(),
        "journey": pl.from_pandas(table["journey"]),
        "journey_stage": pl.from_pandas(table["journey_stage"]),
        **{f"bad_experiences_{d}d": floats(table, f"bad_experience_count_{d}d") for d in BAD_WINDOWS},
        "last_bad_experience_at": (as_of - _exact(floats(table, "days_since_last_bad_experience"))).to_numpy("M8[us]"),
        "last_bad_experience": pl.from_pandas(table["last_bad_experience"]),  # pandas holds a missing text as NaN
        "open_issue": pl.Series(floats(table, "unresolved_since_resolved_count")).fill_nan(None) > 0,
        "status": ["scored"] * len(table),
    }
    ranked, at_risk = probability, None
    if clv:
        out["clv_expected"] = expected = clv.expected_spend(table)
        out["clv_low"], out["clv_high"] = clv.interval(table)
        out["value_at_risk"] = ranked = at_risk = value_at_risk(probability, expected, policy)
    if value is not None:
        out["value_at_risk"] = at_risk = value_at_risk(probability, value, policy)
        ranked = np.nan_to_num(at_risk)
    frame = pl.DataFrame({name: values for name, values in out.items() if values is not None})
    ids = table["customer_id"].to_list()
    frame = frame.hstack(policy_table(ids, at_risk, floats(table, "pareto_p_alive"), policy, suppressed))
    frame = frame.with_columns(pl.col(pl.Float64).fill_nan(None), pl.col(pl.Datetime).dt.replace_time_zone("UTC"))
    frame = frame.with_columns(percentile_in_journey=_percentile_within("journey"))
    explained = frame["action"].is_not_null().to_numpy(writable=True)
    explained[np.argsort(-ranked, kind="stable")[: policy.explained]] = True
    column: list[list[dict[str, object]] | None] = [None] * len(table)
    for row, held in zip(np.flatnonzero(explained), reasons(churn, table[explained]), strict=True):
        column[row] = held
    return frame.with_columns(pl.Series("reasons", column, dtype=SCORES["reasons"]))


def _percentile_within(group: str) -> pl.Expr:
    """Share of the customers of one's group at lower or equal risk, 0-100; null for those of no group."""
    rank = pl.col("churn_probability").rank("max").over(group) * 100 / pl.len().over(group)
    return pl.when(pl.col(group).is_not_null()).then(rank)


def _net(table: pd.DataFrame) -> Floats:
    """What customers bought minus what they were given back, to the 1/10,000 that money is counted in."""
    return np.round(floats(table, "spend") - floats(table, "returned_value"), 4)


def _exact(days: Floats) -> pd.TimedeltaIndex:
    """The time that a number of days stands for, to the microsecond it was computed from; none of NaN."""
    rounded = np.where(np.isnan(days), np.iinfo(np.int64).min, np.round(np.nan_to_num(days) * DAY_US))
    return pd.TimedeltaIndex(rounded.astype(np.int64).view("m8[us]"))


def _ahead(as_of: pd.Timestamp, days: Floats) -> npt.NDArray[np.datetime64]:
    """The instants so many days ahead, to the minute; not a time where the days are NaN, or more than a century."""
    return (
        as_of + pd.to_timedelta(np.round(np.where(days <= _CENTURY_DAYS, days, np.nan) * 1440), unit="min")
    ).to_numpy("M8[us]")


def _complete(frame: pl.DataFrame) -> pl.DataFrame:
    """The frame with every column of the contract, null where it has none."""
    return frame.select(
        (pl.col(name) if name in frame.columns else pl.lit(None)).cast(dtype).alias(name)
        for name, dtype in SCORES.items()
    )
