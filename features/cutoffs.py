"""When we look: the instants to learn from, to be measured at and to score, and how far each looks ahead.

A run fits its models twice, by the same procedure:

- the **evaluated** fit learns from the cutoffs of role ``train``, all of whose outcomes were known at the cutoff of
  role ``evaluate``, and is measured there: its figures are those of a model in use;
- the **delivered** fit learns from the cutoffs marked ``refit``, all of whose outcomes are known at the scoring cutoff
  (role ``score``), the evaluated one among them, and gives the scores. It is what a backtest at that date measures.

A cutoff of role ``refit`` is learned from by the delivered fit alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from annotated_types import Interval

from fedelta.features.errors import FedeltaError
from fedelta.features.ranges import DayCount

Role = Literal["train", "evaluate", "score", "refit"]
Fit = Literal["evaluated", "delivered"]


class TooLittleHistory(FedeltaError):
    """The data span too short a time for the horizon asked for."""


class BadCutoff(FedeltaError, ValueError):
    """The scoring cutoff is no date."""


@dataclass(frozen=True)
class CutoffSettings:
    """Where the cutoffs stand: so many to train on, stepping back, or those of a list of dates."""

    step_days: Annotated[int, Interval(ge=1, le=3_650)] = 30
    train: Annotated[int, Interval(ge=1, le=100)] | tuple[str, ...] = 6
    score_at: str = "latest"
    min_history_days: DayCount = 60

    def __post_init__(self) -> None:
        """Refuse training dates that are none.

        Raises
        ------
        BadCutoff
            If there are any, or the list is empty.
        """
        if not isinstance(self.train, int):
            if not self.train:
                raise BadCutoff('cutoffs.train is an empty list; it must be a number or dates, such as ["2026-01-31"].')
            for text in self.train:
                _date(text, "cutoffs.train")

    @property
    def number(self) -> int:
        """How many training cutoffs there may be."""
        return self.train if isinstance(self.train, int) else len(self.train)

    @property
    def dates(self) -> tuple[datetime, ...] | None:
        """The only instants that may be training cutoffs, oldest first; None: they step back."""
        return None if isinstance(self.train, int) else tuple(sorted({_date(t, "cutoffs.train") for t in self.train}))

    def evaluation(self, known: datetime, ahead: timedelta) -> datetime:
        """The cutoff to evaluate at, if outcomes are known until `known` and are over `ahead` after their cutoff."""
        return known - ahead

    def before(self, at: datetime, days: int) -> datetime | None:
        """The evaluation cutoff so many days before another, for a backtest; None where there is none."""
        return at - timedelta(days=days)


@dataclass(frozen=True)
class LabelledCutoffs(CutoffSettings):
    """Cutoffs where the company's own labels stand: only there is an outcome known."""

    labelled: tuple[date, ...] = ()

    @property
    def dates(self) -> tuple[datetime, ...]:
        """Midnights (UTC) of the dates with labels, of those listed in `train` where it is a list."""
        found = sorted({datetime(at.year, at.month, at.day, tzinfo=UTC) for at in self.labelled})
        listed = super().dates
        if listed and (lacking := [f"{at:%Y-%m-%d}" for at in listed if at not in found]):
            raise BadCutoff(f"cutoffs.train names {', '.join(lacking)}, where no label stands. {self._in_words(found)}")
        return tuple(at for at in found if listed is None or at in listed)

    def evaluation(self, known: datetime, ahead: timedelta) -> datetime:
        """The last date with labels whose outcomes are known.

        Raises
        ------
        TooLittleHistory
            If there is none.
        """
        found = [datetime(at.year, at.month, at.day, tzinfo=UTC) for at in self.labelled]
        over = [at for at in found if at + ahead <= known]
        if not over:
            raise TooLittleHistory(
                f"No label's horizon of {ahead.days} days is over by {known:%Y-%m-%d}. {self._in_words(sorted(found))}"
            )
        return max(over)

    def before(self, at: datetime, days: int) -> datetime | None:
        """The last date with labels at least so many days before another."""
        found = [datetime(d.year, d.month, d.day, tzinfo=UTC) for d in self.labelled]
        return max((d for d in found if d <= at - timedelta(days=days)), default=None)

    def check(self, at: datetime) -> None:
        """Refuse to evaluate where no label stands.

        Raises
        ------
        BadCutoff
            If `at` is no such date.
        """
        if at.date() not in self.labelled:
            found = sorted(datetime(d.year, d.month, d.day, tzinfo=UTC) for d in self.labelled)
            raise BadCutoff(f"No label stands at {at:%Y-%m-%d}. {self._in_words(found)}")

    @staticmethod
    def _in_words(found: Sequence[datetime]) -> str:
        if not found:
            return "There are no labels: see labels.sql of the source."
        return f"Labels stand at {', '.join(f'{at:%Y-%m-%d}' for at in found[-12:])}."


@dataclass(frozen=True)
class Cutoff:
    """An instant to predict from (midnight UTC) and the horizon predicted there."""

    at: datetime
    horizon_days: int
    lead_days: int
    role: Role
    refit: bool = False  # whether the delivered fit learns from it

    @property
    def horizon_start(self) -> datetime:
        """First instant of the horizon."""
        return self.at + timedelta(days=self.lead_days)

    @property
    def horizon_end(self) -> datetime:
        """First instant after the horizon."""
        return self.horizon_start + timedelta(days=self.horizon_days)


def midnight_after(instant: datetime) -> datetime:
    """The first midnight (UTC) strictly after `instant`: the earliest cutoff that sees it."""
    return datetime(instant.year, instant.month, instant.day, tzinfo=UTC) + timedelta(days=1)


_USUAL_DAYS = 28  # whole weeks
_LEAST_GAP_DAYS = 14
_YEAR_DAYS = 365


@dataclass(frozen=True)
class BelievedSpan:
    """The days between which the data are believed to lie, and what lies outside them. Days may count from anywhere."""

    first: int  # day
    last: int  # day
    earlier: tuple[int, ...]  # days before, with interactions
    later: tuple[int, ...]  # days after, with interactions
    earlier_count: int  # interactions before
    later_count: int  # interactions after


def believed_span(days: Sequence[int], counts: Sequence[int]) -> BelievedSpan:
    """First and last day of ordinary activity: a few stray dates far from all others are not believed.

    The days are cut into stretches wherever two that follow each other are unusually far apart: more than 14 days, and
    more than twice as far as 95% are (each pair weighted by the interactions of the lesser of its days). The stretch at
    either end is not believed if it is lonely: if it holds less than a tenth of the interactions that the usual four
    weeks hold (in proportion, where it is longer), or is a single day more than a year away from the next. The stretch
    before it is asked then, and so on; the last one left is believed. "Usual" is the median over interactions, so that
    neither quiet times nor stray dates count for much.

    A shop that opens again after such a pause is believed as soon as it has done a tenth of four weeks' business.

    Parameters
    ----------
    days : sequence of int
        Days with at least one interaction, ascending: at least one.
    counts : sequence of int
        Interactions of each of the days.
    """
    at, n = np.asarray(days, np.int64), np.asarray(counts, np.int64)
    gaps = np.diff(at)
    usual = _weighted_quantile(_total_within(at, n, _USUAL_DAYS), n, 0.5)
    ordinary_gap = _weighted_quantile(gaps, np.minimum(n[1:], n[:-1]), 0.95) if len(gaps) else 0.0
    unusual = np.flatnonzero(gaps > max(_LEAST_GAP_DAYS, 2 * ordinary_gap)) + 1
    stretches = list(pairwise([0, *unusual.tolist(), len(at)]))

    def lonely(begin: int, end: int, gap: int) -> bool:
        length = int(at[end - 1] - at[begin]) + 1
        few = bool(n[begin:end].sum() * 10 < usual * max(1.0, length / _USUAL_DAYS))
        return few or (length == 1 and gap > _YEAR_DAYS)

    while len(stretches) > 1 and lonely(*stretches[-1], int(gaps[stretches[-1][0] - 1])):
        stretches.pop()
    while len(stretches) > 1 and lonely(*stretches[0], int(gaps[stretches[0][1] - 1])):
        stretches.pop(0)
    begin, end = stretches[0][0], stretches[-1][1]
    return BelievedSpan(
        int(at[begin]),
        int(at[end - 1]),
        tuple(at[:begin].tolist()),
        tuple(at[end:].tolist()),
        int(n[:begin].sum()),
        int(n[end:].sum()),
    )


def believed_times(days: Sequence[tuple[int, int, datetime, datetime]]) -> tuple[datetime, datetime]:
    """Time of the first and of the last interaction that are believed (`believed_span`).

    Parameters
    ----------
    days : sequence of (int, int, datetime, datetime)
        Of each day with interactions, ascending: its number, how many there are, and the first and last of them.
    """
    believed = believed_span([day for day, *_ in days], [count for _, count, *_ in days])
    first = next(first for day, _, first, _ in days if day == believed.first)
    last = next(last for day, *_, last in days if day == believed.last)
    return first.replace(tzinfo=UTC), last.replace(tzinfo=UTC)


def _total_within(days: npt.NDArray[np.int64], counts: npt.NDArray[np.int64], width: int) -> npt.NDArray[np.int64]:
    """Interactions of the `width` days up to each day."""
    total = np.append(0, counts.cumsum())
    return np.asarray(total[1:] - total[np.searchsorted(days, days - width, side="right")])


def _weighted_quantile(values: npt.NDArray[np.int64], weights: npt.NDArray[np.int64], share: float) -> float:
    """The least value that the given share of the weight does not exceed."""
    order = np.argsort(values, kind="stable")
    cumulated = weights[order].cumsum()
    return float(values[order][np.searchsorted(cumulated, share * cumulated[-1])])


def score_cutoff(settings: CutoffSettings, last: datetime) -> datetime:
    """The cutoff to score at: the date asked for, or the first midnight after the last interaction (that is believed).

    Raises
    ------
    BadCutoff
        If it is neither a date nor "latest".
    """
    if settings.score_at == "latest":
        return midnight_after(last)
    return _date(settings.score_at, "cutoffs.score_at", " or latest")


def training_cutoffs(
    first: datetime, evaluate_at: datetime, settings: CutoffSettings, *, horizon_days: int, lead_days: int
) -> tuple[Cutoff, ...]:
    """Cutoffs to learn from, oldest first: every horizon is over by `evaluate_at`.

    They step back from the last cutoff whose whole horizon is over. Where the history is too short for two of those,
    horizons are shortened: the cutoffs spread over the middle third of the history and each looks ahead to
    `evaluate_at` at most, so that a model of the horizon (BTYD) carries the answer to the full one.

    Where the settings give dates, they are those, and no others, whose whole horizon is over: all that are listed, or
    the newest `train` of those with labels.

    Raises
    ------
    TooLittleHistory
        If not even the short horizons fit, or no date's horizon is over.
    """
    lead = timedelta(days=lead_days)
    if (dates := settings.dates) is not None:
        over = [at for at in dates if at > first and at + lead + timedelta(days=horizon_days) <= evaluate_at]
        if not over:
            listed = ", ".join(f"{at:%Y-%m-%d}" for at in dates) or "none"
            raise TooLittleHistory(
                f"No training cutoff has an outcome that was known on {evaluate_at:%Y-%m-%d}: the dates are {listed}, "
                f"the history begins on {first:%Y-%m-%d}, and a horizon is over {lead_days + horizon_days} days after "
                "its cutoff. Give earlier dates, bring a longer history, or shorten horizon_days."
            )
        return tuple(Cutoff(at, horizon_days, lead_days, "train") for at in over[-settings.number :])
    latest = evaluate_at - lead - timedelta(days=horizon_days)
    earliest = _midnight(first) + timedelta(days=settings.min_history_days)
    steps = (latest - timedelta(days=settings.step_days * k) for k in range(settings.number))
    full = [at for at in steps if at >= earliest]
    if len(full) >= min(2, settings.number):
        return tuple(Cutoff(at, horizon_days, lead_days, "train") for at in reversed(full))
    history = (evaluate_at - lead - _midnight(first)).days
    if history < 2 * settings.min_history_days:
        raise TooLittleHistory(
            f"The history before {evaluate_at:%Y-%m-%d} spans {history} days; at least "
            f"{2 * settings.min_history_days} are needed. Bring more history, shorten horizon_days, or lower "
            "cutoffs.min_history_days."
        )
    number = max(settings.number, 2)
    offsets = [max(history // 3, 1) + (history // 3) * k // (number - 1) for k in range(number)]
    return tuple(
        Cutoff(_midnight(first) + timedelta(days=days), min(horizon_days, history - days), lead_days, "train")
        for days in dict.fromkeys(offsets)
    )


def calendar(
    first: datetime, last: datetime, settings: CutoffSettings, *, horizon_days: int, lead_days: int
) -> tuple[Cutoff, ...]:
    """All cutoffs of a run, oldest first: to learn from, to be evaluated at, and to score.

    The horizon of the evaluation cutoff ends at the scoring cutoff.

    Where the history holds no evaluation cutoff with enough before it, there is none, and no cutoff of role ``train``:
    the delivered fit is all there is.

    Raises
    ------
    TooLittleHistory
        If nothing can be learned from by the scoring cutoff.
    BadCutoff
        If the scoring cutoff lies more than a horizon after the last interaction.

    Examples
    --------
    >>> first, last = datetime(2025, 1, 1, tzinfo=UTC), datetime(2025, 12, 31, 12, tzinfo=UTC)
    >>> for cutoff in calendar(first, last, CutoffSettings(train=2), horizon_days=90, lead_days=0):
    ...     print(f"{cutoff.at:%Y-%m-%d}", cutoff.role)
    2025-06-05 train
    2025-07-05 train
    2025-09-03 refit
    2025-10-03 evaluate
    2026-01-01 score
    """
    score_at = score_cutoff(settings, last)
    if score_at <= first:
        raise TooLittleHistory(
            f"cutoffs.score_at is {score_at:%Y-%m-%d}, but the history begins only on {first:%Y-%m-%d}."
        )
    if score_at > midnight_after(last) + timedelta(days=horizon_days):
        raise BadCutoff(
            f"cutoffs.score_at is {score_at:%Y-%m-%d}, more than a horizon after the last interaction "
            f"({last:%Y-%m-%d}): by then everybody would seem to have left. Choose an earlier date, or latest."
        )
    known = min(score_at, midnight_after(last))
    learned = training_cutoffs(first, known, settings, horizon_days=horizon_days, lead_days=lead_days)
    cutoffs = {cutoff.at: replace(cutoff, role="refit", refit=True) for cutoff in learned}
    try:
        evaluate_at = settings.evaluation(known, timedelta(days=lead_days + horizon_days))
        train = training_cutoffs(first, evaluate_at, settings, horizon_days=horizon_days, lead_days=lead_days)
    except TooLittleHistory:
        evaluated: tuple[Cutoff, ...] = ()
    else:
        evaluated = (*train, Cutoff(evaluate_at, horizon_days, lead_days, "evaluate"))
    for cutoff in evaluated:
        _add(cutoffs, cutoff, first)
    return (*(cutoffs[at] for at in sorted(cutoffs)), Cutoff(score_at, horizon_days, lead_days, "score"))


def value_calendar(
    first: datetime, last: datetime, settings: CutoffSettings, of_churn: Sequence[Cutoff], *, days: int
) -> tuple[Cutoff, ...]:
    """The cutoffs at which value over `days` is learned and evaluated.

    Those of churn where the horizons are the same, where a company declares outcomes over churn's, or where the history
    is too short to see one value outcome after another: then value is learned over churn's horizon, and a model of the
    horizon (BTYD) carries it further. A backtest sees as much of the value horizon as is over in the data.

    Parameters
    ----------
    of_churn : sequence of Cutoff
        The `calendar`, or `backtest_calendar`, of churn: its last cutoff is the present.
    """
    present = of_churn[-1]
    if days == present.horizon_days or isinstance(settings, LabelledCutoffs):
        return tuple(of_churn)
    lead, known = timedelta(days=present.lead_days), min(present.at, midnight_after(last))
    ahead = {"horizon_days": days, "lead_days": present.lead_days}
    try:
        training_cutoffs(first, known - lead - timedelta(days=days), settings, **ahead)  # that evaluation is possible
        if present.role == "score":
            return calendar(first, last, settings, **ahead)
        seen = min(days, (midnight_after(last) - present.horizon_start).days)
        return (*training_cutoffs(first, known, settings, **ahead), replace(present, horizon_days=seen))
    except TooLittleHistory:
        return tuple(of_churn)


def backtest_calendar(
    first: datetime, last: datetime, at: datetime, settings: CutoffSettings, *, horizon_days: int, lead_days: int
) -> tuple[Cutoff, ...]:
    """Cutoffs of a run that pretends the data ended at `at`: to train and to evaluate.

    Raises
    ------
    TooLittleHistory
        If the horizon from `at` is not over in the data, or too little precedes it.
    """
    if at <= first:
        raise TooLittleHistory(f"{at:%Y-%m-%d} lies before the history, which begins on {first:%Y-%m-%d}.")
    if isinstance(settings, LabelledCutoffs):
        settings.check(at)
    evaluate = Cutoff(at, horizon_days, lead_days, "evaluate")
    if evaluate.horizon_end > midnight_after(last):
        raise TooLittleHistory(
            f"From {at:%Y-%m-%d} the horizon of {horizon_days} days ends on {evaluate.horizon_end:%Y-%m-%d}, but the "
            f"data end on {last:%Y-%m-%d}. Choose an earlier date."
        )
    train = training_cutoffs(first, at, settings, horizon_days=horizon_days, lead_days=lead_days)
    return (*train, evaluate)


def _add(cutoffs: dict[datetime, Cutoff], cutoff: Cutoff, first: datetime) -> None:
    """Add a cutoff of the evaluated fit; an instant has one horizon, so one that clashes moves to the day before."""
    there = cutoffs.get(cutoff.at)
    if there is None or there.horizon_days == cutoff.horizon_days:
        cutoffs[cutoff.at] = replace(cutoff, refit=there is not None)
    elif cutoff.at - timedelta(days=1) > first:
        _add(cutoffs, replace(cutoff, at=cutoff.at - timedelta(days=1)), first)


def _date(text: str | date, key: str, more: str = "") -> datetime:
    """Midnight (UTC) of a date in settings."""
    try:
        return datetime.combine(text if isinstance(text, date) else date.fromisoformat(text), time(), UTC)
    except ValueError:
        raise BadCutoff(f"{key} is {text!r}; it must be a date (2026-01-31){more}.") from None


def _midnight(instant: datetime) -> datetime:
    return datetime(instant.year, instant.month, instant.day, tzinfo=UTC)
