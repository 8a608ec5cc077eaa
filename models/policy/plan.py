"""What a scoring run plans: whom to contact how, what it should bring, why others are left out; and what if."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import get_args

import polars as pl

from fedelta.features.contract import SuppressionReason
from fedelta.models.policy.settings import PolicySettings

HELD_OUT = "in the control group, to measure what contacting achieves"
BEYOND = "beyond what capacity, budget and teams reach"
# Why a customer of the scores is not to be contacted, in words; null where they may be. A suppression comes before the
# control group.
NOT_CONTACTED = pl.coalesce("suppression_reason", pl.when("held_out").then(pl.lit(HELD_OUT))).alias("not_contacted")
_REASONS = (*get_args(SuppressionReason), HELD_OUT, BEYOND)
_STEPS = 40  # points of a curve


@dataclass(frozen=True)
class Plan:
    """The actions of a run; whom contacting would pay for is either to be contacted or left out, for one reason."""

    worth: int  # customers whom a contact is expected to bring more than it costs
    actions: Mapping[str, int]  # customers by action, commonest first
    saves: float  # customers expected to be kept or won back
    cost: float
    profit: float  # expected of all actions
    limit: str | None  # of the contacts of a run, in words
    left_out: Mapping[str, int]  # customers worth a contact by why they get none, in words

    def says(self, currency: str) -> str:
        """The plan in words."""
        if not self.worth:
            return "At these costs nobody is worth a contact, so none is planned."
        kinds = ", ".join(f"{n:,} {action}" for action, n in self.actions.items())
        limit = "" if self.limit is None else f" of at most {self.limit} per run"
        number = sum(self.actions.values())
        planned = "Planned is 1 action" if number == 1 else f"Planned are {number:,} actions"
        text = f"{planned}{limit}{f' ({kinds})' if kinds else ''}, expected to "
        text += f"save {self.saves:,.1f} customers at a cost of {self.cost:,.0f} {currency} and to bring "
        text += f"{self.profit:,.0f} {currency} after it. Contacting would pay for {self.worth:,} customers"
        left = [f"{n:,} {why}" for why, n in self.left_out.items() if n]
        return f"{text}; left out are {'; '.join(left)}." if left else f"{text}, all of whom get an action."


def plan_of(scores: pl.DataFrame, policy: PolicySettings) -> Plan | None:
    """The plan that stands in the scores; None where money, costs or success are unknown, and with them any action.

    Parameters
    ----------
    scores : DataFrame
        Of all customers, with the columns of `features.contract.SCORES`.
    """
    if scores["expected_profit"].null_count() == scores.height:
        return None
    acting = pl.col("action").is_not_null()
    worth = scores.filter(acting | (pl.col("expected_profit") > 0))
    acted, rest = worth.filter(acting), worth.filter(~acting)
    counts = acted["action"].value_counts(name="n").sort("n", "action", descending=[True, False])
    why = rest.select(NOT_CONTACTED.fill_null(BEYOND))["not_contacted"]
    return Plan(
        worth=worth.height,
        actions={str(action): int(n) for action, n in counts.rows()},
        saves=float(acted["p_saved"].sum()),
        cost=float(acted["contact_cost"].sum()),
        profit=float(acted["expected_profit"].sum()),
        limit=_limit(policy),
        left_out={reason: int((why == reason).sum()) for reason in _REASONS},
    )


def contact_curve(scores: pl.DataFrame, capacity: int | None = None) -> pl.DataFrame:
    """What the contacts of a run would bring, by how many are made: the most profitable customers first.

    Parameters
    ----------
    scores : DataFrame
        Of all customers, with the columns of `features.contract.SCORES`; those who must not be contacted, and the
        control group, are left out.
    capacity : int, optional
        A number of contacts that gets a row of its own.

    Returns
    -------
    DataFrame with `contacts`, `saves`, `cost`, `profit` (sums over so many customers), `last_profit` (of the last of
    them) and `mark`: "optimum" where the sum is highest, "capacity" at the number asked for, else null. Some forty rows
    from 0 to everybody who may be contacted.
    """
    known = scores.filter(pl.col("expected_profit").is_not_null(), ~pl.col("held_out"))
    free = known.filter(pl.col("suppression_reason").is_null()).sort(-pl.col("expected_profit"), "customer_id")
    profit = free["expected_profit"]
    marks = curve_points(free.height, int((profit > 0).sum()), capacity)
    rows = list(marks)
    sums = {
        name: [0.0, *free[column].fill_null(0.0).cum_sum().to_list()]
        for name, column in (("saves", "p_saved"), ("cost", "contact_cost"), ("profit", "expected_profit"))
    }
    return pl.DataFrame(
        {
            "contacts": rows,
            **{name: [held[n] for n in rows] for name, held in sums.items()},
            "last_profit": [profit[n - 1] if n else None for n in rows],
            "mark": list(marks.values()),
        },
        schema_overrides={"contacts": pl.Int64, "last_profit": pl.Float64, "mark": pl.String},
    )


def curve_points(everybody: int, best: int, capacity: int | None) -> dict[int, str | None]:
    """The numbers of contacts that a curve shows, ascending, with the marks of `contact_curve`.

    Parameters
    ----------
    everybody, best : int
        How many customers may be contacted, and contacting how many of them brings most.
    capacity : int, optional
        A number that is asked for.
    """
    marks: dict[int, str | None] = {everybody * step // (_STEPS - 1): None for step in range(_STEPS)}
    if capacity is not None:
        marks[min(capacity, everybody)] = "capacity"
    marks[best] = "optimum"
    return dict(sorted(marks.items()))


def _limit(policy: PolicySettings) -> str | None:
    limits = [] if policy.capacity is None else [f"{policy.capacity:,}"]
    if policy.budget is not None:
        limits.append(f"a budget of {policy.budget:,.2f}".removesuffix(".00"))
    if policy.teams:
        most = sum(team.per_day for team in policy.teams.values()) * policy.run_days
        limits.append(f"{most:,} by the teams in {policy.run_days} days")
    return " and ".join(limits) or None
