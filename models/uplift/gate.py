"""Whether effects per customer may rank: only where they do so measurably better than value at risk does.

Ascarza (2018): the riskiest are not the best targets. But learners of effects are volatile, so the ranking by value at
risk stays unless a learner's order is significantly better than chance *and* than that ranking, and repeats itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any, get_args

import numpy as np
import numpy.typing as npt

from fedelta.models.metrics.bootstrap import Interval
from fedelta.models.uplift.learners import (
    FOLDS,
    Learner,
    LearnerName,
    aipw,
    dealt,
    learner,
    out_of_fold_effects,
    out_of_fold_means,
)
from fedelta.models.uplift.targeting import METRICS, Targeting, curve, first_share, targeting

Floats = npt.NDArray[np.float64]
Booleans = npt.NDArray[np.bool_]

NAMES: tuple[LearnerName, ...] = get_args(LearnerName)
RISK = "risk"
LEAST_IN_ARM = 500  # customers whose outcome is known
LEAST_OUTCOMES = 50  # of either kind, in each arm
CHOSEN = 0.2  # share of the customers that the order puts first, whose stability is asked
STABLE = 0.6  # of whom at least so many are the same in another fit
_SEEDS = (1, 2, 3)  # of the refits
_LEVEL = 1 - 0.05 / len(NAMES)  # two learners try, so each has half of the error


@dataclass(frozen=True)
class Missing:
    """What is too little to learn effects from."""

    treated: int = 0  # customers still missing
    held_out: int = 0
    outcomes: int = 0  # customers who stayed, or left, still missing in the arm that has fewest

    @property
    def any(self) -> bool:
        """Whether anything is missing."""
        return bool(self.treated or self.held_out or self.outcomes)

    def says(self) -> str:
        """In words."""
        parts = [
            f"{number:,} more {name} customers"
            for number, name in ((self.treated, "treated"), (self.held_out, "held-out"))
            if number
        ]
        if self.outcomes:
            parts.append(f"{self.outcomes:,} more outcomes of the rarer kind")
        return (
            f"Effects per customer cannot be learned yet: {' and '.join(parts)} with a known outcome are missing "
            f"(at least {LEAST_IN_ARM:,} in each arm, {LEAST_OUTCOMES} of each outcome)."
        )


@dataclass(frozen=True)
class Study:
    """What learners of effects are worth here, and the one that may rank, if any."""

    customers: int
    rates: Mapping[str, Mapping[str, Interval]]  # by order and metric; of risk and of each learner
    above_risk: Mapping[str, Interval]  # difference of Qini, by learner
    stability: Mapping[str, float]  # share of the first fifth that another fit puts there too, by learner
    curves: Mapping[str, list[tuple[float, float]]]
    chosen: LearnerName | None
    says: str
    model: Learner | None = field(default=None, compare=False)

    def as_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "customers": self.customers,
            "open": self.chosen is not None,
            "chosen": self.chosen,
            "says": self.says,
            "rates": {order: {m: held.as_dict() for m, held in rates.items()} for order, rates in self.rates.items()},
            "above_risk": {name: held.as_dict() for name, held in self.above_risk.items()},
            "stability": dict(self.stability),
            "curves": {order: [list(point) for point in points] for order, points in self.curves.items()},
        }


def missing(outcome: Floats, treated: Booleans) -> Missing:
    """What must still come before effects can be learned; outcomes are 0 or 1."""
    counts = [int((outcome[arm] == kind).sum()) for arm in (treated, ~treated) for kind in (0, 1)]
    return Missing(
        max(LEAST_IN_ARM - int(treated.sum()), 0),
        max(LEAST_IN_ARM - int((~treated).sum()), 0),
        max(LEAST_OUTCOMES - min(counts), 0),
    )


def study(
    x: Floats,
    outcome: Floats,
    treated: Booleans,
    propensity: Floats,
    *,
    risk: Floats | None = None,
    value: Floats | None = None,
    draws: int = 200,
) -> Study:
    """Compare orders by learned effects with the order by risk, on customers dealt into arms at random.

    Parameters
    ----------
    x : ndarray of shape (n, k)
        What is known before entry; NaN where unknown.
    outcome : ndarray of shape (n,)
        More is better: 1 where the customer stayed.
    treated, propensity : ndarrays of shape (n,)
        The arm, and the probability of being treated.
    risk : ndarray of shape (n,), optional
        Probability of leaving, known at entry. Without it, or where it is NaN, what models of the held-out expect.
    value : ndarray of shape (n,), optional
        What a customer who stays is worth, known at entry: effects and risks are weighed by it.
    draws : int
        Resamples behind every interval.
    """
    worth = np.ones(len(outcome)) if value is None else value
    means = out_of_fold_means(x, outcome, treated, dealt(len(outcome), FOLDS, treated, 0))
    scores = aipw(outcome, treated, propensity, *means) * worth
    expected = 1 - means[0] if risk is None else np.where(np.isnan(risk), 1 - means[0], risk)
    refits: dict[str, list[Floats]] = {
        name: [out_of_fold_effects(name, x, outcome, treated, propensity, seed=seed) * worth for seed in _SEEDS]
        for name in NAMES
    }
    orders = {RISK: expected * worth, **{name: np.mean(held, axis=0) for name, held in refits.items()}}
    measured = targeting(scores, orders, draws=draws)
    stability = {name: _overlap(held) for name, held in refits.items()}
    chosen, says = _verdict(measured, stability)
    return Study(
        customers=len(outcome),
        rates={order: {metric: measured.interval(order, metric) for metric in METRICS} for order in orders},
        above_risk={name: measured.difference("qini", name, RISK) for name in NAMES},
        stability=stability,
        curves={order: curve(scores, priority) for order, priority in orders.items()},
        chosen=chosen,
        says=says,
        model=learner(chosen, _SEEDS).fit(x, outcome, treated, propensity) if chosen else None,
    )


def _verdict(measured: Targeting, stability: Mapping[str, float]) -> tuple[LearnerName | None, str]:
    reasons = {}
    passed: list[LearnerName] = []
    for name in NAMES:
        if not measured.interval(name, "qini", _LEVEL).low > 0:
            reasons[name] = "not significantly better than a random order"
        elif not measured.difference("qini", name, RISK, _LEVEL).low > 0:
            reasons[name] = "not significantly better than the order by value at risk"
        elif stability[name] < STABLE:
            reasons[name] = (
                f"another fit puts only {stability[name]:.0%} of the same customers first (at least {STABLE:.0%})"
            )
        else:
            passed.append(name)
    if not passed:
        parts = "; ".join(f"{TITLES[name]}: {why}" for name, why in reasons.items())
        return None, f"Customers stay ranked by value at risk ({parts})."
    best = max(passed, key=lambda name: measured.interval(name, "qini").value)
    return best, (
        f"Customers are ranked by the effect of contacting them that the {TITLES[best]} expects: its order is "
        "significantly better than a random one and than that by value at risk, and stable across fits."
    )


TITLES: Mapping[str, str] = {"dr": "DR-learner", "x": "X-learner", RISK: "value at risk"}


def _overlap(effects: list[Floats]) -> float:
    """Share of the customers whom one fit puts first that another puts there too, over pairs of fits."""
    first = [first_share(held, CHOSEN) for held in effects]
    return float(np.mean([(one & other).sum() / max(one.sum(), 1) for one, other in combinations(first, 2)]))
