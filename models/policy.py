"""What to do about a risk: tiers, value at risk."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from features.errors import ExplainedError


class BadPolicy(ExplainedError, ValueError):
    """The tiers cannot be told apart."""


@dataclass(frozen=True)
class PolicySettings:
    """How risk becomes a tier and money."""

    tiers: Mapping[str, float] = field(default_factory=lambda: {"medium": 0.3, "high": 0.6, "critical": 0.8})
    margin: float = 1.0
    explained: int = 500

    def __post_init__(self) -> None:
        """Refuse tiers that do not ascend within (0, 1).

        Raises
        ------
        BadPolicy
            If they do not.
        """
        edges = list(self.tiers.values())
        if edges != sorted(set(edges)) or not all(0 < edge < 1 for edge in edges):
            raise BadPolicy(f"policy.tiers is {dict(self.tiers)}; the probabilities must ascend between 0 and 1.")


def risk_tier(probability: npt.NDArray[np.float64], settings: PolicySettings) -> npt.NDArray[np.str_]:
    """Name of the tier of each churn probability; below the first it is "low"."""
    names = np.array(["low", *settings.tiers])
    return names[np.searchsorted(np.array(list(settings.tiers.values())), probability, side="right")]


def value_at_risk(
    probability: npt.NDArray[np.float64], expected_spend: npt.NDArray[np.float64], settings: PolicySettings
) -> npt.NDArray[np.float64]:
    """Chance of leaving × expected spend in the horizon × margin.

    Expected spend already knows who is long gone, so those do not crowd out the customers who can still be kept.
    """
    return probability * expected_spend * settings.margin
