"""When somebody is a customer: which kinds of interaction are activity, bring revenue, and begin or end a contract."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from fedelta.features.errors import FedeltaError

Definition = Literal["inactivity", "event", "declared"]

PURCHASES = ("purchase",)
# Kinds whose amounts are money that the customer paid.
REVENUE = ("purchase", "renewal")
# Kinds that show a running contract: after a cancellation they make somebody a customer again. A return, a refund, a
# contact or a survey does not.
RESUMING = ("purchase", "renewal", "enrolment")


class UnknownKind(FedeltaError, ValueError):
    """Settings name a kind of interaction that the source does not have, or that cannot have this role."""


@dataclass(frozen=True)
class Relationship:
    """What churn is and who can churn: `churn.definition`, `churn.activity` and `churn.ended` of params.yaml.

    `activity`: with ``inactivity``, a customer has left who does none of these in the horizon, and only who did one
    before the cutoff is scored. BTYD models and the measures of rhythm count them. `ended`: kinds after which the
    relationship is over without churn (a contract that expired, a course that was completed).
    """

    definition: Definition = "inactivity"
    activity: tuple[str, ...] = PURCHASES
    ended: tuple[str, ...] = ()

    @property
    def by_purchases(self) -> bool:
        """Whether activity is what it is unless declared: a purchase."""
        return self.activity == PURCHASES

    @property
    def activity_pays(self) -> bool:
        """Whether activity brings money, so that its value can be modelled."""
        return bool({*self.activity} & {*REVENUE})

    def check(self, kinds: Collection[str]) -> None:
        """Refuse kinds that the source, which has `kinds`, does not know, and contradictions.

        Raises
        ------
        UnknownKind
            If there are any.
        """
        known = ", ".join(sorted(kinds))
        if not self.activity:
            raise UnknownKind(f"churn.activity is empty; it must name the kinds that are activity, such as {known}.")
        for key, named in (("activity", self.activity), ("ended", self.ended)):
            if unknown := [kind for kind in named if kind not in kinds]:
                raise UnknownKind(
                    f"churn.{key} names {', '.join(map(repr, unknown))}, which the source does not have. Its kinds are "
                    f"{known}."
                )
        if both := sorted({*self.ended} & {*self.activity, *RESUMING, "cancellation"}):
            raise UnknownKind(
                f"churn.ended names {', '.join(both)}; it must name other kinds than churn.activity, cancellation and "
                f"those that begin or continue a relationship ({', '.join(RESUMING)})."
            )


USUAL = Relationship()  # leaving is to stop buying
