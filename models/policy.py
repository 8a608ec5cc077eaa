"""What to do about a risk: tiers, value at risk, what a company says of its costs, and whom to contact how."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt
import polars as pl

from features.contract import RISK_TIERS, Spared
from features.errors import ExplainedError
from models.holdout import HoldoutSettings, held_out

Floats = npt.NDArray[np.float64]

GONE = 0.5  # chance of still being a customer below which keeping becomes winning back


class BadPolicy(ExplainedError, ValueError):
    """The tiers are not those of scores or cannot be told apart, or a cost or a limit cannot be."""


@dataclass(frozen=True)
class EconomicsSettings:
    """What winning and keeping customers costs, in the source's currency; None where the company does not say.

    `success` is the assumed chance that a customer about to leave stays because of the contact and its offer,
    `contact_success` that of a contact without an offer. Both are assumptions until treatments have been measured
    against the holdout.
    """

    acquisition_cost: float | None = None
    contact_cost: float | None = None
    offer_cost: float | None = None
    success: float | None = None
    contact_success: float | None = None

    def __post_init__(self) -> None:
        """Refuse negative costs and a success that is no chance.

        Raises
        ------
        BadPolicy
            If there are any.
        """
        for name in ("acquisition_cost", "contact_cost", "offer_cost"):
            if (cost := getattr(self, name)) is not None and not 0 <= cost < float("inf"):
                raise BadPolicy(f"policy.economics.{name} is {cost:g}; it must be 0 or more, or null if unknown.")
        for name in ("success", "contact_success"):
            if (chance := getattr(self, name)) is not None and not 0 < chance <= 1:
                raise BadPolicy(
                    f"policy.economics.{name} is {chance:g}; it must be above 0 and at most 1, or null if unknown."
                )

    @property
    def actions(self) -> dict[str, tuple[float, float]]:
        """What can be done, cheapest first: cost of doing it to one customer, and its assumed success."""
        known = {}
        if self.contact_cost is not None and self.contact_success is not None:
            known["contact"] = (self.contact_cost, self.contact_success)
        if self.contact_cost is not None and self.offer_cost is not None and self.success is not None:
            known["offer"] = (self.contact_cost + self.offer_cost, self.success)
        return known


@dataclass(frozen=True)
class PolicySettings:
    """How risk becomes a tier, money and an action."""

    tiers: Mapping[str, float] = field(default_factory=lambda: {"medium": 0.3, "high": 0.6, "critical": 0.8})
    margin: float = 1.0
    explained: int = 500  # customers with most at risk that get reasons, beside all those with an action
    economics: EconomicsSettings = field(default_factory=EconomicsSettings)
    capacity: int | None = None  # customers that can be contacted per run; None for no limit
    cooldown_days: int = 30  # in which nobody is contacted again
    holdout: HoldoutSettings = field(default_factory=HoldoutSettings)

    def __post_init__(self) -> None:
        """Refuse tiers that scores do not have or that do not ascend within (0, 1), and limits below 0.

        Raises
        ------
        BadPolicy
            If they do not.
        """
        lowest, *others = RISK_TIERS
        if list(self.tiers) != [name for name in others if name in self.tiers]:
            raise BadPolicy(
                f"policy.tiers is {dict(self.tiers)}; its names must be among {', '.join(others)}, in this order. "
                f"Below the first of them a risk is {lowest}."
            )
        edges = list(self.tiers.values())
        if edges != sorted(set(edges)) or not all(0 < edge < 1 for edge in edges):
            raise BadPolicy(f"policy.tiers is {dict(self.tiers)}; the probabilities must ascend between 0 and 1.")
        for name in ("capacity", "cooldown_days"):
            if (limit := getattr(self, name)) is not None and limit < 0:
                raise BadPolicy(f"policy.{name} is {limit}; it must be 0 or more.")


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
    spared: Collection[str] = (),
) -> pl.DataFrame:
    """What to do with each scored customer, and what it is expected to bring.

    Expected profit is that of the best action: assumed success × value at risk − cost, that is, chance saved (chance of
    leaving × success) × value kept − cost. An action is given where the profit is above 0, to the customers of highest
    profit up to the capacity; equal profits go by id. Who is held out or spared takes no place of the capacity.

    Parameters
    ----------
    customer_ids : sequence of str of length n_customers
        Each once.
    at_risk : ndarray of shape (n_customers,), or None
        Value at risk; None where the source holds no money.
    p_alive : ndarray of shape (n_customers,)
        Chance of still being a customer; NaN where unknown.
    spared : collection of str
        Customers not to be contacted now; see `spared_customers`.

    Returns
    -------
    DataFrame of shape (n_customers, 3)
        In the order given. `action`: "contact", "offer", "win back" (an offer to who has probably left already) or
        null, leave alone. `expected_profit`: of the best action, also for who is left alone; null where money, costs
        or success are unknown, and then there is no action either. `held_out`: never contacted (`models.holdout`).
    """
    alone = held_out(customer_ids, settings.holdout)
    actions = settings.economics.actions
    if at_risk is None or not actions:
        return pl.DataFrame({"held_out": alone}).select(
            action=pl.lit(None, pl.String), expected_profit=pl.lit(None, pl.Float64), held_out="held_out"
        )
    profits = np.column_stack([success * at_risk - cost for cost, success in actions.values()])
    best = profits.argmax(axis=1)  # of equal profits the cheaper action
    profit = profits.max(axis=1)
    barred = alone | np.isin(np.array(customer_ids, dtype=str), np.array(sorted(spared), dtype=str))
    chosen = _most_profitable(customer_ids, np.where(barred, -np.inf, profit), settings.capacity)
    name = np.array([*actions, "win back"])[best]
    name[(name == "offer") & (p_alive < GONE)] = "win back"
    return pl.DataFrame({"name": name, "chosen": chosen, "expected_profit": profit, "held_out": alone}).select(
        pl.when("chosen").then("name").cast(pl.String).alias("action"), "expected_profit", "held_out"
    )


def spared_customers(
    customers: pl.DataFrame, treatments: pl.DataFrame, as_of: datetime, settings: PolicySettings
) -> dict[str, Spared]:
    """Who must not be contacted and why: the opted out, and those treated less than `cooldown_days` before, or since.

    Who opted out is told as such, treated or not.

    Parameters
    ----------
    customers : DataFrame with `customer_id` and perhaps `opted_out`
        Null is no opt-out.
    treatments : DataFrame with the columns of `features.contract.TREATMENTS`
        What was done to customers; to those of the arm "held_out" nothing was. Times as `as_of`.
    """
    since = as_of - timedelta(days=settings.cooldown_days)
    lately = treatments.filter(pl.col("arm") == "treated", pl.col("treated_at") > since)["customer_id"]
    spared: dict[str, Spared] = dict.fromkeys(lately, "contacted lately")
    if "opted_out" in customers.columns:
        spared |= dict.fromkeys(customers.filter(pl.col("opted_out"))["customer_id"], "opted out")
    return spared


def _most_profitable(customer_ids: Sequence[str], profit: Floats, capacity: int | None) -> npt.NDArray[np.bool_]:
    """The `capacity` customers of highest profit above 0, in the order given."""
    order = np.lexsort((np.array(customer_ids, dtype=str), -profit))[:capacity]
    chosen = np.zeros(profit.shape, dtype=np.bool_)
    chosen[order] = profit[order] > 0
    return chosen
