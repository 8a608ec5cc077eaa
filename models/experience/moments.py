"""Moments of truth: the touchpoints at which a bad experience costs most, and what making it good gives back."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from fedelta.features.relationship import Definition
from fedelta.models.experience.harm import Compared, Harm
from fedelta.models.experience.matching import FEWEST, Effect, pooled
from fedelta.models.metrics.bootstrap import Interval

# Recovery is compared only where it clearly answers the bad experience: contacts settled after it are mostly so because
# of it. Where they are no more frequent than after a good one, those who were in touch are merely those who had stayed.
ANSWERED = 0.75


@dataclass(frozen=True)
class Moment:
    """A kind of touchpoint and the pillar of experience that failed there.

    Attributes
    ----------
    experiences, customers : bad experiences compared, and how many customers had them.
    churn : change in the share that leaves within the horizon, bad against good.
    spend : change in money spent in the horizon; None without amounts.
    recovered : share of the bad experiences that were made good; None where a settled contact is no answer to them.
    recovery_churn, recovery_spend : the change that goes with being made good, among matched bad experiences; None
        where nothing is shown to be lost. Rather too large than too small: who had
        silently left before is never in touch.
    says : the same in words. Intervals are 90%; figures are None where there are too few to compare.
    """

    kind: str
    pillar: str
    experiences: int
    customers: int
    churn: Interval | None
    spend: Interval | None
    recovered: float | None
    recovery_churn: Interval | None
    recovery_spend: Interval | None
    says: str


@dataclass(frozen=True)
class Moments:
    """The moments, most harmful first, and the finding in one sentence."""

    horizon_days: int
    moments: tuple[Moment, ...]
    says: str


def moments_of_truth(episodes: pl.DataFrame, horizon_days: int, *, definition: Definition = "inactivity") -> Moments:
    """What a bad experience changes, by kind of touchpoint and pillar, ranked by the change in leaving.

    Parameters
    ----------
    episodes : DataFrame
        Of all customers, as from ``features.episodes``.
    """
    table = Compared(episodes, horizon_days, definition)
    found = table.harms()
    kinds = sorted({(harm.kind, harm.pillar) for harm in found})
    moments = [_moment(table, [harm for harm in found if (harm.kind, harm.pillar) == kind]) for kind in kinds]
    ranked = sorted(moments, key=lambda m: (m.churn is None, -m.churn.value if m.churn else 0, m.kind, m.pillar))
    return Moments(horizon_days, tuple(ranked), _headline(ranked))


def _moment(table: Compared, mine: Sequence[Harm]) -> Moment:
    churn, spend = _pooled(harm.left for harm in mine), _pooled(harm.spend for harm in mine)
    recovered, back, back_spend = _recovery(table, mine)
    if churn is None or churn.interval.low <= 0:
        back = back_spend = None
    kind, pillar = mine[0].kind, mine[0].pillar
    return Moment(
        kind,
        pillar,
        churn.n if churn else 0,
        churn.customers if churn else 0,
        _interval(churn),
        _interval(spend),
        recovered,
        _interval(back),
        _interval(back_spend),
        _says(kind, pillar, _interval(churn), recovered, _interval(back)),
    )


def _recovery(table: Compared, mine: Sequence[Harm]) -> tuple[float | None, Effect | None, Effect | None]:
    """Share made good, and what leaving and spending change with it; None where settled contacts do not answer it."""
    settled = table.recovered
    bad, good = (np.concatenate(rows) for rows in zip(*((harm.bad, harm.good) for harm in mine), strict=True))
    after_bad, after_good = (settled[rows][~np.isnan(settled[rows])] for rows in (bad, good))
    if not len(after_bad) or not len(after_good) or after_bad.mean() * (1 - ANSWERED) <= after_good.mean():
        return None, None, None
    split = [(harm.bad[settled[harm.bad] == 1], harm.bad[settled[harm.bad] == 0]) for harm in mine]
    split = [(made_good, not_so) for made_good, not_so in split if len(made_good) and len(not_so)]
    return (
        float(after_bad.mean()),
        _pooled(table.left(*pair) for pair in split),
        _pooled(table.spent(*pair) for pair in split),
    )


def _pooled(effects: Iterable[Effect | None]) -> Effect | None:
    known = [effect for effect in effects if effect is not None]
    return pooled(known) if known else None


def _interval(effect: Effect | None) -> Interval | None:
    return effect.interval if effect else None


def _says(kind: str, pillar: str, churn: Interval | None, recovered: float | None, back: Interval | None) -> str:
    name = f"A bad {kind} ({pillar.replace('_', ' ')})"
    if churn is None:
        return f"{name}: too few to tell, fewer than {FEWEST} customers with a bad or a comparable good one."
    if churn.low <= 0:
        return f"{name}: the data show no harm ({100 * churn.low:+.1f} to {100 * churn.high:+.1f} points of churn)."
    says = f"{name} costs {100 * churn.value:.1f} points of churn ({100 * churn.low:.1f} to {100 * churn.high:.1f})"
    if recovered is None or back is None:
        return f"{says}."
    gives = f"gives back {-100 * back.value:.1f}" if back.high < 0 else "shows no difference"
    return f"{says}; making it good, as happens to {recovered:.0%}, {gives}."


def _headline(ranked: Sequence[Moment]) -> str:
    harmful = [moment for moment in ranked if moment.churn is not None and moment.churn.low > 0]
    if not ranked or all(moment.churn is None for moment in ranked):
        return "There are too few bad experiences, or too few comparable good ones, to tell what they change."
    return harmful[0].says if harmful else "The data show no touchpoint at which a bad experience does harm."
