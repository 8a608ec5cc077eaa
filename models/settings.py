"""How models are grown: the sections of params.yaml, apart from the libraries that do it, which are slow to import."""

from dataclasses import dataclass, field
from typing import Literal

PriorUse = Literal["auto", "features", "init_score"]
CandidateName = Literal["hiatus", "pareto_nbd", "bg_nbd", "logistic", "trees", "mean", "deep"]


@dataclass(frozen=True)
class BoostingSettings:
    """How a booster is grown."""

    trees: int = 250
    learning_rate: float = 0.04
    leaves: int = 12
    min_rows_share: float = 0.01  # of the training rows, in a leaf
    min_rows: int = 40  # in a leaf, whatever the share
    row_share: float = 0.7
    column_share: float = 0.5
    l2: float = 10.0
    seeds: int = 2
    prior: PriorUse = "auto"


@dataclass(frozen=True)
class Minimum:
    """Below any of these nothing is learned."""

    customers: int = 200
    positives: int = 50  # customers with a training row that churned
    negatives: int = 50  # customers with one that did not
    span_days: int = 60  # from the first known purchase to the last training cutoff


@dataclass(frozen=True)
class ChurnSettings(BoostingSettings):
    """The churn model: what leaving means, which models compete, and how boosters are grown."""

    definition: Literal["inactivity", "event"] = "inactivity"
    candidate: Literal["auto", CandidateName] = "auto"  # auto: chosen out of time
    too_little: Literal["baseline", "refuse"] = "baseline"  # what to do below the minimum
    minimum: Minimum = field(default_factory=Minimum)


@dataclass(frozen=True)
class ClvSettings(BoostingSettings):
    """The lifetime-value model."""

    tweedie_power: float = 1.5


@dataclass(frozen=True)
class TuneSettings:
    """How long to search."""

    trials: int = 40  # in all, those of earlier calls on the same data included
    seconds: int = 600  # per call
    customers: int = 10_000  # looked at in the search; the verdict looks at all
    seed: int = 7
