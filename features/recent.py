"""The bad experiences and the open issue of a customer that reasons give the dates of: keys of rows to be scored."""

from typing import Protocol

import numpy as np
import polars as pl

from fedelta.features.experience import BAD, RESOLVED, UNRESOLVED
from fedelta.features.history import Floats, History, Integers, Measure, known, places

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


def recent_at(annotated: pl.DataFrame, view: Rows, scored: pl.Series) -> pl.DataFrame:
    """The columns of `RECENT` for the rows of a view; null where a row is not `scored` or there was nothing.

    Parameters
    ----------
    annotated : DataFrame
        The annotated events of the view's history, with `topic`.
    scored : Series of bool of length n_rows
        Whether each row is to be scored: nobody reads the others.
    """
    wanted = scored.to_numpy()
    columns: dict[str, pl.Series] = {}
    for place in range(2, MOST_RECENT + 1):
        row = np.where(wanted, _bad_row(view, place), -1)
        columns[f"bad_experience_{place}"] = annotated["bad_experience"].gather(places(row))
        columns[f"bad_experience_{place}_days"] = known(view.days_since(row))
    unresolved = view.last_row(UNRESOLVED)
    still = wanted & (unresolved > view.last_row(RESOLVED))
    columns["open_issue_topic"] = annotated["topic"].gather(places(np.where(still, unresolved, -1)))
    return pl.DataFrame(columns, schema=RECENT)


def _bad_row(view: Rows, place: int) -> Integers:
    """Row of the last bad experience but `place` - 1 before the cutoff, or -1."""
    bad = view.history.rows(BAD)
    if not len(bad):
        return np.full(len(view.end), -1)
    number = np.searchsorted(bad, view.end) - place
    row = bad.take(number, mode="clip")
    return np.where((number >= 0) & (row >= view.start), row, -1)
