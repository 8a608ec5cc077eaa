"""How boosters are grown: apart from the libraries that do it, which are slow to import."""

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Interval

from fedelta.features.ranges import Count, NonNegative, PositiveShare, Share

PriorUse = Literal["auto", "features", "init_score"]
Leaves = Annotated[int, Interval(ge=2, le=131_072)]  # LightGBM's own limits


@dataclass(frozen=True)
class BoostingSettings:
    """How a booster is grown."""

    trees: Count = 250
    learning_rate: PositiveShare = 0.04
    leaves: Leaves = 12
    min_rows_share: Share = 0.01  # of the training rows, in a leaf
    min_rows: Count = 40  # in a leaf, whatever the share
    row_share: PositiveShare = 0.7
    column_share: PositiveShare = 0.5
    l2: NonNegative = 10.0
    seeds: Count = 2
    prior: PriorUse = "auto"
