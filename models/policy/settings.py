"""The section `policy` of params.yaml."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal, get_args

from annotated_types import Interval

from fedelta.features.contract import RISK_TIERS, Action, RiskTier
from fedelta.features.errors import FedeltaError
from fedelta.features.ranges import Count, DayCount, DaysOrNone, NonNegative, PositiveShare, WholeNumber

ROUNDING = 1e-9  # of a budget: what sums of costs may exceed it by, as 0.1 three times exceeds 0.3


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


@dataclass(frozen=True)
class EconomicsSettings:
    """What winning and keeping customers costs, in the source's currency; None where the company does not say.

    `keep_success` is the chance that a customer who is still here and about to leave stays because of a contact with
    an offer, `keep_success_without_offer` that of a contact without one, `win_back_success` the chance that one who
    has just left comes back because of an offer; it halves every `win_back_half_life_days`. They are assumptions. With
    `success: measured` each is replaced by what treatments achieved against the holdout, once that is known well
    enough.
    """

    acquisition_cost: float | None = None
    contact_cost: float | None = None
    offer_cost: float | None = None
    success: Literal["assumed", "measured"] = "assumed"
    keep_success: float | None = None
    keep_success_without_offer: float | None = None
    win_back_success: float | None = None
    win_back_half_life_days: DayCount = 120

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
        for name in SUCCESSES:
            if (chance := getattr(self, name)) is not None and not 0 < chance <= 1:
                raise BadPolicy(
                    f"policy.economics.{name} is {chance:g}; it must be above 0 and at most 1, or null if unknown."
                )

    @property
    def contacts(self) -> tuple["Contact", ...]:
        """The ways of contacting a customer whose cost and success are known, cheapest first."""
        known: list[Contact] = []
        if self.contact_cost is None:
            return ()
        if self.keep_success_without_offer is not None:
            known.append(Contact(self.contact_cost, self.keep_success_without_offer, 0.0, offer=False))
        if self.offer_cost is not None and (self.keep_success or self.win_back_success):
            cost = self.contact_cost + self.offer_cost
            known.append(Contact(cost, self.keep_success or 0.0, self.win_back_success or 0.0, offer=True))
        return tuple(known)


SUCCESSES = ("keep_success", "keep_success_without_offer", "win_back_success")


@dataclass(frozen=True)
class Contact:
    """A way of contacting a customer: its cost, and the chance that it keeps a leaver or brings back who just left."""

    cost: float
    keeps: float
    brings_back: float
    offer: bool


@dataclass(frozen=True)
class TeamSettings:
    """A team of people who contact customers: how many a day, and which actions they take."""

    per_day: Count
    actions: tuple[Action, ...] = get_args(Action)


@dataclass(frozen=True)
class PolicySettings:
    """How risk becomes a tier, money and an action."""

    tiers: Mapping[str, float] = field(default_factory=lambda: {"medium": 0.3, "high": 0.6, "critical": 0.8})
    margin: PositiveShare = 1.0
    explained: RiskTier = "high"  # from this tier on scores have reasons, beside an action or a place on the list
    economics: EconomicsSettings = field(default_factory=EconomicsSettings)
    capacity: WholeNumber | None = None  # customers that can be contacted per run; None for no limit
    budget: NonNegative | None = None  # money for all contacts of a run, instead of a capacity
    teams: Mapping[str, TeamSettings] = field(default_factory=dict)  # by name; none: the capacity is all that limits
    run_days: DayCount = 7  # that a run's list is worked on by the teams
    cooldown_days: DaysOrNone = 30  # in which nobody is contacted again
    fatigue: Annotated[float, Interval(gt=0, lt=1_000)] | None = None  # contacts in a year that halve success
    holdout: HoldoutSettings = field(default_factory=HoldoutSettings)

    def __post_init__(self) -> None:
        """Refuse tiers that scores do not have or that do not ascend within (0, 1), and limits below 0.

        Raises
        ------
        BadPolicy
            If they do not.
        """
        if self.budget is not None and self.capacity is not None:
            raise BadPolicy(
                f"policy.capacity is {self.capacity} and policy.budget {self.budget:g}; only one can limit the "
                "contacts of a run: set the other to null."
            )
        lowest, *others = RISK_TIERS
        if list(self.tiers) != [name for name in others if name in self.tiers]:
            raise BadPolicy(
                f"policy.tiers is {dict(self.tiers)}; its names must be among {', '.join(others)}, in this order. "
                f"Below the first of them a risk is {lowest}."
            )
        edges = list(self.tiers.values())
        if edges != sorted(set(edges)) or not all(0 < edge < 1 for edge in edges):
            raise BadPolicy(f"policy.tiers is {dict(self.tiers)}; the probabilities must ascend between 0 and 1.")
