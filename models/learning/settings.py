"""How boosters are grown: apart from the libraries that do it, which are slow to import."""

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Interval

from fedelta.features.ranges import Count, NonNegative, PositiveShare, Share

Prior = Literal["features", "init_score"]  # how BTYD enters: as columns among others, or as the score to start from
PriorUse = Literal["auto", "features", "init_score"]
Leaves = Annotated[int, Interval(ge=2, le=131_072)]  # LightGBM's own limits


@dataclass(frozen=True)
class BoostingSettings:
    """How a booster is grown."""

    num_iterations: Count = 250
    learning_rate: PositiveShare = 0.04
    num_leaves: Leaves = 12
    min_data_in_leaf_share: Share = 0.01  # of the training rows, in a leaf
    min_data_in_leaf: Count = 40  # in a leaf, whatever the share
    bagging_fraction: PositiveShare = 0.7
    feature_fraction: PositiveShare = 0.5
    lambda_l2: NonNegative = 10.0
    seeds: Count = 2
    prior: PriorUse = "auto"


@dataclass(frozen=True)
class CompetitionSettings(BoostingSettings):
    """How boosters are grown that compete with other models."""

    search_customers: Count = 20_000  # on whom candidates are compared
