"""What a scoring run plans: who is to be contacted how, what it should bring, and why others are not contacted."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import get_args

import polars as pl

from fedelta.features.contract import SuppressionReason
from fedelta.models.policy.settings import PolicySettings

HELD_OUT = "in the control group, to measure what contacting achieves"
BEYOND = "beyond the capacity"
# Why a customer of the scores is not to be contacted, in words; null where they may be. A suppression comes before the
# control group.
NOT_CONTACTED = pl.coalesce("suppression_reason", pl.when("held_out").then(pl.lit(HELD_OUT))).alias("not_contacted")
_REASONS = (*get_args(SuppressionReason), HELD_OUT, BEYOND)


@dataclass(frozen=True)
class Plan:
    """The actions of a run; whom contacting would pay for is either to be contacted or left out, for one reason."""

    worth: int  # customers whose best action is expected to bring more than it costs
    actions: Mapping[str, int]  # customers by action, commonest first
    profit: float  # expected of all actions
    capacity: int | None
    left_out: Mapping[str, int]  # customers worth a contact by why they get none, in words

    def says(self, currency: str) -> str:
        """The plan in words."""
        if not self.worth:
            return "At these costs nobody is worth a contact, so none is planned."
        kinds = ", ".join(f"{n:,} {action}" for action, n in self.actions.items())
        limit = "" if self.capacity is None else f" of at most {self.capacity:,} per run"
        text = f"Planned are {sum(self.actions.values()):,} actions{limit}{f' ({kinds})' if kinds else ''}, "
        text += f"expected to bring {self.profit:,.0f} {currency}. Contacting would pay for {self.worth:,} customers"
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
        profit=float(acted["expected_profit"].sum()),
        capacity=policy.capacity,
        left_out={reason: int((why == reason).sum()) for reason in _REASONS},
    )
