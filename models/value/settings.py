"""The section `clv` of params.yaml."""

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Interval

from fedelta.features.ranges import DayCount
from fedelta.models.learning.settings import CompetitionSettings


@dataclass(frozen=True)
class ClvSettings(CompetitionSettings):
    """The lifetime-value model."""

    horizon_days: DayCount | None = 365  # that expected value is of; None: that of churn
    annual_discount: Annotated[float, Interval(gt=0, lt=10)] = 0.1  # by which value a year later is worth less
    tweedie_power: Annotated[float, Interval(gt=1, lt=2)] = 1.5

    def horizon(self, of_churn: int) -> int:
        """Days that expected value is of."""
        return of_churn if self.horizon_days is None else self.horizon_days
