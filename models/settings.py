"""How models are grown: the sections of params.yaml, apart from the libraries that do it, which are slow to import."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Literal, get_args

from features.errors import ExplainedError
from features.relationship import PURCHASES, Definition, Relationship

PriorUse = Literal["auto", "features", "init_score"]
CandidateName = Literal[
    "constant", "tenure", "days_since_last_activity", "past_outcome_rate", "hiatus", "pareto_nbd", "bg_nbd", "logistic",
    "trees", "mean", "deep", "lightgbm_defaults",
]  # fmt: skip
ModelName = CandidateName | Literal["blend"]  # of several candidates, by their weights
BTYD: tuple[CandidateName, ...] = ("pareto_nbd", "bg_nbd")  # know of purchases alone
SIGNS = ("ratings", "referrals", "contacts", "responses")  # of attitude


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


class BadCandidate(ExplainedError, ValueError):
    """A churn model is asked for that cannot answer."""


@dataclass(frozen=True)
class Minimum:
    """Below any of these nothing is learned."""

    customers: int = 200
    positives: int = 50  # customers with a training row that churned
    negatives: int = 50  # customers with one that did not
    span_days: int = 60  # from the first known purchase to the last training cutoff


@dataclass(frozen=True)
class DeepSettings:
    """How the candidate `deep` is grown: larger trees with less restraint, for tables with much to learn."""

    trees: int | None = None  # None: as the other trees of churn
    learning_rate: float | None = None  # None: the same
    leaves: int = 31
    min_rows_share: float = 0.0002
    min_rows: int = 20
    row_share: float = 0.8
    column_share: float = 0.7
    l2: float = 1.0


# LightGBM's own defaults, but for bins: next to no restraint. Without sampling one seed is as good as several.
LIGHTGBM_DEFAULTS = BoostingSettings(
    trees=100, learning_rate=0.1, leaves=31, min_rows_share=0.0, min_rows=20, row_share=1.0, column_share=1.0, l2=0.0,
    seeds=1,
)  # fmt: skip


@dataclass(frozen=True)
class ChurnSettings(BoostingSettings):
    """The churn model: what leaving means, which models compete, and how boosters are grown."""

    min_rows_share: float = 0.003
    min_rows: int = 20
    definition: Definition = "inactivity"  # declared: the company's own labels
    activity: tuple[str, ...] = PURCHASES  # kinds of interaction; who does none of them has left (`inactivity`)
    ended: tuple[str, ...] = ()  # kinds that end a relationship without churn
    candidate: Literal["auto", CandidateName] = "auto"  # auto: chosen out of time
    too_little: Literal["baseline", "refuse"] = "baseline"  # what to do below the minimum
    minimum: Minimum = field(default_factory=Minimum)
    deep: DeepSettings = field(default_factory=DeepSettings)

    def __post_init__(self) -> None:
        """Refuse a candidate that foresees purchases where cancellations are to be foreseen.

        Raises
        ------
        BadCandidate
            If it does.
        """
        if self.definition != "inactivity" and self.candidate in BTYD:
            others = [name for name in get_args(CandidateName) if name not in BTYD]
            what = "a cancellation" if self.definition == "event" else "what the company's labels say"
            raise BadCandidate(
                f"churn.candidate is {self.candidate}, which foresees purchases, and churn.definition is "
                f"{self.definition}, {what}; the candidate must be auto, {', '.join(others[:-1])} or {others[-1]}."
            )

    @property
    def relationship(self) -> Relationship:
        """What churn is and who can churn."""
        return Relationship(self.definition, self.activity, self.ended)


@dataclass(frozen=True)
class ClvSettings(BoostingSettings):
    """The lifetime-value model."""

    tweedie_power: float = 1.5


class BadTuneSettings(ExplainedError, ValueError):
    """A search without a budget."""


@dataclass(frozen=True)
class TuneSettings:
    """How long to search."""

    trials: int = 40  # in all, those of earlier calls on the same data included
    seconds: int = 600  # per call
    customers: int = 10_000  # looked at in the search; the verdict looks at all
    seed: int = 7

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


class BadLoyaltySettings(ExplainedError, ValueError):
    """Settings under which nobody could have an attitude."""


@dataclass(frozen=True)
class LoyaltySettings:
    """How much each sign of attitude weighs, in ratings, and how much must have been said to count."""

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


class BadPersonaSettings(ExplainedError, ValueError):
    """Settings under which no personas could be found."""


@dataclass(frozen=True)
class PersonaSettings:
    """When groups of customers are personas, and when those of the run before stay."""

    most: int = 5
    least_stability: float = 0.8
    kept_within: float = 0.05
    sample: int = 20_000
    seed: int = 7

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


@dataclass(frozen=True)
class MonitorSettings:
    """How much is looked at, and how often a false alarm is put up with."""

    customers: int = 10_000  # looked at, drawn by hash
    false_alarms: int = 1  # at most, in twelve monthly runs
    on_data_alarm: Literal["stop", "warn"] = "stop"  # where what churn is made of stopped coming in, or ids changed
    tolerance: float = 0.05  # by which realised churn rate, AUC or log loss may miss the expected without an alarm
