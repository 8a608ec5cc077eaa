"""Columns that know the outcome: judged by what they tell, never by their names."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from fedelta.features.attributes import PREFIX
from fedelta.models.leakage.column_evidence import AGREEMENT, Telling, strongest, telling
from fedelta.models.leakage.leaky_bins import Rows
from fedelta.models.leakage.leaky_rows import ACCEPT, LEAST, Leak
from fedelta.models.leakage.one_sided import EXPLAINING, explanations, one_sided
from fedelta.models.panel import Panel, feature_columns, floats


def telling_columns(panel: Panel, definition: str) -> Iterator[Leak]:
    """Columns that alone order or repeat the label, one-sided evidence, and activity that churners never have.

    A column is read as it is (null below everything) and as up to 64 values or ranges (null one more), each judged by
    the churn rate of it among the other half of the customers; so a leak need not be monotone, and a category of few
    rows proves nothing. Columns of our own kernel see nothing after the cutoff (that is replayed), so only what they
    tell beyond silence counts, and one-sided evidence is asked of attributes alone.
    """
    rows = Rows.of(panel, definition)
    if min(rows.churned.sum(), (1 - rows.churned).sum()) < LEAST:
        return
    silence = strongest(panel.table[[name for name in EXPLAINING if name in panel.table]], rows)
    explained = explanations(panel.table, rows)
    names = [name for name in feature_columns(panel.table) if panel.table[name].nunique(dropna=False) > 1]
    for name in names:
        column, outside = panel.table[name], str(name).startswith(PREFIX)
        against = None if outside else silence
        evidence = telling(column, rows)
        if (at := evidence.exceeding(against)) is not None:
            yield Leak(
                "telling_column",
                str(name),
                _says(evidence, at),
                "it was written at or after the outcome: leave it out, or give it the time from which it is known; "
                + ACCEPT,
                max(evidence.area[at], evidence.agreed[at]),
            )
        elif zeros := _only_stayers(column, rows, against):
            yield Leak(
                "structural_zero",
                str(name),
                zeros,
                "it counts what a customer can no longer do once gone: read it before the cutoff, not after; " + ACCEPT,
                0.95,
            )
        elif outside and (found := one_sided(column, rows, explained)):
            yield Leak(
                "one_sided",
                str(name),
                str(found),
                "it was probably written or removed when they left: leave it out, or give it the time from which it is "
                f"known (known_from); {ACCEPT}",
                0.95,
            )
    ids = telling(_numbered(panel.table["customer_id"]), rows)
    if (at := ids.exceeding(silence)) is not None:
        yield Leak(
            "telling_column",
            "customer_id",
            _says(ids, at),
            "ids were given in the order of the outcome: number customers by the day they joined, or by chance",
            0.9,
        )


def telling_kinds(panel: Panel, definition: str, days_since: pd.DataFrame) -> Iterator[Leak]:
    """Kinds of interactions after which almost everybody leaves: recorded on leaving, and dated before.

    `days_since` has the rows of the panel, and a column for each kind: days from its last interaction to the cutoff.
    """
    rows = Rows.of(panel, definition)
    explained = explanations(panel.table, rows)
    for kind in days_since:
        if found := one_sided(days_since[kind], rows, explained, only_recent=True):
            yield Leak(
                "telling_kind",
                str(kind),
                f"days since the last {kind}: {found}",
                "it is recorded when they leave, and dated before: date it when it became known (known_at), map it to "
                f"cancellation if it is one, or leave it out in interactions.sql; {ACCEPT}",
                0.95,
            )


def copied_outcomes(panel: Panel) -> Iterator[Leak]:
    """Columns that hold what happened in the horizon: equal to an outcome in nearly every row where it is not zero."""
    for outcome in panel.outcomes:
        happened = floats(panel.outcomes, str(outcome))
        some = happened > 0
        if some.sum() < LEAST or len(np.unique(happened[some])) < 5:
            continue  # small equal counts agree by chance
        for name in feature_columns(panel.table):
            if pd.api.types.is_numeric_dtype(panel.table[name]):
                same = float(np.isclose(floats(panel.table, name)[some], happened[some], rtol=1e-6).mean())
                if same > AGREEMENT:
                    yield Leak(
                        "copied_outcome",
                        name,
                        f"it equals {outcome} in {same:.1%} of the rows where that is not zero",
                        "it is the answer: leave it out",
                        1.0,
                    )


def _says(evidence: Telling, at: str) -> str:
    where = f" at {at} ({evidence.area['']:.3f} over all cutoffs)" if at else ""
    return (
        f"alone it orders those who left and those who stayed with an AUC of {evidence.area[at]:.3f}{where}, and "
        f"repeats the label with a Matthews correlation of {evidence.agreed[at]:.2f}"
    )


def _numbered(ids: pd.Series) -> pd.Series:
    """The place of each row's id in their order, in which c9 comes before c10."""
    once = pd.Series(ids.astype("string").unique())
    padded = once.str.replace(r"\d+", lambda found: found[0].zfill(20), regex=True)
    return ids.astype("string").map(dict(zip(once, rankdata(padded.to_numpy(str)), strict=True))).astype(np.float64)


def _only_stayers(column: pd.Series, rows: Rows, silence: Telling | None) -> str | None:
    """Evidence that something most stayers have is nothing that churners can have; None where it is not so."""
    if not pd.api.types.is_numeric_dtype(column) or (silence and silence.exceeding(None) is not None):
        return None
    some = (column.fillna(0) != 0).to_numpy()
    leaving, staying = some[rows.churned > 0], some[rows.churned == 0]
    if len(leaving) < 200 or staying.mean() < 0.5 or leaving.mean() > 0.005:
        return None
    return f"it is not zero for {staying.mean():.1%} of those who stayed and for {leaving.mean():.1%} of those who left"
