"""What an event knows of the events before it: the columns that measures are written over."""

from collections.abc import Collection, Mapping

import numpy as np
import numpy.typing as npt
import polars as pl

from fedelta.features.contract import DIGITAL_CHANNELS, LEVELS, PILLARS
from fedelta.features.experience_rules import ExperienceSettings, columns_of, with_bad_experiences
from fedelta.features.history import DAY_US, Booleans, Integers
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

    `kind` becomes categorical. New columns: `bad_experience` and `severity`; `is_digital`; `cents` (amount in 1/10,000,
    Int64); and in µs, null where there is none: `since_first` and, for the customer's previous event of that sort,
    `since_previous`, `since_previous_purchase`, `since_previous_bad`.

    Only where `named`, those of `ON_DEMAND`: `pillar` and `level` of the rule broken, null where none was; `is_repeat`,
    a bad experience soon after the one before; `decayed_severity`, that of the customer's bad experiences up to this
    one at its moment, in billionths of a point, 0 where the event is not bad; `half_life` in µs, the same everywhere;
    `recovered`, how many earlier or own bad experiences the event made good, and `recovery`, how long they took
    together, in ms; `is_activity` and `since_previous_activity`, as for purchases, of the kinds that are activity;
    `is_ending`, of a kind that ends the relationship without churn, and `after_ending`, that one came before and
    nothing since shows that it goes on.
    """
    events = with_bad_experiences(events, experience).with_columns(
        pl.col("kind").cast(pl.Categorical),  # rules may look into the text; measures ask for a kind, again and again
        cents=pl.col("amount").cast(pl.Decimal(18, 4)).to_physical().cast(pl.Int64),
        is_digital=pl.col("channel").is_in(list(digital_channels)),
    )
    ids = events["customer_id"]
    opens = (ids != ids.shift(1)).fill_null(True).to_numpy()
    at = events["occurred_at"].dt.epoch("us").to_numpy()
    rows = np.arange(len(at))
    first = np.maximum.accumulate(np.where(opens, rows, 0))
    marks = events.select(purchase=pl.col("kind") == "purchase", bad=pl.col("severity") > 0)
    events = events.with_columns(
        pl.Series("since_first", at - at[first], dtype=pl.Int64),
        _since_previous("since_previous", at, first, np.ones(len(at), bool)),
        _since_previous("since_previous_purchase", at, first, marks["purchase"].to_numpy()),
        _since_previous("since_previous_bad", at, first, marks["bad"].to_numpy()),
    )
    events = _with_experience(events, experience, first, frozenset(named))
    return _with_relationship(events, relationship, first, frozenset(named))


def columns_needed(named: Collection[str], experience: ExperienceSettings) -> list[str]:
    """The columns of an interaction that it takes to annotate, and to evaluate what names the columns `named`."""
    further = {base for column in named for base in ON_DEMAND.get(column, ())}
    needed = {*named, *_ALWAYS, *further, *columns_of(experience)}
    return [name for name in COLUMNS if name in needed]


def _with_relationship(
    events: pl.DataFrame, relationship: Relationship, first: Integers, named: frozenset[str]
) -> pl.DataFrame:
    added: list[pl.Series] = []
    at = events["occurred_at"].dt.epoch("us").to_numpy()

    def of_kinds(kinds: Collection[str]) -> Booleans:
        return events.select(mark=pl.col("kind").is_in(list(kinds)))["mark"].to_numpy()

    if {"is_activity", "since_previous_activity"} & named:
        active = of_kinds(relationship.activity)
        added += [pl.Series("is_activity", active), _since_previous("since_previous_activity", at, first, active)]
    if {"is_ending", "after_ending"} & named:
        ending = of_kinds(relationship.ended)
        last_ending, last_resuming = (_previous_row(mark) for mark in (ending, of_kinds(RESUMING)))
        added.append(pl.Series("is_ending", ending))
        added.append(pl.Series("after_ending", (last_ending >= first) & (last_ending > last_resuming)))
    return events.with_columns(column for column in added if column.name in named)


def _with_experience(
    events: pl.DataFrame, experience: ExperienceSettings, first: Integers, named: frozenset[str]
) -> pl.DataFrame:
    added: list[pl.Series | pl.Expr] = []
    code = events["bad_experience"].to_physical().fill_null(len(experience.rules))
    for name, values in (("pillar", PILLARS), ("level", LEVELS)):
        if name in named:
            of_rule = [getattr(rule, name) for rule in experience.rules.values()]
            added.append(pl.Series(name, [*of_rule, None], pl.Enum(values)).gather(code))
    if "is_repeat" in named:
        soon = pl.col("since_previous_bad") <= round(experience.repeat_days * DAY_US)
        added.append(((pl.col("severity") > 0) & soon).alias("is_repeat"))
    if "decayed_severity" in named:
        added.append(_decayed_severity(events, first, experience.half_life_days * DAY_US))
    if "half_life" in named:
        added.append(pl.lit(round(experience.half_life_days * DAY_US), pl.Int64).alias("half_life"))
    if {"recovered", "recovery"} & named:
        added += _recovered(events, experience.recovery_days)
    return events.with_columns(added)


def _decayed_severity(events: pl.DataFrame, first: Integers, half_life: float) -> pl.Series:
    """Severity so far, each bad experience halved every half-life since; rounded at each one.

    The k-th bad experiences of all customers are added at once to what is left of their (k-1)-th, so that a customer's
    figure is the same among whomever it is computed.
    """
    severity = events["severity"].to_numpy()
    at = events["occurred_at"].dt.epoch("us").to_numpy()
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
    took = (found["hours"] * HOUR_MS).round().to_numpy()
    return [
        pl.Series("recovered", np.bincount(by, minlength=len(events))),
        pl.Series("recovery", np.bincount(by, weights=took, minlength=len(events)).astype(np.int64)),
    ]


def _since_previous(name: str, at: Integers, first: Integers, mark: Booleans) -> pl.Series:
    """Time since the customer's previous event that bears the mark; null where there is none."""
    previous = _previous_row(mark)
    elapsed = at - at[previous] if len(at) else at
    return pl.DataFrame({name: elapsed, "known": previous >= first}).select(
        pl.when("known").then(pl.col(name)).alias(name)
    )[name]


def _previous_row(mark: Booleans) -> Integers:
    """The last row before each that bears the mark, of whatever customer; -1 where there is none."""
    latest: npt.NDArray[np.int64] = np.maximum.accumulate(np.where(mark, np.arange(len(mark)), -1))
    return np.concatenate([[-1], latest[:-1]]).astype(np.int64) if len(mark) else latest
