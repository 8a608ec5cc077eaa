"""What to do about a risk: tiers, value at risk, what a company says of its costs, and whom to contact how."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt
import polars as pl

from fedelta.features.contract import RISK_TIERS, SuppressionReason
from fedelta.models.policy.holdout import held_out
from fedelta.models.policy.settings import PolicySettings

Floats = npt.NDArray[np.float64]

GONE = 0.5  # chance of still being a customer below which keeping becomes winning back


def risk_tier(probability: Floats, settings: PolicySettings) -> npt.NDArray[np.str_]:
    """Name of the tier of each churn probability; below the first it is "low"."""
    names = np.array([RISK_TIERS[0], *settings.tiers])
    return names[np.searchsorted(np.array(list(settings.tiers.values())), probability, side="right")]


def value_at_risk(probability: Floats, expected_spend: Floats, settings: PolicySettings) -> Floats:
    """Chance of leaving × expected spend in the horizon × margin.

    Expected spend already knows who is long gone, so those do not crowd out the customers who can still be kept.
    """
    return probability * expected_spend * settings.margin


def policy_table(
    customer_ids: Sequence[str],
    at_risk: Floats | None,
    p_alive: Floats,
    settings: PolicySettings,
    suppressed: Collection[str] = (),
    *,
    saved: Floats | None = None,
) -> pl.DataFrame:
    """What to do with each scored customer, and what it is expected to bring.

    Expected profit is that of the best action: assumed success × value at risk − cost, that is, chance saved (chance of
    leaving × success) × value kept − cost. An action is given where the profit is above 0, to the customers of highest
    profit up to the capacity; equal profits go by id. Held out or suppressed customers use up none of the capacity.

    Parameters
    ----------
    customer_ids : sequence of str of length n_customers
        Each once.
    at_risk : ndarray of shape (n_customers,), or None
        Value at risk; None where the source holds no money.
    p_alive : ndarray of shape (n_customers,)
        Chance of still being a customer; NaN where unknown.
    suppressed : collection of str
        Customers who must not be contacted now; see `suppressed_customers`.
    saved : ndarray of shape (n_customers,), optional
        Value that contacting each customer is measured to save (`models.uplift`), below 0 where it drives away. Given
        only where effects per customer passed their gate: it then takes the place of assumed success × value at risk
        for the action of highest success, and in proportion to their success for others.

    Returns
    -------
    DataFrame of shape (n_customers, 3)
        In the order given. `action`: "contact", "offer", "win back" (an offer to who has probably left already) or
        null, no contact. `expected_profit`: of the best action, also for those not contacted; null where money, costs
        or success are unknown, and then there is no action either. `held_out`: in the control group, which is never
        contacted (`policy.holdout`).
    """
    alone = held_out(customer_ids, settings.holdout)
    actions = settings.economics.actions
    if at_risk is None or not actions:
        return pl.DataFrame({"held_out": alone}).select(
            action=pl.lit(None, pl.String), expected_profit=pl.lit(None, pl.Float64), held_out="held_out"
        )
    at_best = at_risk if saved is None else saved / max(success for _, success in actions.values())
    profits = np.column_stack([success * at_best - cost for cost, success in actions.values()])
    best = profits.argmax(axis=1)  # of equal profits the cheaper action
    profit = profits.max(axis=1)
    barred = alone | np.isin(np.array(customer_ids, dtype=str), np.array(sorted(suppressed), dtype=str))
    chosen = _most_profitable(customer_ids, np.where(barred, -np.inf, profit), settings.capacity)
    name = np.array([*actions, "win back"])[best]
    name[(name == "offer") & (p_alive < GONE)] = "win back"
    return pl.DataFrame({"name": name, "chosen": chosen, "expected_profit": profit, "held_out": alone}).select(
        pl.when("chosen").then("name").cast(pl.String).alias("action"), "expected_profit", "held_out"
    )


def suppressed_customers(
    customers: pl.DataFrame, treatments: pl.DataFrame, as_of: datetime, settings: PolicySettings
) -> dict[str, SuppressionReason]:
    """Who must not be contacted and why: the opted out, and those treated less than `cooldown_days` before, or since.

    The opted out have the reason "opted out", treated or not.

    Parameters
    ----------
    customers : DataFrame with `customer_id` and perhaps `opted_out`
        Null is no opt-out.
    treatments : DataFrame with the columns of `features.contract.TREATMENTS`
        What was done to customers; to those of the arm "held_out" nothing was. Times as `as_of`.
    """
    since = as_of - timedelta(days=settings.cooldown_days)
    lately = treatments.filter(pl.col("arm") == "treated", pl.col("treated_at") > since)["customer_id"]
    suppressed: dict[str, SuppressionReason] = dict.fromkeys(lately, "contacted lately")
    if "opted_out" in customers.columns:
        suppressed |= dict.fromkeys(customers.filter(pl.col("opted_out"))["customer_id"], "opted out")
    return suppressed


def _most_profitable(customer_ids: Sequence[str], profit: Floats, capacity: int | None) -> npt.NDArray[np.bool_]:
    """The `capacity` customers of highest profit above 0, in the order given."""
    order = np.lexsort((np.array(customer_ids, dtype=str), -profit))[:capacity]
    chosen = np.zeros(profit.shape, dtype=np.bool_)
    chosen[order] = profit[order] > 0
    return chosen
