"""The tolerance curve: how many leave after their first, second, third bad experience, beside matched controls."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import polars as pl

from fedelta.features.relationship import Definition
from fedelta.models.experience.harm import NUMBERS, Compared, Harm
from fedelta.models.experience.matching import FEWEST, pooled
from fedelta.models.metrics.bootstrap import Interval

ORDINALS = {1: "first", 2: "second", 3: "third", 4: "fourth"}


@dataclass(frozen=True)
class Quoted:
    """A share of customers reported to leave elsewhere: a line to draw beside the curve, never an input."""

    after: str
    share: float
    source: str


QUOTED = (
    Quoted("one bad experience", 0.17, "PwC, Experience is everything, 2018 (United States)"),
    Quoted("several bad experiences", 0.59, "PwC, Experience is everything, 2018 (United States)"),
)

# What customers who are compared have in common, in words: the covariates of ``harm``.
MATCHED = (
    "Matched controls bought as much and as lately, at their own rhythm, for as long, and had as many bad experiences "
    "before"
)
MATCHED_WITHOUT_PURCHASES = (
    "Matched controls had as many interactions, and as many of late, for as long, and had as many bad experiences "
    "before"
)


@dataclass(frozen=True)
class ToleranceStep:
    """One point of the curve.

    Attributes
    ----------
    group, value : what it is about: ("all", ""), or a column and its value, such as ("pillar", "resolution").
    number : the how-manieth bad experience (``NUMBERS`` stands for itself and beyond); None for any.
    experiences, customers : the bad experiences that could be compared, and how many customers had them.
    left : share that leaves within the horizon after it.
    left_controls : the same among matched controls whose touchpoint went well.
    excess : the one minus the other. Intervals are 90%; figures are None where there are too few to compare.
    says : the same in words.
    """

    group: str
    value: str
    number: int | None
    experiences: int
    customers: int
    left: Interval | None
    left_controls: float | None
    excess: Interval | None
    says: str


@dataclass(frozen=True)
class ToleranceCurve:
    """The steps, overall first, what controls are matched on, what is quoted elsewhere, the finding in one sentence."""

    horizon_days: int
    matched_on: str
    steps: tuple[ToleranceStep, ...]
    quoted: tuple[Quoted, ...]
    says: str


def tolerance_curve(
    episodes: pl.DataFrame,
    horizon_days: int,
    *,
    by: Sequence[str] = ("pillar",),
    definition: Definition = "inactivity",
) -> ToleranceCurve:
    """Leaving after the k-th bad experience, overall and by each column of `by`.

    Leaving is no activity within the horizon (``inactivity`` and ``declared``: Kaplan-Meier, the time to come back
    censored where the data end) or a cancellation in it (``event``). `excess` is what the experience and all that
    followed from it changed, on average over the bad experiences that occurred, follow-ups within the recovery time
    left out. It is what goes with them: their effect as far as customers equal in the covariates of ``harm`` are
    equal in all else.

    Parameters
    ----------
    episodes : DataFrame
        Of all customers, as from ``features.episodes``, with any further columns that `by` names (attributes, say).
    """
    found = Compared(episodes, horizon_days, definition).harms(with_spend=False)
    steps = _curve(found, "all", "", horizon_days)
    for column in by:
        for value, harm in _by(episodes, found, column, horizon_days, definition):
            steps += _curve(harm, column, value, horizon_days)
    controls = MATCHED if episodes["purchases"].max() else MATCHED_WITHOUT_PURCHASES
    return ToleranceCurve(horizon_days, controls, tuple(steps), QUOTED, steps[0].says)


def _by(
    episodes: pl.DataFrame, found: Sequence[Harm], column: str, horizon_days: int, definition: Definition
) -> Iterator[tuple[str, Sequence[Harm]]]:
    """Each value of a column with a bad experience, and the harm there."""
    values = episodes.filter(pl.col("rule").is_not_null())[column].drop_nulls().unique().sort()
    for value in values:
        if column in ("pillar", "rule"):  # a matter of what went wrong: the good ones have none
            yield str(value), [harm for harm in found if value in (harm.pillar, harm.rule)]
        else:
            mine = episodes.filter(pl.col(column) == value)
            yield str(value), Compared(mine, horizon_days, definition).harms(with_spend=False)


def _curve(found: Sequence[Harm], group: str, value: str, horizon_days: int) -> list[ToleranceStep]:
    """Any bad experience, then the first, the second and so on."""
    of_number = [[harm for harm in found if harm.number == number] for number in range(1, NUMBERS + 1)]
    steps = [_step(some, group, value, number, horizon_days) for number, some in enumerate(of_number, start=1)]
    return [_step(found, group, value, None, horizon_days), *steps]


def _step(found: Sequence[Harm], group: str, value: str, number: int | None, horizon_days: int) -> ToleranceStep:
    effects = [harm.left for harm in found if harm.left is not None]
    name = "a bad experience" if number is None else f"the {ORDINALS[number]} bad experience"
    name += " or a later one" if number == NUMBERS else ""
    if not effects:
        says = f"After {name}: too few to tell, fewer than {FEWEST} customers with a bad or a comparable good one."
        return ToleranceStep(group, value, number, 0, 0, None, None, None, says)
    effect = pooled(effects)
    left, excess = effect.of_bad, effect.interval
    says = (
        f"After {name}, {left.value:.0%} leave within {horizon_days} days, {left.value - excess.value:.0%} of "
        f"matched controls after a good one: {_verdict(excess)}."
    )
    controls = left.value - excess.value
    return ToleranceStep(group, value, number, effect.n, effect.customers, left, controls, excess, says)


def _verdict(excess: Interval) -> str:
    between = f"({100 * excess.low:+.1f} to {100 * excess.high:+.1f} points)"
    if excess.low > 0:
        return f"{100 * excess.value:.1f} points more {between}"
    if excess.high < 0:
        return f"fewer, so the data show no harm {between}"
    return f"the data show no harm {between}"
