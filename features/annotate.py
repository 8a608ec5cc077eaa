"""What an event knows of the events before it: the columns that measures are written over."""

from collections.abc import Collection, Mapping
from functools import cache

import numpy as np
import polars as pl
import pyarrow as pa

from fedelta.features.contract import DIGITAL_CHANNELS, LEVELS, PILLARS
from fedelta.features.experience_rules import ExperienceSettings, columns_of, judged, named_rules, numbered
from fedelta.features.history import DAY_US, Booleans, Integers, opens_of, times_of
from fedelta.features.recovery import recoveries
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
    starts = np.flatnonzero(opens_of(events))
    first = np.repeat(starts, np.diff(np.append(starts, len(events))))
    marks = {"since_previous": np.ones(len(events), np.bool_), "since_previous_bad": severity > 0}
    if "purchase" in found.columns:
        marks["since_previous_purchase"] = found["purchase"].to_numpy()
    return table.hstack(
        [
            *_times_since(times_of(events), first, marks, wanted),
            *_experience_columns(table, experience, first, wanted),
            *_relationship_columns(table, relationship, first, wanted),
        ]
    )


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


def _relationship_columns(
    events: pl.DataFrame, relationship: Relationship, first: Integers, named: frozenset[str]
) -> list[pl.Series]:
    added: list[pl.Series] = []
    at = times_of(events)

    def of_kinds(kinds: Collection[str]) -> Booleans:
        return _mark(events, pl.col("kind").is_in(list(kinds)))

    if {"is_activity", "since_previous_activity"} & named:
        active = of_kinds(relationship.activity)
        added += [pl.Series("is_activity", active), _since_previous("since_previous_activity", at, first, active)]
    if {"is_ending", "after_ending"} & named:
        ending = of_kinds(relationship.ended)
        last_ending, last_resuming = (_previous_row(mark) for mark in (ending, of_kinds(RESUMING)))
        added.append(pl.Series("is_ending", ending))
        added.append(pl.Series("after_ending", (last_ending >= first) & (last_ending > last_resuming)))
    return [column for column in added if column.name in named]


def _times_since(
    at: Integers, first: Integers, marks: Mapping[str, Booleans], named: frozenset[str]
) -> list[pl.Series]:
    added = [pl.Series("since_first", at - at[first], dtype=pl.Int64)] if "since_first" in named else []
    return added + [_since_previous(name, at, first, mark) for name, mark in marks.items() if name in named]


def _mark(events: pl.DataFrame, expression: pl.Expr) -> Booleans:
    """A predicate at every event."""
    return events.select(expression.alias("mark"))["mark"].to_numpy()


def _experience_columns(
    events: pl.DataFrame, experience: ExperienceSettings, first: Integers, named: frozenset[str]
) -> list[pl.Series]:
    added: list[pl.Series] = []
    rule, at, bad = events["rule"].to_numpy(), times_of(events), events["severity"].to_numpy() > 0
    for name, values in (("pillar", PILLARS), ("level", LEVELS)):
        if name in named:
            of_rule = tuple(getattr(rule, name) for rule in experience.rules.values())
            added.append(numbered(name, of_rule, values)[rule])
    if "is_repeat" in named:
        previous = _previous_row(bad)
        soon = at - at[previous] <= round(experience.repeat_days * DAY_US) if len(at) else bad
        added.append(pl.Series("is_repeat", bad & (previous >= first) & soon))
    if "decayed_severity" in named:
        added.append(_decayed_severity(events, first, experience.half_life_days * DAY_US))
    if "half_life" in named:
        half_life = np.full(len(events), round(experience.half_life_days * DAY_US), np.int64)
        added.append(pl.Series("half_life", half_life))
    if {"recovered", "recovery"} & named:
        added += [one for one in _recovered(events, experience.recovery_days) if one.name in named]
    return added


def _decayed_severity(events: pl.DataFrame, first: Integers, half_life: float) -> pl.Series:
    """Severity so far, each bad experience halved every half-life since; rounded at each one.

    The k-th bad experiences of all customers are added at once to what is left of their (k-1)-th, so that a customer's
    figure is the same among whomever it is computed.
    """
    severity = events["severity"].to_numpy()
    at = times_of(events)
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
    return pl.Series("decayed_severity", values)


def _recovered(events: pl.DataFrame, recovery_days: float) -> list[pl.Series]:
    found = recoveries(events, recovery_days)
    by = found["by"].to_numpy()
    took = np.rint(found["hours"].to_numpy() * HOUR_MS)
    return [
        pl.Series("recovered", np.bincount(by, minlength=len(events))),
        pl.Series("recovery", np.bincount(by, weights=took, minlength=len(events)).astype(np.int64)),
    ]


def _since_previous(name: str, at: Integers, first: Integers, mark: Booleans) -> pl.Series:
    """Time since the customer's previous event that bears the mark; null where there is none."""
    previous = _previous_row(mark)
    elapsed = at - at[previous] if len(at) else at
    return pl.Series(name, pa.array(elapsed, pa.int64(), mask=previous < first))


def _previous_row(mark: Booleans) -> Integers:
    """The last row before each that bears the mark, of whatever customer; -1 where there is none."""
    marked = np.flatnonzero(mark[:-1])
    return np.repeat(np.append(-1, marked), np.diff(np.concatenate([[-1], marked, [len(mark) - 1]])))
