"""What to do about a risk: tiers, whom to contact how, and what it should bring."""

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from fedelta.features.contract import RISK_TIERS, SCORES, SuppressionReason
from fedelta.models.policy.holdout import held_out
from fedelta.models.policy.queue import Queue
from fedelta.models.policy.settings import PolicySettings
from fedelta.models.policy.stakes import Stakes
from fedelta.models.rounding import PREDICTED, probabilities, significant

Floats = npt.NDArray[np.float64]

PLANNED = (
    "action", "best_action", "offer", "expected_profit", "expected_profit_low", "expected_profit_high", "contact_cost",
    "p_saved", "team", "contact_on", "held_out",
)  # fmt: skip
_WIDTH = 1.6448536269514722  # standard deviations of a normal distribution from its mean to the end of a 90% interval


def risk_tier(probability: Floats, settings: PolicySettings) -> npt.NDArray[np.str_]:
    """Name of the tier of each churn probability; below the first it is "low"."""
    names = np.array([RISK_TIERS[0], *settings.tiers])
    return names[np.searchsorted(np.array(list(settings.tiers.values())), probability, side="right")]


def policy_table(
    customer_ids: Sequence[str],
    at_stake: Stakes | None,
    settings: PolicySettings,
    suppressed: Collection[str] = (),
    *,
    as_of: datetime | None = None,
    contacts: Mapping[str, int] | None = None,
    gain: Floats | None = None,
) -> pl.DataFrame:
    """What to do with each scored customer, and what it is expected to bring.

    The profit of a contact is its success at keeping × value at risk + its success at winning back × value of who has
    left − its cost; of the known ways of contacting the best counts. Winning back halves in success with every
    `win_back_half_life_days` since leaving, and everything with every `fatigue` contacts of the last year. A contact is
    planned where the profit is above 0, from the most profitable down, as far as capacity, budget and teams reach;
    equal profits go by id. Held out or suppressed customers use up none of it.

    Parameters
    ----------
    customer_ids : sequence of str of length n_customers
        Each once.
    at_stake : Stakes, or None
        None where the source holds no money.
    suppressed : collection of str
        Customers who must not be contacted now; see `suppressed_customers`.
    as_of : datetime, optional
        The first day on which the teams contact somebody.
    contacts : mapping of customer to int, optional
        Contacts within the last year; see `contacts_of_a_year`.
    gain : ndarray of shape (n_customers,), optional
        What a contact is measured to bring each customer (an uplift model that passed its gate), in place of success ×
        value at risk: by the way that keeps most, by others in proportion to their success.

    Returns
    -------
    DataFrame of shape (n_customers, len(PLANNED))
        In the order given, null where money, costs or success are unknown. `action` is "keep" or, where more is to be
        had from those who have left, "win back"; null: no contact. `best_action`, profit, cost
        and chance of saving are those of the best way also for those not contacted. `held_out`: in the control group,
        never contacted (`policy.holdout`).
    """
    columns = planned(customer_ids, at_stake, settings, suppressed, as_of=as_of, contacts=contacts, gain=gain)[0]
    return pl.DataFrame(columns, schema={name: SCORES[name] for name in PLANNED}, nan_to_null=True)


def planned(
    customer_ids: Sequence[str],
    at_stake: Stakes | None,
    settings: PolicySettings,
    suppressed: Collection[str] = (),
    *,
    as_of: datetime | None = None,
    contacts: Mapping[str, int] | None = None,
    gain: Floats | None = None,
    queue: Queue | Literal["decide"] | None = "decide",
) -> tuple[dict[str, Any], Queue | None]:
    """The columns of `policy_table`, and the queue of who is contacted; None where nothing is known by which to decide.

    With a `queue` of all customers of a run, which began on `as_of`, each has their turn in it; without one these
    customers are all there are.
    """
    alone = held_out(customer_ids, settings.holdout)
    ways = settings.economics.contacts
    known = at_stake is not None and bool(ways) and len(customer_ids) > 0 and queue is not None
    if known and queue == "decide":
        known = at_stake is not None and not np.isnan(at_stake.value_at_risk).all()
    if at_stake is None or not known:
        return {name: alone if name == "held_out" else [None] * len(alone) for name in PLANNED}, None
    fade = 2.0 ** (-np.nan_to_num(at_stake.days_gone) / settings.economics.win_back_half_life_days)
    tired = _fatigue(customer_ids, contacts or {}, settings.fatigue)
    at_best = at_stake.value_at_risk if gain is None else gain / (max(w.keeps for w in ways) or 1.0)
    kept = np.column_stack([w.keeps * at_best for w in ways]) * tired[:, None]
    back = np.column_stack([w.brings_back * fade * at_stake.win_back_value for w in ways]) * tired[:, None]
    saved = [w.keeps * at_stake.p_here * at_stake.p_leaves + w.brings_back * fade * (1 - at_stake.p_here) for w in ways]
    cost = np.array([w.cost for w in ways], np.float64)
    best = np.argmax(np.nan_to_num(kept + back - cost, nan=-np.inf), axis=1)  # of equal profits the cheaper way
    kept, back = (np.take_along_axis(part, best[:, None], axis=1)[:, 0] for part in (kept, back))
    profit = significant(kept + back - cost[best], PREDICTED)
    barred = alone | np.isin(np.array(customer_ids, dtype=str), np.array(sorted(suppressed), dtype=str))
    action = np.where((back > kept) & (back > 0), "win back", "keep")
    worth = np.where(barred | np.isnan(profit), -np.inf, profit)
    if not isinstance(queue, Queue):
        queue = Queue.of(customer_ids, worth, cost[best], action, settings)
    turn = queue.turns(customer_ids, worth, cost[best], action)
    met = turn.contacted
    chance = np.column_stack(saved)[np.arange(len(best)), best] * tired
    low, high = _interval(kept + back, at_stake.spread)
    first = as_of.date() if as_of else date(1970, 1, 1)
    dated = settings.teams and as_of is not None
    on = [first + timedelta(days=d) if dated and d >= 0 else None for d in turn.day.tolist()]
    teams = list(settings.teams)
    columns = {
        "action": _where(met, action.tolist()),
        "best_action": _where(~np.isnan(profit), action.tolist()),
        "offer": _where(met, [ways[way].offer for way in best.tolist()]),
        "expected_profit": profit,
        "expected_profit_low": significant(low - cost[best], PREDICTED),
        "expected_profit_high": significant(high - cost[best], PREDICTED),
        "contact_cost": cost[best],
        "p_saved": probabilities(chance),
        "team": [teams[number] if number >= 0 else None for number in turn.team.tolist()],
        "contact_on": on,
        "held_out": alone,
    }
    return columns, queue


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


def contacts_of_a_year(treatments: pl.DataFrame, as_of: datetime) -> dict[str, int]:
    """Contacts of each customer within the 365 days before a time; who had none is left out."""
    since = as_of - timedelta(days=365)
    rows = treatments.filter(pl.col("arm") == "treated", pl.col("treated_at").is_between(since, as_of, closed="left"))
    return {str(name): int(n) for name, n in rows["customer_id"].value_counts(name="n").sort("customer_id").rows()}


def _where(mask: npt.NDArray[np.bool_], values: Sequence[object]) -> list[object]:
    """The values of a mask, None elsewhere (n_customers,)."""
    return [value if met else None for met, value in zip(mask.tolist(), values, strict=True)]


def _fatigue(customer_ids: Sequence[str], contacts: Mapping[str, int], halves_after: float | None) -> Floats:
    """What is left of a success after so many contacts (n_customers,)."""
    if halves_after is None:
        return np.ones(len(customer_ids))
    return np.asarray([2.0 ** (-contacts.get(name, 0) / halves_after) for name in customer_ids], np.float64)


def _interval(money: Floats, spread: Floats) -> tuple[Floats, Floats]:
    """The 90% interval of an expectation whose logarithm is uncertain by `spread`, (n_customers,) each; it holds it.

    Where next to nothing is known, the mean of so skew a distribution lies beyond its 95th percentile; where margins
    are negative, the larger amount is the lower end.
    """
    ends = [money * np.exp(side * spread - spread**2 / 2) for side in (-_WIDTH, _WIDTH)]
    low, high = np.minimum(*ends), np.maximum(*ends)
    return np.minimum(low, money), np.maximum(high, money)
