"""The bad experiences and the open issue of a customer that reasons give the dates of: keys of rows to be scored."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
import polars as pl

from fedelta.features.experience import BAD, RESOLVED, UNRESOLVED
from fedelta.features.history import Booleans, Floats, History, Integers, Measure, Named, Text, places

MOST_RECENT = 3  # bad experiences; the last has its rule in `last_bad_experience` and its time in a feature
RECENT = pl.Schema(
    {
        **{
            name: dtype
            for place in range(2, MOST_RECENT + 1)
            for name, dtype in (
                (f"bad_experience_{place}", pl.String()),  # rule of the last but one (2), and of the one before (3)
                (f"bad_experience_{place}_days", pl.Float64()),  # before the cutoff
            )
        },
        "open_issue_topic": pl.String(),  # of the last contact left unresolved, if none was resolved since
    }
)


MEASURES = (BAD, UNRESOLVED, RESOLVED)


class Rows(Protocol):
    """Rows of a table of customers at cutoffs: a `View` is one."""

    history: History
    start: Integers
    end: Integers

    def days_since(self, row: Integers) -> Floats:
        """Days from the event at a row to the cutoff; NaN where there is none (-1)."""
        ...

    def last_row(self, measure: Measure) -> Integers:
        """Row of the last event before the cutoff whose measure is not zero, or -1."""
        ...


def recent_at(
    rule: Integers, topics: pl.Series | Sequence[str | None], view: Rows, rules: tuple[str, ...], scored: Booleans
) -> dict[str, Named | pl.Series | npt.NDArray[np.generic]]:
    """The columns of `RECENT` for the rows of a view; null where a row is not `scored` or there was nothing.

    Parameters
    ----------
    rule, topics
        Of every event of the view's history, the number of the rule that it broke (`rule_at`), and its topic.
    rules : tuple of str
        The names of the rules, in order.
    scored : ndarray of bool of shape (n_rows,)
        Whether each row is to be scored: nobody reads the others.
    """
    columns: dict[str, Named | pl.Series | npt.NDArray[np.generic]] = {}
    for place in range(2, MOST_RECENT + 1):
        row = np.where(scored, _bad_row(view, place), -1)
        columns[f"bad_experience_{place}"] = rule_at(rule, row, rules)
        columns[f"bad_experience_{place}_days"] = view.days_since(row)
    unresolved = view.last_row(UNRESOLVED)
    still = scored & (unresolved > view.last_row(RESOLVED))
    columns["open_issue_topic"] = _topics_at(topics, np.where(still, unresolved, -1))
    return columns


def _topics_at(topics: pl.Series | Sequence[str | None], rows: Integers) -> pl.Series | npt.NDArray[np.object_]:
    """The topic of the event of each row; null where there is none (-1)."""
    if isinstance(topics, pl.Series):
        none = pl.Series([None], dtype=pl.String)[np.zeros(len(rows), np.int64)]
        return topics.gather(places(rows)) if (rows >= 0).any() else none
    return np.array([topics[row] if row >= 0 else None for row in rows.tolist()], object)


def rule_at(rule: Integers, row: Integers, rules: tuple[str, ...], dtype: Text = pl.String) -> Named:
    """The rule that the event of each row broke (n_rows,); null where it broke none, or there is no event (-1).

    `rule` is the number of the one that each event broke, that of rules where it broke none.
    """
    number = np.append(rule.astype(np.int64), -1)
    return Named(rules, number[row], dtype)


def _bad_row(view: Rows, place: int) -> Integers:
    """Row of the last bad experience but `place` - 1 before the cutoff, or -1."""
    bad = view.history.rows(BAD)
    if not len(bad):
        return np.full(len(view.end), -1)
    number = np.searchsorted(bad, view.end) - place
    row = bad.take(number, mode="clip")
    return np.where((number >= 0) & (row >= view.start), row, -1)
