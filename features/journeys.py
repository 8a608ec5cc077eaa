"""Where a customer stands with us: five stages of getting to know us and four journeys, looking only backwards.

**Stage**, how far the relation has come. It never goes back:

- `awareness`: the first touch, ours or theirs;
- `familiarity`: a second touch;
- `consideration`: they enrolled, contacted us, responded to a message, reviewed, or came back within a week;
- `purchase`: they have bought;
- `loyalty`: they have bought twice, renewed or referred somebody.

**Journey**, what the relation is about now. The first that holds:

- `maintenance`: trouble is open: a contact, complaint, return, error, outage or bad experience less than 14 days old,
  or a contact left unresolved less than 90 days ago, and no purchase, renewal or cancellation since;
- `renewal`: they must be won again: they cancelled or stepped down and neither bought, renewed nor enrolled since; a
  renewal is due (within a twelfth of its term, a year unless their own renewals say otherwise); or they have been
  silent for over three times their usual gap (at least 30 days; 180 days where nothing is usual yet). Silence is
  between purchases, and for those who never bought between their own acts;
- `onboarding`: neither a second purchase nor a renewal yet, and bought once or not 90 days with us;
- `use`: everyone else who has bought, enrolled or renewed;
- null: nobody can tell, see `UNKNOWN`.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import polars as pl

from fedelta.features.activity import DOWNGRADE, INTERACTION, REFERRAL, RENEWAL
from fedelta.features.experience import BAD, ONBOARDING_DAYS, RESOLVED, UNRESOLVED
from fedelta.features.history import DAY_US, Booleans, Floats, History, Integers, Measure, Named, View, enum
from fedelta.features.labels import CANCELLATION
from fedelta.features.purchases import PURCHASE
from fedelta.features.tenure import ENROLMENT

JOURNEYS = ("onboarding", "use", "maintenance", "renewal")
STAGES = ("awareness", "familiarity", "consideration", "purchase", "loyalty")
UNKNOWN = f"has neither bought, enrolled nor renewed, and the first {ONBOARDING_DAYS} days are over"

# What we do or cause; the rest is what the customer does.
OURS = ("message", "delivery", "outage")
TROUBLES = ("contact", "complaint", "return", "error", "outage")
RENEWALS = ("renewal", "downgrade", "cancellation")

TROUBLE_DAYS = 14
UNRESOLVED_DAYS = 90
BACK_WITHIN_DAYS = 7
SILENT_GAPS = 3
LEAST_SILENT_DAYS = 30
SILENT_WITHOUT_RHYTHM_DAYS = 180
TERM_DAYS = 365

_own = ~pl.col("kind").is_in(OURS)
_came_back = _own & _own.shift(1) & (pl.col("since_previous") <= BACK_WITHIN_DAYS * DAY_US)
ACT = Measure("act", _own, "count", "interactions of the customer's own doing")
TROUBLE = Measure("trouble", pl.col("kind").is_in(TROUBLES), "count", "contacts, returns, errors and outages")
INTEREST = Measure(
    "interest",
    pl.col("kind").is_in(["enrolment", "contact", "complaint", "response", "review"]) | _came_back,
    "count",
    f"signs of interest: an enrolment, contact, response or review, or a return within {BACK_WITHIN_DAYS} days",
)
MEASURES = (
    ACT, BAD, CANCELLATION, DOWNGRADE, ENROLMENT, INTERACTION, INTEREST, PURCHASE, REFERRAL, RENEWAL, RESOLVED, TROUBLE,
    UNRESOLVED,
)  # fmt: skip


NEEDED = ("since_previous",)  # of `features.annotate.ON_DEMAND`


def with_journeys(events: pl.DataFrame) -> pl.DataFrame:
    """Add `journey` and `journey_stage` to interactions annotated with `NEEDED`, sorted by customer, time and id.

    The stage counts the interaction itself. Trouble and renewals belong to their own journey; any other interaction
    belongs to the journey the customer was in when it came.
    """
    history = History.of(events, MEASURES)
    rows = np.arange(len(events))
    journey = _journey(_Moment(history, rows))
    journey[events["kind"].is_in(TROUBLES).to_numpy()] = JOURNEYS.index("maintenance")
    journey[events["kind"].is_in(RENEWALS).to_numpy()] = JOURNEYS.index("renewal")
    return events.with_columns(
        journey=_named(JOURNEYS, journey).column(),
        journey_stage=_named(STAGES, _stage(_Moment(history, rows + 1))).column(),
    )


def journeys_at(view: View) -> dict[str, Named]:
    """`journey` and `journey_stage` of the customer in every row of the view; the view knows `MEASURES`."""
    return {"journey": _named(JOURNEYS, _journey(view)), "journey_stage": _named(STAGES, _stage(view))}


class _Reader(Protocol):
    """Histories read at an instant per row, as `features.history.View` reads them."""

    @property
    def history(self) -> History: ...
    def count(self, measure: Measure) -> Integers: ...
    def first_row(self, measure: Measure) -> Integers: ...
    def last_row(self, measure: Measure) -> Integers: ...
    def days_since(self, row: Integers) -> Floats: ...


@dataclass(frozen=True)
class _Moment:
    """The history of every event's customer at the time of the event, read up to row `end` (exclusive)."""

    history: History
    end: Integers  # (n_events,)

    def count(self, measure: Measure) -> Integers:
        total = self.history.total(measure)
        return np.asarray(total[self.end] - total[self.history.first_row], np.int64)

    def first_row(self, measure: Measure) -> Integers:
        counting = np.append(np.flatnonzero(self.history.value(measure)), len(self.history.at))
        nearest = counting[np.searchsorted(counting, self.history.first_row)]
        return np.where(nearest < self.end, nearest, -1)

    def last_row(self, measure: Measure) -> Integers:
        rows = np.where(self.history.value(measure) != 0, np.arange(len(self.history.at)), -1)
        latest = np.append(np.maximum.accumulate(rows), -1)[self.end - 1]
        return np.where(latest >= self.history.first_row, latest, -1)

    def days_since(self, row: Integers) -> Floats:
        return np.where(row >= 0, (self.history.at - self.history.at[row]) / DAY_US, np.nan)


def _stage(at: _Reader) -> Integers:
    purchases = at.count(PURCHASE)
    loyal = (purchases >= 2) | (at.count(RENEWAL) > 0) | (at.count(REFERRAL) > 0)
    reached = (at.count(INTERACTION) > 1, at.count(INTEREST) > 0, purchases > 0, loyal)
    return np.asarray(np.select(reached[::-1], [4, 3, 2, 1], 0), np.int64)


def _journey(at: _Reader) -> Integers:
    purchases, renewals = at.count(PURCHASE), at.count(RENEWAL)
    settled = (purchases >= 2) | (renewals > 0)
    related = (purchases > 0) | (renewals > 0) | (at.count(ENROLMENT) > 0)
    young = ~(at.days_since(at.first_row(INTERACTION)) >= ONBOARDING_DAYS)  # with the first interaction it begins
    onboarding = ~settled & ((purchases == 1) | young)
    to_win = related & (_has_left(at) | _renewal_due(at) | _silent(at, purchases > 0))
    code = [JOURNEYS.index(name) for name in ("maintenance", "renewal", "onboarding", "use")]
    return np.asarray(np.select([_in_trouble(at), to_win, onboarding, related], code, len(JOURNEYS)), np.int64)


def _in_trouble(at: _Reader) -> Booleans:
    closed = _last(at, PURCHASE, RENEWAL, CANCELLATION)
    trouble, unresolved = _last(at, TROUBLE, BAD), at.last_row(UNRESOLVED)
    recent = (trouble > closed) & (at.days_since(trouble) < TROUBLE_DAYS)
    waiting = (unresolved > np.maximum(closed, at.last_row(RESOLVED))) & (at.days_since(unresolved) < UNRESOLVED_DAYS)
    return np.asarray(recent | waiting, np.bool_)


def _has_left(at: _Reader) -> Booleans:
    return np.asarray(_last(at, CANCELLATION, DOWNGRADE) > _last(at, PURCHASE, RENEWAL, ENROLMENT), np.bool_)


def _renewal_due(at: _Reader) -> Booleans:
    since = at.days_since(_last(at, RENEWAL, ENROLMENT))
    own = _usual_gap(at, RENEWAL)
    term = np.where(own > 0, own, TERM_DAYS)
    return np.asarray(np.abs(since - term) <= term / 12, np.bool_)


def _silent(at: _Reader, bought: Booleans) -> Booleans:
    silence = np.where(bought, at.days_since(at.last_row(PURCHASE)), at.days_since(at.last_row(ACT)))
    gap = np.where(bought, _usual_gap(at, PURCHASE), _usual_gap(at, ACT))
    limit = np.where(np.isnan(gap), SILENT_WITHOUT_RHYTHM_DAYS, np.maximum(SILENT_GAPS * gap, LEAST_SILENT_DAYS))
    return np.asarray(silence > limit, np.bool_)


def _usual_gap(at: _Reader, measure: Measure) -> Floats:
    """Mean days between the events that count; NaN where there were fewer than two."""
    first, last, times = at.first_row(measure), at.last_row(measure), at.history.at
    gaps = at.count(measure) - 1
    return np.where(gaps > 0, (times[last] - times[first]) / DAY_US / np.maximum(gaps, 1), np.nan)


def _last(at: _Reader, *measures: Measure) -> Integers:
    """Row of the last event of any of these sorts, or -1."""
    return np.asarray(np.max([at.last_row(measure) for measure in measures], axis=0), np.int64)


def _named(names: tuple[str, ...], code: Integers) -> Named:
    return Named(names, code, enum(names))
