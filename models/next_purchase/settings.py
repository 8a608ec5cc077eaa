"""The section `next` of params.yaml."""

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Interval

from fedelta.features.ranges import Count, DayCount, PositiveShare, Share
from fedelta.models.learning.settings import BoostingSettings, Leaves


@dataclass(frozen=True)
class NextSettings:
    """The model of the next purchase."""

    categories: Annotated[int, Interval(ge=2, le=500)] = 50  # the most bought; others are never recommended
    least_customers: Count = 50  # who must have bought of a category, among those learned from
    horizon_days: DayCount | None = None  # None: as churn's
    rows: Annotated[int, Interval(ge=1_000, le=50_000_000)] = 600_000  # customer, cutoff and category: learned from
    num_iterations: Count = 100
    learning_rate: PositiveShare = 0.06
    num_leaves: Leaves = 8
    min_data_in_leaf_share: Share = 0.0015  # of the rows, in a leaf
    min_data_in_leaf: Count = 50  # in a leaf, whatever the share

    @property
    def boosting(self) -> BoostingSettings:
        """How the trees are grown."""
        return BoostingSettings(
            num_iterations=self.num_iterations,
            learning_rate=self.learning_rate,
            num_leaves=self.num_leaves,
            min_data_in_leaf_share=self.min_data_in_leaf_share,
            min_data_in_leaf=self.min_data_in_leaf,
            bagging_fraction=0.8,
            feature_fraction=0.7,
            seeds=1,
        )
