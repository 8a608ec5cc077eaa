"""How models are grown: the sections of params.yaml, apart from the libraries that do it, which are slow to import."""

from dataclasses import dataclass
from typing import Literal

PriorUse = Literal["auto", "features", "init_score"]


@dataclass(frozen=True)
class BoostingSettings:
    """How a booster is grown."""

    trees: int = 250
    learning_rate: float = 0.04
    leaves: int = 12
    min_rows_share: float = 0.01
    row_share: float = 0.7
    column_share: float = 0.5
    l2: float = 10.0
    seeds: int = 2
    prior: PriorUse = "auto"


@dataclass(frozen=True)
class ChurnSettings(BoostingSettings):
    """The churn model: what leaving means, and how the booster is grown."""

    definition: Literal["inactivity", "event"] = "inactivity"


@dataclass(frozen=True)
class ClvSettings(BoostingSettings):
    """The lifetime-value model."""

    tweedie_power: float = 1.5
