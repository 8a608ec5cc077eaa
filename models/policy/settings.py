"""The section `policy` of params.yaml."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from fedelta.features.contract import RISK_TIERS
from fedelta.features.errors import FedeltaError
from fedelta.features.ranges import DaysOrNone, PositiveShare, WholeNumber


class BadHoldout(FedeltaError, ValueError):
    """The holdout cannot be drawn as set."""


@dataclass(frozen=True)
class HoldoutSettings:
    """Share of customers held out, and the salt of the draw: another salt draws others and ends every comparison."""

    share: float = 0.1
    salt: str = "fedelta"

    def __post_init__(self) -> None:
        """Refuse a share that leaves nobody to contact.

        Raises
        ------
        BadHoldout
            If there is none.
        """
        if not 0 <= self.share < 1:
            raise BadHoldout(f"policy.holdout.share is {self.share:g}; it must be at least 0 and below 1.")


class BadPolicy(FedeltaError, ValueError):
    """The tiers are not those of scores or do not ascend, or a cost or a limit cannot be."""


Success: TypeAlias = float | Literal["measured"] | None  # measured: what the treatments show, once it is known


@dataclass(frozen=True)
class EconomicsSettings:
    """What winning and keeping customers costs, in the source's currency; None where the company does not say.

    `success` is the assumed chance that a customer about to leave stays because of the contact and its offer,
    `contact_success` that of a contact without an offer. Both are assumptions, or ``measured``: what treatments show
    against the holdout, which `models.incrementality.measured.with_measured` puts in.
    """

    acquisition_cost: float | None = None
    contact_cost: float | None = None
    offer_cost: float | None = None
    success: Success = None
    contact_success: Success = None

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
            if (chance := getattr(self, name)) not in (None, "measured") and not 0 < chance <= 1:
                raise BadPolicy(
                    f"policy.economics.{name} is {chance:g}; it must be above 0 and at most 1, measured, or null if "
                    "unknown."
                )

    def chance(self, name: Literal["success", "contact_success"]) -> float | None:
        """A success as a number, or None if unknown.

        Raises
        ------
        BadPolicy
            If it is to be measured, and the measured one was not put in.
        """
        value: Success = getattr(self, name)
        if value == "measured":
            raise BadPolicy(f"policy.economics.{name} is measured, which was not looked up: use `with_measured` first.")
        return value

    @property
    def actions(self) -> dict[str, tuple[float, float]]:
        """What can be done, cheapest first: cost of doing it to one customer, and its assumed success."""
        known = {}
        contact_success, success = self.chance("contact_success"), self.chance("success")
        if self.contact_cost is not None and contact_success is not None:
            known["contact"] = (self.contact_cost, contact_success)
        if self.contact_cost is not None and self.offer_cost is not None and success is not None:
            known["offer"] = (self.contact_cost + self.offer_cost, success)
        return known


@dataclass(frozen=True)
class PolicySettings:
    """How risk becomes a tier, money and an action."""

    tiers: Mapping[str, float] = field(default_factory=lambda: {"medium": 0.3, "high": 0.6, "critical": 0.8})
    margin: PositiveShare = 1.0
    explained: WholeNumber = 500  # customers with most at risk that get reasons, beside all those with an action
    economics: EconomicsSettings = field(default_factory=EconomicsSettings)
    capacity: WholeNumber | None = None  # customers that can be contacted per run; None for no limit
    cooldown_days: DaysOrNone = 30  # in which nobody is contacted again
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
