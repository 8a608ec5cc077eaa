"""The section `clv` of params.yaml."""

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Interval

from fedelta.models.learning.settings import BoostingSettings


@dataclass(frozen=True)
class ClvSettings(BoostingSettings):
    """The lifetime-value model."""

    tweedie_power: Annotated[float, Interval(gt=1, lt=2)] = 1.5
