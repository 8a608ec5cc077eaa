"""The kernel: interactions of one bucket in, features at every cutoff out. The same function wherever it runs."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
import numpy.typing as npt
import polars as pl

from fedelta.features.annotate import annotate, annotate_few, columns_needed
from fedelta.features.contract import DIGITAL_CHANNELS
from fedelta.features.cutoffs import Cutoff
from fedelta.features.experience import BAD
from fedelta.features.experience_rules import ExperienceSettings
from fedelta.features.feature import Feature, columns_of, table_of
from fedelta.features.few_events import FewEvents
from fedelta.features.history import Booleans, History, Integers, Measure, Named, View, enum
from fedelta.features.journeys import MEASURES as JOURNEY_MEASURES
from fedelta.features.journeys import journeys_at
from fedelta.features.labels import labels_at, microseconds, status_at, status_measures
from fedelta.features.over_arrays import Evaluate, over_arrays
from fedelta.features.recent import MEASURES as RECENT_MEASURES
from fedelta.features.recent import RECENT, recent_at, rule_at
from fedelta.features.registry import ACTIVITY_FEATURES, FEATURES, measures, named
from fedelta.features.relationship import USUAL, Relationship
from fedelta.features.visibility import KNOWN_AT, hidden_at

# Columns of the feature table that are no features: a model never sees them.
KEYS = (
    "customer_id", "cutoff", "horizon_days", "lead_days", "role", "refit", "status", "last_bad_experience", "journey",
    "journey_stage", *RECENT,
)  # fmt: skip


@dataclass(frozen=True)
class KernelSettings:
    """What the kernel needs to know besides events and cutoffs."""

    experience: ExperienceSettings
    digital_channels: Collection[str] = DIGITAL_CHANNELS
    features: tuple[str, ...] = tuple(feature.name for feature in FEATURES)
    relationship: Relationship = USUAL

    @property
    def computed(self) -> tuple[Feature, ...]:
        """The features of the table: those asked for, and those of activity where it is declared."""
        return _what(self).computed


def features_at(
    events: pl.DataFrame, cutoffs: Sequence[Cutoff], settings: KernelSettings
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Features and labels of the customers of one bucket.

    Parameters
    ----------
    events : DataFrame
        Interactions of whole customers, sorted by customer, time and id.
    cutoffs : sequence of Cutoff
        Instants to look from. An event at the cutoff or later is the future; so is one that was not known before it
        (`known_at`, where there is such a column). Labels count by when things happened.

    Returns
    -------
    features : DataFrame of shape (n_rows, 15 + n_features)
        One row per cutoff and customer seen before it: the keys and `settings.computed` in order. `status` is "scored",
        or why a customer is out of scope (`features.labels.status_at`).
    labels : DataFrame of shape (n_rows, 2 + n_outcomes)
        Of the same rows, what happened in the horizon.

    Examples
    --------
    >>> from datetime import UTC, datetime
    >>> from fedelta.features.interaction_frames import interactions_of
    >>> events = interactions_of(pl.DataFrame({
    ...     "customer_id": ["ann", "ann", "ben"],
    ...     "occurred_at": [datetime(2026, 1, 5), datetime(2026, 2, 20), datetime(2026, 1, 9)],
    ...     "kind": ["purchase"] * 3,
    ...     "amount": [20.0, 30.0, 5.0],
    ... }))
    >>> cutoff = Cutoff(datetime(2026, 2, 1, tzinfo=UTC), horizon_days=30, lead_days=0, role="train")
    >>> features, labels = features_at(events, [cutoff], KernelSettings(ExperienceSettings()))
    >>> features.select("customer_id", "spend", "days_since_last_purchase").rows()
    [('ann', 20.0, 27.0), ('ben', 5.0, 23.0)]
    >>> labels["horizon_spend"].to_list()
    [30.0, 0.0]
    """
    looked = _look(_annotated(events, settings), cutoffs, settings)
    history, table, rows = looked.history, looked.table, looked.rows
    if (hidden := hidden_at(events, microseconds(cutoffs))) is not None:
        table, rows = _without_hidden(events, hidden, cutoffs, settings, looked)
    return table, table.select("customer_id", "cutoff").hstack(labels_at(history, cutoffs, rows, settings.relationship))


def columns_at(events: FewEvents, cutoff: Cutoff, settings: KernelSettings) -> dict[str, npt.NDArray[np.generic]]:
    """The columns of `features_at` at one cutoff, without labels: times in UTC without a zone, text as objects.

    `events` are as there, all known before the cutoff. NaN stands for null, None in text. Of few customers a table
    takes longer than its features.
    """
    looked = _look(_annotated_few(events, settings), (cutoff,), settings)
    keys = {
        name: held.texts() if isinstance(held, Named) else _objects(held) if isinstance(held, pl.Series) else held
        for name, held in looked.keys.items()
    }
    return {**keys, **looked.features}


def _objects(texts: pl.Series) -> npt.NDArray[np.object_]:
    found = np.empty(len(texts), object)
    found[:] = texts.to_list()
    return found


@dataclass(frozen=True)
class _Rows:
    """Rows of a table, by the numbers of their cutoffs and customers."""

    cutoff: Integers
    customer: Integers


Keys = dict[str, Named | pl.Series | npt.NDArray[np.generic]]


@dataclass(frozen=True)
class _Looked:
    """Keys and features of rows, and what they were read from."""

    history: History
    rows: _Rows
    keys: Keys
    features: dict[str, npt.NDArray[np.generic]]

    @property
    def table(self) -> pl.DataFrame:
        """Keys and features side by side."""
        keys = {name: held.column() if isinstance(held, Named) else held for name, held in self.keys.items()}
        typed = pl.DataFrame(keys, nan_to_null=True).with_columns(pl.col("cutoff").dt.replace_time_zone("UTC"))
        return typed.hstack(table_of(self.features))


@dataclass(frozen=True)
class _Annotated:
    """Events that know what was before them, with the rule that each broke, by number, and its topic."""

    history: History
    rule: Integers
    topics: pl.Series | Sequence[str | None]


def _annotated(events: pl.DataFrame, settings: KernelSettings) -> _Annotated:
    """Every event taken as known when it happened."""
    found = annotate(
        pl.DataFrame([column for column in events.get_columns() if column.name != KNOWN_AT]),
        settings.experience,
        settings.digital_channels,
        _columns(settings),
        settings.relationship,
    )
    return _Annotated(History.of(found, _what(settings).measures), found["rule"].to_numpy(), found["topic"])


def _annotated_few(events: FewEvents, settings: KernelSettings) -> _Annotated:
    what = _what(settings)
    found = annotate_few(events, settings.experience, settings.digital_channels, what.columns, settings.relationship)
    values = {name: evaluate(found).values for name, evaluate in what.over_arrays}
    starts, ids = events.starts, events.lists["customer_id"]
    history = History.of_values(
        [ids[row] for row in starts[:-1].tolist()], starts, events["occurred_at"].values, values
    )
    return _Annotated(history, found["rule"].values, events.texts("topic"))


def _look(annotated: _Annotated, cutoffs: Sequence[Cutoff], settings: KernelSettings) -> _Looked:
    """Keys and features at the cutoffs."""
    history, what = annotated.history, _what(settings)
    view = View(
        history,
        microseconds(cutoffs),
        what.windows,
        horizon_days=[c.horizon_days for c in cutoffs],
        definition=settings.relationship.definition,
    )
    rules = tuple(settings.experience.rules)
    of_cutoff = {
        "cutoff": np.array([c.at.replace(tzinfo=None) for c in cutoffs], "M8[us]"),
        "horizon_days": np.array([c.horizon_days for c in cutoffs], np.int32),
        "lead_days": np.array([c.lead_days for c in cutoffs], np.int32),
    }
    roles = tuple(dict.fromkeys(c.role for c in cutoffs))
    role = np.array([roles.index(c.role) for c in cutoffs], np.int64)[view.cutoff]
    keys: Keys = {
        "customer_id": history.customer_ids[view.customer],
        **{name: values[view.cutoff] for name, values in of_cutoff.items()},
        "role": Named(roles, role),
        "refit": np.array([c.refit for c in cutoffs], bool)[view.cutoff],
        "status": status_at(view, settings.relationship),
        "last_bad_experience": rule_at(annotated.rule, view.last_row(BAD), rules, enum(rules)),
        **journeys_at(view),
        **recent_at(
            annotated.rule, annotated.topics, view, rules, np.array([name == "score" for name in roles], bool)[role]
        ),
    }
    return _Looked(history, _Rows(view.cutoff, view.customer), keys, columns_of(what.computed, view))


def _without_hidden(
    events: pl.DataFrame,
    hidden: Sequence[Booleans],
    cutoffs: Sequence[Cutoff],
    settings: KernelSettings,
    looked: _Looked,
) -> tuple[pl.DataFrame, _Rows]:
    """The table, where customers are looked at again from those cutoffs at which events of theirs were not known yet.

    What an event looks back on changes with what is hidden before it, so these customers' events are read anew without
    it: exact, and cheap while few customers have such an event at a given cutoff.
    """
    numbers = {name: number for number, name in enumerate(looked.history.customer_ids)}
    anew = np.zeros((len(cutoffs), len(numbers)), bool)
    for cutoff, mask in enumerate(hidden):
        anew[cutoff, looked.history.customer[mask]] = True
    kept = ~anew[looked.rows.cutoff, looked.rows.customer]
    tables, rows = (
        [looked.table.filter(pl.Series(kept))],
        [np.stack([looked.rows.cutoff, looked.rows.customer])[:, kept]],
    )
    for number in np.flatnonzero(anew.any(axis=1)).tolist():
        seen = anew[number, looked.history.customer] & ~hidden[number]
        again = _look(_annotated(events.filter(pl.Series(seen)), settings), (cutoffs[number],), settings)
        whose = np.array([numbers[name] for name in again.history.customer_ids], np.int64)[again.rows.customer]
        tables.append(again.table)
        rows.append(np.stack([np.full(len(whose), number), whose]))
    cutoff, customer = np.concatenate(rows, axis=1)
    order = np.lexsort((customer, cutoff))
    return pl.concat(tables)[order], _Rows(cutoff[order], customer[order])


def columns_read(settings: KernelSettings) -> list[str]:
    """The columns of an interaction that the kernel reads for these features and rules."""
    return [*columns_needed(_columns(settings), settings.experience), KNOWN_AT]


def windows_of(features: Sequence[Feature]) -> tuple[int, ...]:
    """The days of every window that features declare, ascending."""
    return tuple(sorted({days for feature in features for days in feature.windows}))


def _columns(settings: KernelSettings) -> frozenset[str]:
    """Every column that a measure names, and that of the topic of an open issue (`features.recent`)."""
    return _what(settings).columns


@dataclass(frozen=True)
class _What:
    """What is computed under some settings."""

    computed: tuple[Feature, ...]
    measures: tuple[Measure, ...]
    columns: frozenset[str]
    windows: tuple[int, ...]

    @cached_property
    def over_arrays(self) -> tuple[tuple[str, Evaluate], ...]:
        """The measures by name, as they are evaluated at few events."""
        return tuple((measure.name, over_arrays(measure.value)) for measure in self.measures)


def _what(settings: KernelSettings) -> _What:
    return _of(settings.features, settings.relationship)


@cache
def _of(names: tuple[str, ...], relationship: Relationship) -> _What:
    """Found once: asking expressions for their columns takes longer than the features of one customer."""
    computed = (*named(names), *(() if relationship.by_purchases else ACTIVITY_FEATURES))
    every = (*measures(computed), *status_measures(relationship), *JOURNEY_MEASURES, *RECENT_MEASURES)
    found = tuple({measure.name: measure for measure in every}.values())
    columns = frozenset({"topic"} | {root for measure in found for root in measure.value.meta.root_names()})
    return _What(computed, found, columns, windows_of(computed))
