"""The section `churn` of params.yaml, and that of its tuning."""

from dataclasses import dataclass, field
from typing import Literal

from fedelta.features.errors import FedeltaError
from fedelta.features.ranges import Count, NonNegative, PositiveShare, Seed, Share
from fedelta.features.relationship import PURCHASES, Definition, Relationship
from fedelta.models.learning.settings import CompetitionSettings, Leaves
from fedelta.models.minimum import Minimum

Setting = bool | int | float | str | None


class BadCandidate(FedeltaError, ValueError):
    """A churn model is asked for that cannot answer."""


@dataclass(frozen=True)
class LargeSettings:
    """How the candidate `lightgbm_large` is grown: larger trees with less restraint, for tables with much to learn."""

    num_iterations: Count | None = None  # None: that of `churn`
    learning_rate: PositiveShare | None = None  # None: the same
    num_leaves: Leaves = 31
    min_data_in_leaf_share: Share = 0.0002
    min_data_in_leaf: Count = 20
    bagging_fraction: PositiveShare = 0.8
    feature_fraction: PositiveShare = 0.7
    lambda_l2: NonNegative = 1.0


@dataclass(frozen=True)
class ChurnSettings(CompetitionSettings):
    """The churn model: what leaving means, which models compete, and how boosters are grown."""

    min_data_in_leaf_share: Share = 0.003
    min_data_in_leaf: Count = 20
    definition: Definition = "inactivity"  # declared: the company's own labels
    activity: tuple[str, ...] = PURCHASES  # kinds of interaction; who does none of them has left (`inactivity`)
    ended: tuple[str, ...] = ()  # kinds that end a relationship without churn
    candidate: str = "auto"  # of models.churn.candidates; auto: chosen out of time
    too_little: Literal["baseline", "refuse"] = "baseline"  # what to do below the minimum
    minimum: Minimum = field(default_factory=Minimum)
    lightgbm_large: LargeSettings = field(default_factory=LargeSettings)
    # of other candidates with settings of their own, by name; not hashed, as a dictionary is not
    candidate_settings: dict[str, dict[str, Setting]] = field(default_factory=dict, hash=False)

    @property
    def relationship(self) -> Relationship:
        """What churn is and who can churn."""
        return Relationship(self.definition, self.activity, self.ended)


class BadTuneSettings(FedeltaError, ValueError):
    """A search without a budget."""


@dataclass(frozen=True)
class TuneSettings:
    """How long to search."""

    trials: int = 40  # in all, those of earlier calls on the same data included
    seconds: int = 600  # per call
    customers: int = 10_000  # looked at in the search; the verdict looks at all
    seed: Seed = 7

    def __post_init__(self) -> None:
        """Refuse a search of nothing.

        Raises
        ------
        BadTuneSettings
            If it is one.
        """
        for name, option in (("trials", " (--budget)"), ("seconds", " (--seconds)"), ("customers", "")):
            if (value := getattr(self, name)) < 1:
                raise BadTuneSettings(f"tune.{name}{option} is {value}; it must be at least 1.")
