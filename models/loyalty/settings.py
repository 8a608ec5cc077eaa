"""The sections `loyalty` and `personas` of params.yaml."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from fedelta.features.errors import FedeltaError
from fedelta.features.ranges import NonNegative, Seed

SIGNS = ("ratings", "referrals", "contacts", "responses")  # of attitude


class BadLoyaltySettings(FedeltaError, ValueError):
    """Settings under which nobody could have an attitude."""


@dataclass(frozen=True)
class LoyaltySettings:
    """How much each sign of attitude weighs, in ratings, and how much must have been expressed to count."""

    weights: Mapping[str, float] = field(
        default_factory=lambda: {"ratings": 1.0, "referrals": 2.0, "contacts": 0.5, "responses": 0.25}
    )
    least_signals: float = 1.0
    of_value: float = 0.75  # quantile of expected spend from which a spurious loyal is worth a list

    def __post_init__(self) -> None:
        """Refuse unknown signs and weights below 0.

        Raises
        ------
        BadLoyaltySettings
            If there are any.
        """
        if unknown := sorted(set(self.weights) - set(SIGNS)):
            raise BadLoyaltySettings(f"loyalty.weights: unknown {', '.join(unknown)}. Known: {', '.join(SIGNS)}.")
        weighed = all(0 <= weight < math.inf for weight in self.weights.values())
        if not (weighed and 0 < self.least_signals < math.inf and 0 < self.of_value < 1):
            raise BadLoyaltySettings(
                f"loyalty: weights are {dict(self.weights)}, least_signals {self.least_signals:g} and of_value "
                f"{self.of_value:g}; weights must be 0 or more, least_signals above 0, of_value between 0 and 1."
            )


class BadPersonaSettings(FedeltaError, ValueError):
    """Settings under which no personas could be found."""


@dataclass(frozen=True)
class PersonaSettings:
    """When groups of customers are personas, and when those of the run before stay."""

    most: int = 5
    least_stability: float = 0.8
    kept_within: NonNegative = 0.05
    sample: int = 20_000
    seed: Seed = 7

    def __post_init__(self) -> None:
        """Refuse settings out of range.

        Raises
        ------
        BadPersonaSettings
            If there are any.
        """
        if not (2 <= self.most <= 5 and 0 < self.least_stability < 1 and self.kept_within >= 0 and self.sample >= 200):
            raise BadPersonaSettings(
                f"personas: {asdict(self)}; most must be 2 to 5, least_stability between 0 and 1, kept_within 0 or "
                "more and sample 200 or more."
            )
