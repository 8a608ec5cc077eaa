"""Which horizon says that a customer has left: how many of the silent come back, how well churn can be predicted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import polars as pl

from fedelta.features.errors import FedeltaError
from fedelta.features.relationship import Definition
from fedelta.models.churn_window.life_table import LifeTable, jackknife
from fedelta.models.churn_window.predictability import Sample, Test, predictability
from fedelta.models.churn_window.spells import EVERYONE, PURCHASE_GROUPS
from fedelta.models.metrics.bootstrap import Interval, Resampling
from fedelta.models.minimum import Minimum

CANDIDATES = (30, 45, 60, 75, 90, 120, 150, 180, 240, 300, 365)
TENURES = (0, 30, 60, 90, 180, 365, 730, 1095, 1825, 3650)
_WATCHED = 100  # spells that must still be watched for a share to mean something


class BadWindow(FedeltaError, ValueError):
    """A rule that no silence could meet, or any."""


@dataclass(frozen=True)
class WindowSettings:
    """When a silence counts as leaving."""

    most_returning: float = 0.2  # of those silent for the horizon, the share that may still come back
    minimum: Minimum = field(default_factory=Minimum)  # below it nothing is advised

    def __post_init__(self) -> None:
        """Refuse a share that is none, or that lets any silence count as leaving.

        Raises
        ------
        BadWindow
            If it is.
        """
        if not 0 < self.most_returning < 1:
            raise BadWindow(f"--return is {self.most_returning:g}; it must be a share between 0 and 1, such as 0.2.")


@dataclass(frozen=True)
class History:
    """What the interactions of all customers tell."""

    definition: Definition
    customers: int
    spells: pl.DataFrame  # part, group, days, ended, spells (models.spells)
    parts: int
    sample: Sample


@dataclass(frozen=True)
class Horizon:
    """A candidate; None where the history cannot tell."""

    days: int
    silent: int  # silences, or memberships, that were watched for so long
    returning: Interval | None  # share of those active again within reach of the history
    returning_by_group: Mapping[str, float | None]
    tests: Sequence[Test]  # the latest first

    @property
    def churn_rate(self) -> float | None:
        """Share that leaves in the horizon from the latest cutoff whose horizon is over."""
        return self.tests[0].churn_rate if self.tests else None


@dataclass(frozen=True)
class Tenure:
    """The hazard of cancelling between two days of a membership: the chance per 30 days, having stayed until then."""

    from_day: int
    to_day: int
    members: int  # watched on its first day
    hazard: Interval


@dataclass(frozen=True)
class Advice:
    """The horizon advised (None: none can be), why, and all that was looked at."""

    days: int | None
    because: str
    reach_days: int  # the longest spell of which enough were watched
    horizons: Sequence[Horizon]
    tenures: Sequence[Tenure]
    curves: Mapping[str, Sequence[tuple[int, float]]]  # by group: after so many days of silence, the share that returns


def advise(
    history: History,
    settings: WindowSettings,
    resampling: Resampling,
    *,
    lead_days: int,
    candidates: Sequence[int] = CANDIDATES,
) -> Advice:
    """The shortest horizon after which few of the silent return, among those that the history can test.

    Of silences that lasted h days, the share ended by activity within reach is 1 − S(reach) / S(h), by the life table
    of all silences (Kaplan–Meier). It is a lower bound: who returns later than the history reaches is not seen. So a
    horizon is tested only if the silent were watched for as long again (2h is within reach), and two cutoffs, one to
    learn from and one to test on, must fit. Under `event` the cancellation says who left, and the shortest horizon
    with enough cancellations to learn from is advised.
    """
    if history.spells.is_empty():
        return Advice(None, f"No horizon can be advised: {_nothing(history.definition)}.", 0, (), (), {})
    tables = _tables(history)
    everyone = tables[EVERYONE]
    reach = everyone.reach(_WATCHED)
    horizons = [
        _horizon(days, tables, reach, history, predictability(history.sample, days, lead_days, resampling))
        for days in candidates
    ]
    if history.definition == "event":
        days, because = _by_cancellations(history, horizons, settings.minimum)
        return Advice(days, because, reach, horizons, _tenures(everyone, reach), {})
    days, because = _by_returns(history, everyone, horizons, settings)
    return Advice(days, because, reach, horizons, (), _curves(tables, reach))


def _tables(history: History) -> dict[str, LifeTable]:
    everyone = history.spells.group_by("part", "days", "ended", maintain_order=True).agg(pl.col("spells").sum())
    tables = {EVERYONE: LifeTable.of(everyone, history.parts)}
    for group in PURCHASE_GROUPS:
        spells = history.spells.filter(pl.col("group") == group)
        if not spells.is_empty():
            tables[group] = LifeTable.of(spells, history.parts)
    return tables


def _horizon(
    days: int, tables: Mapping[str, LifeTable], reach: int, history: History, tests: Sequence[Test]
) -> Horizon:
    at_risk = tables[EVERYONE].at_risk
    silent = int(at_risk[days]) if days < at_risk.size else 0
    if history.definition == "event":
        return Horizon(days, silent, None, {}, tests)
    testable = 2 * days <= reach
    returning = jackknife(tables[EVERYONE].ending_by(reach)[:, days]) if testable else None
    by_group = {name: _returning(table, days, reach) for name, table in tables.items() if name != EVERYONE}
    return Horizon(days, silent, returning, by_group, tests)


def _returning(table: LifeTable, days: int, reach: int) -> float | None:
    reach = min(reach, table.reach(_WATCHED))
    share = float(table.ending_by(reach)[0, days]) if 2 * days <= reach else np.nan
    return share if np.isfinite(share) else None


def _by_returns(
    history: History, everyone: LifeTable, horizons: Sequence[Horizon], settings: WindowSettings
) -> tuple[int | None, str]:
    most = settings.most_returning
    if history.customers < settings.minimum.customers:
        return None, _too_few(history.customers, settings.minimum)
    if not everyone.ended.any():
        return None, "No horizon can be advised: nobody has been active on two days yet, so no silence has ever ended."
    tested = [(h, h.returning) for h in horizons if h.returning is not None and h.tests]
    if not tested:
        return None, (
            "No horizon can be advised: the history is too short to test even the shortest horizon, for which the "
            "silent must be watched for as long again and two cutoffs must fit. Bring a longer history."
        )
    for horizon, returning in tested:
        if returning.high <= most:
            return horizon.days, (
                f"It is the shortest after which at most {most:.0%} of the silent come back, with 95% confidence: "
                f"{returning.value:.1%} [{returning.low:.1%}, {returning.high:.1%}] did."
            )
    longest, returning = tested[-1]
    return None, (
        f"No horizon that the history can test is long enough: of those silent for {longest.days} days, the longest "
        f"tested, {returning.value:.1%} [{returning.low:.1%}, {returning.high:.1%}] still come back, more than "
        f"{most:.0%}. Bring a longer history, or accept that more return."
    )


def _by_cancellations(history: History, horizons: Sequence[Horizon], minimum: Minimum) -> tuple[int | None, str]:
    if history.customers < minimum.customers:
        return None, _too_few(history.customers, minimum)
    for horizon in horizons:
        if horizon.tests and min(horizon.tests[0].churners, horizon.tests[-1].churners) >= minimum.positives:
            return horizon.days, (
                f"The cancellation says who left, whatever the horizon; it is the shortest in which at least "
                f"{minimum.positives} members cancel ({horizon.tests[0].churners} in the last one), enough to learn "
                "from."
            )
    return None, (
        f"No horizon can be advised: in no horizon that the history can test do {minimum.positives} members cancel. "
        "Bring a longer history or more members."
    )


def _too_few(customers: int, minimum: Minimum) -> str:
    who = "customer is" if customers == 1 else "customers are"
    return f"No horizon can be advised: {customers:,} {who} too few; bring at least {minimum.customers}."


def _nothing(definition: Definition) -> str:
    return (
        "there is no membership" if definition == "event" else "there is no activity followed by a day that was watched"
    )


def _tenures(table: LifeTable, reach: int) -> list[Tenure]:
    lasting, at_risk = table.lasting(), table.at_risk
    found = []
    for begin, end in pairwise(TENURES):
        if end > reach or not lasting[0, begin]:
            break
        stayed = lasting[:, end] / lasting[:, begin]
        found.append(Tenure(begin, end, int(at_risk[begin + 1]), jackknife(1 - stayed ** (30 / (end - begin)))))
    return found


def _curves(tables: Mapping[str, LifeTable], reach: int) -> dict[str, list[tuple[int, float]]]:
    """Up to half of what the history reaches, a point a week."""
    curves = {}
    for name, table in tables.items():
        end = min(reach, table.reach(_WATCHED))
        shares = table.ending_by(end)[0, : end // 2 + 1]
        curve = [(day, float(shares[day])) for day in range(0, shares.size, 7) if np.isfinite(shares[day])]
        if len(curve) > 1:
            curves[name] = curve
    return curves
