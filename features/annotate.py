"""What an event knows of the events before it: the columns that measures are written over."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
import numpy.typing as npt
import polars as pl

from fedelta.features.contract import DIGITAL_CHANNELS, LEVELS, PILLARS
from fedelta.features.experience_rules import ExperienceSettings, columns_of, judged, judged_few, named_rules
from fedelta.features.few_events import Column, FewEvents
from fedelta.features.history import DAY_US, Booleans, Integers, opens_of, times_of
from fedelta.features.recovery import Recovered, recovered, recovered_few
from fedelta.features.relationship import RESUMING, USUAL, Relationship

# The columns of an interaction that features read.
COLUMNS = (
    "customer_id", "occurred_at", "kind", "channel", "amount", "rating", "resolved", "wait_hours", "delay_hours",
    "effort", "reach", "topic",
)  # fmt: skip
# Those of them that annotate always reads.
_ALWAYS = ("customer_id", "occurred_at", "kind", "channel", "amount")
# What it adds only where it is named, and the further columns that each is computed from.
_RECOVERY = ("resolved", "wait_hours", "topic")
ON_DEMAND: Mapping[str, tuple[str, ...]] = {
    "since_first": (),
    "since_previous": (),
    "since_previous_purchase": (),
    "since_previous_bad": (),
    "pillar": (),
    "level": (),
    "is_repeat": (),
    "decayed_severity": (),
    "half_life": (),
    "recovered": _RECOVERY,
    "recovery": _RECOVERY,
    "is_activity": (),
    "since_previous_activity": (),
    "is_ending": (),
    "after_ending": (),
}
DECAYED_SCALE = 1_000_000_000
HOUR_MS = 3_600_000


def annotate(
    events: pl.DataFrame,
    experience: ExperienceSettings,
    digital_channels: Collection[str] = DIGITAL_CHANNELS,
    named: Collection[str] = tuple(ON_DEMAND),
    relationship: Relationship = USUAL,
) -> pl.DataFrame:
    """Add to interactions, sorted by customer and time, what each looks back on.

    `kind` becomes categorical, and `channel` where it is `named`. New columns: `bad_experience`, `severity`, and
    `rule`, the number of the rule broken (that of rules where none was); `is_digital`; and `cents` (amount in 1/10,000,
    Int64).

    Only where `named`, those of `ON_DEMAND`: in µs, null where there is none, `since_first` and, for the customer's
    previous event of that sort, `since_previous`, `since_previous_purchase`, `since_previous_bad`; `pillar` and `level`
    of the rule broken, null where none was; `is_repeat`, a bad experience soon after the one before;
    `decayed_severity`, that of the customer's bad experiences up to this one at its moment, in billionths of a point,
    0 where the event is not bad; `half_life` in µs, the same everywhere; `recovered`, how many earlier or own bad
    experiences the event made good, and `recovery`, how long they took
    together, in ms; `is_activity` and `since_previous_activity`, as for purchases, of the kinds that are activity;
    `is_ending`, of a kind that ends the relationship without churn, and `after_ending`, that one came before and
    nothing since shows that it goes on.
    """
    wanted = frozenset(named)
    asked = {"cents": _CENTS, **_categories(wanted), "is_digital": _is_digital(tuple(digital_channels))}
    if "since_previous_purchase" in wanted:
        asked["purchase"] = _PURCHASE
    rule, severity, found = judged(events, experience, asked)
    held = {column.name: column for column in events.get_columns()}
    held |= {column.name: column for column in found if column.name != "purchase"}
    held |= {"bad_experience": named_rules(rule, experience), "severity": pl.Series("severity", severity)}
    held["rule"] = pl.Series("rule", rule)
    table = pl.DataFrame(list(held.values()))
    looking = _Looking(
        at=times_of(events),
        starts=np.append(np.flatnonzero(opens_of(events)), len(events)),
        rule=rule,
        severity=severity,
        purchase=found["purchase"].to_numpy() if "purchase" in found.columns else None,
        of_kinds=lambda kinds: _mark(table, pl.col("kind").is_in(list(kinds))),
        recovered=lambda: recovered(table, experience.recovery_days),
    )
    added = _look_back(looking, experience, relationship, wanted)
    return table.hstack([column.series(name) for name, column in added.items()])


def annotate_few(
    events: FewEvents,
    experience: ExperienceSettings,
    digital_channels: Collection[str] = DIGITAL_CHANNELS,
    named: Collection[str] = tuple(ON_DEMAND),
    relationship: Relationship = USUAL,
) -> FewEvents:
    """Add the same to a few events, without `bad_experience`, which `rule` numbers."""
    rule, severity = judged_few(events, experience)
    kind = events["kind"]
    looking = _Looking(
        at=events["occurred_at"].values,
        starts=events.starts,
        rule=rule,
        severity=severity,
        purchase=kind.among(("purchase",)),
        of_kinds=kind.among,
        recovered=lambda: recovered_few(events, severity, experience.recovery_days),
    )
    added = {
        "cents": events.cents("amount"),
        "is_digital": Column(events["channel"].among(digital_channels), events["channel"].known),
        "severity": Column(severity),
        "rule": Column(rule),
    }
    return events.with_columns(added | _look_back(looking, experience, relationship, frozenset(named)))


@dataclass(frozen=True)
class _Looking:
    """Events that look back, however they are held."""

    at: Integers  # µs since 1970
    starts: Integers  # first row of each customer, and after the last
    rule: npt.NDArray[np.uint32]
    severity: Integers
    purchase: Booleans | None  # None: not asked for
    of_kinds: Callable[[Collection[str]], Booleans]
    recovered: Callable[[], Recovered]

    @cached_property
    def first(self) -> Integers:
        """First row of the customer of every event."""
        return np.repeat(self.starts[:-1], np.diff(self.starts))


def _look_back(
    events: _Looking, experience: ExperienceSettings, relationship: Relationship, wanted: frozenset[str]
) -> dict[str, Column]:
    """The columns of `ON_DEMAND` that are wanted."""
    marks = {"since_previous": np.ones(len(events.at), np.bool_), "since_previous_bad": events.severity > 0}
    if events.purchase is not None:
        marks["since_previous_purchase"] = events.purchase
    added = {
        **_times_since(events.at, events.first, marks, wanted),
        **_experience_columns(events, experience, wanted),
        **_relationship_columns(events, relationship, wanted),
    }
    return {name: column for name, column in added.items() if name in wanted}


_CENTS = pl.col("amount").cast(pl.Decimal(18, 4)).to_physical().cast(pl.Int64)
_PURCHASE = pl.col("kind") == "purchase"


def _categories(named: frozenset[str]) -> dict[str, pl.Expr]:
    """Texts as categories: measures ask for a kind or channel, again and again."""
    return {name: pl.col(name).cast(pl.Categorical) for name in ("kind", "channel") if name == "kind" or name in named}


@cache
def _is_digital(channels: tuple[str, ...]) -> pl.Expr:
    return pl.col("channel").is_in(list(channels))


def columns_needed(named: Collection[str], experience: ExperienceSettings) -> list[str]:
    """The columns of an interaction that it takes to annotate, and to evaluate what names the columns `named`."""
    further = {base for column in named for base in ON_DEMAND.get(column, ())}
    needed = {*named, *_ALWAYS, *further, *columns_of(experience)}
    return [name for name in COLUMNS if name in needed]


def _relationship_columns(events: _Looking, relationship: Relationship, named: frozenset[str]) -> dict[str, Column]:
    added: dict[str, Column] = {}
    if {"is_activity", "since_previous_activity"} & named:
        active = events.of_kinds(relationship.activity)
        added["is_activity"] = Column(active)
        added["since_previous_activity"] = _since_previous(events.at, events.first, active)
    if {"is_ending", "after_ending"} & named:
        ending = events.of_kinds(relationship.ended)
        last_ending, last_resuming = (_previous_row(mark) for mark in (ending, events.of_kinds(RESUMING)))
        added["is_ending"] = Column(ending)
        added["after_ending"] = Column((last_ending >= events.first) & (last_ending > last_resuming))
    return added


def _times_since(
    at: Integers, first: Integers, marks: Mapping[str, Booleans], named: frozenset[str]
) -> dict[str, Column]:
    added = {"since_first": Column(at - at[first])} if "since_first" in named else {}
    return added | {name: _since_previous(at, first, mark) for name, mark in marks.items() if name in named}


def _mark(events: pl.DataFrame, expression: pl.Expr) -> Booleans:
    """A predicate at every event."""
    return events.select(expression.alias("mark"))["mark"].to_numpy()


def _experience_columns(events: _Looking, experience: ExperienceSettings, named: frozenset[str]) -> dict[str, Column]:
    added: dict[str, Column] = {}
    at, bad = events.at, events.severity > 0
    for name, values in (("pillar", PILLARS), ("level", LEVELS)):
        if name in named:
            number = np.array([*(values.index(getattr(rule, name)) for rule in experience.rules.values()), -1])
            of_rule = number[events.rule]
            added[name] = Column(of_rule, of_rule >= 0, {one: place for place, one in enumerate(values)})
    if "is_repeat" in named:
        previous = _previous_row(bad)
        soon = at - at[previous] <= round(experience.repeat_days * DAY_US) if len(at) else bad
        added["is_repeat"] = Column(bad & (previous >= events.first) & soon)
    if "decayed_severity" in named:
        added["decayed_severity"] = _decayed_severity(events, experience.half_life_days * DAY_US)
    if "half_life" in named:
        added["half_life"] = Column(np.full(len(at), round(experience.half_life_days * DAY_US), np.int64))
    if {"recovered", "recovery"} & named:
        found = events.recovered()
        took = np.bincount(found.by, weights=np.rint(found.hours * HOUR_MS), minlength=len(at)).astype(np.int64)
        added |= {"recovered": Column(np.bincount(found.by, minlength=len(at))), "recovery": Column(took)}
    return added


def _decayed_severity(events: _Looking, half_life: float) -> Column:
    """Severity so far, each bad experience halved every half-life since; rounded at each one.

    The k-th bad experiences of all customers are added at once to what is left of their (k-1)-th, so that a customer's
    figure is the same among whomever it is computed.
    """
    severity, at, first = events.severity, events.at, events.first
    rows = np.flatnonzero(severity)
    total = severity[rows].astype(np.float64) * DECAYED_SCALE
    follows = first[rows[1:]] == first[rows[:-1]]  # the bad experience before it is the same customer's
    opens = np.flatnonzero(np.concatenate([[True], ~follows])) if len(rows) else rows
    number = np.arange(len(rows)) - np.repeat(opens, np.diff(np.append(opens, len(rows))))
    by_number = np.argsort(number, kind="stable")
    left = np.exp2(-(at[rows[1:]] - at[rows[:-1]]) / half_life)
    for kth in np.split(by_number, np.cumsum(np.bincount(number)))[1:]:
        total[kth] = np.rint(total[kth] + total[kth - 1] * left[kth - 1])
    values = np.zeros(len(severity), np.int64)
    values[rows] = total
    return Column(values)


def _since_previous(at: Integers, first: Integers, mark: Booleans) -> Column:
    """Time since the customer's previous event that bears the mark; unknown where there is none."""
    previous = _previous_row(mark)
    if not len(at):
        return Column(at)
    elapsed, known = at - at[previous], previous >= first
    elapsed[~known] = 0
    return Column(elapsed, known)


def _previous_row(mark: Booleans) -> Integers:
    """The last row before each that bears the mark, of whatever customer; -1 where there is none."""
    marked = np.flatnonzero(mark[:-1])
    return np.repeat(np.append(-1, marked), np.diff(np.concatenate([[-1], marked, [len(mark) - 1]])))
