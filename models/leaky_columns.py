"""Columns that know the outcome: judged by what they tell, never by their names."""

from collections.abc import Collection, Iterator

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.attributes import BAD_PREFIX, PREFIX
from models.leaky_rows import LEAST, Leak
from models.metrics import auc
from models.panel import Panel, feature_columns, floats

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.intp]

TELLING_AUC = 0.97  # no single column of a clean history orders churners and stayers so well
AGREEMENT = 0.9  # Matthews correlation of one column's guess with the outcome
BINS = 64


def telling_columns(panel: Panel, definition: str) -> Iterator[Leak]:
    """Columns that alone order or repeat the label, and activity that churners never have.

    A column is read as it is (null below everything) and as up to 64 values or quantiles (null one more), each told by
    the churn rate of it among the other half of the customers; so a leak need not be monotone, and a category of few
    rows proves nothing.
    """
    churned = panel.churned(definition)
    if min(churned.sum(), (1 - churned).sum()) < LEAST:
        return
    half = pd.factorize(panel.table["customer_id"])[0] % 2
    for name in feature_columns(panel.table):
        column = panel.table[name]
        rate = _rate_elsewhere(_codes(column), churned, half)
        area = max(_area(churned, rate), _area(churned, _plain(column)))
        agreed = _matthews(churned, rate > 0.5)
        if area > TELLING_AUC or agreed > AGREEMENT:
            yield Leak(
                "telling_column",
                name,
                f"alone it orders churners and stayers with an AUC of {area:.3f} and repeats the label with a Matthews "
                f"correlation of {agreed:.2f}",
                "it was written at or after the outcome: leave it out, or give it the time from which it is known",
                max(area, agreed),
            )
        elif (evidence := _only_stayers(column, churned)) is not None:
            yield Leak(
                "structural_zero",
                name,
                evidence,
                "it counts what a customer can no longer do once gone: read it before the cutoff, not after",
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


def as_of_today(table: pd.DataFrame) -> Iterator[Leak]:
    """Static numeric attributes that were added up when the data were extracted.

    At the first cutoff, they go with the customer's totals at the last cutoff, and less with those of the time.
    """
    first, last = (table[table["cutoff"] == at].set_index("customer_id") for at in _ends(table["cutoff"]))
    both = first.index.intersection(last.index)
    if len(both) < LEAST or first is last:
        return
    for name in (n for n in table.columns if str(n).startswith(PREFIX) and pd.api.types.is_numeric_dtype(table[n])):
        for total in ("interaction_count", "purchase_count", "spend"):
            then, today = (_rank_correlation(first.loc[both, name], at.loc[both, total]) for at in (first, last))
            if today > TELLING_AUC and today - then > 0.02:
                yield Leak(
                    "as_of_today",
                    str(name),
                    f"at the first cutoff its rank correlation with {total} at the last is {today:.3f}, with that of "
                    f"the time {then:.3f}",
                    "it was computed from the whole history: drop it, or give it the time from which it is known",
                    0.9,
                )
                break


def undeclared(table: pd.DataFrame, declared: Collection[str]) -> Iterator[Leak]:
    """Attributes in the table that the source does not declare, so that nobody said since when they are known."""
    for name in (str(n) for n in table.columns if str(n).startswith(PREFIX)):
        if not {name.removeprefix(prefix) for prefix in (PREFIX, BAD_PREFIX)} & set(declared):
            yield Leak(
                "untimed_attribute",
                name,
                "the source does not declare it, so nobody knows since when it was known",
                "declare it in source.yaml with known_from, or with static: true if it never changes",
                0.7,
            )


def _codes(column: pd.Series) -> Codes:
    """The column as few whole numbers, null as the lowest."""
    values = column
    if pd.api.types.is_numeric_dtype(column) and column.nunique() > BINS:
        number = column.to_numpy(np.float64, na_value=np.nan)
        edges = np.unique(np.nanquantile(number, np.linspace(0, 1, BINS + 1)[1:-1]))
        values = pd.Series(np.where(np.isnan(number), np.nan, np.searchsorted(edges, number, side="right")))
    return np.asarray(pd.factorize(values.to_numpy(), use_na_sentinel=True)[0] + 1, np.intp)


def _rate_elsewhere(codes: Codes, churned: Floats, half: Codes) -> Floats:
    """Churn rate of the row's code among the customers of the other half, drawn to that of all by one row."""
    out = np.empty(len(codes))
    for side in (0, 1):
        other = half != side
        count = np.bincount(codes[other], minlength=codes.max() + 1)
        gone = np.bincount(codes[other], weights=churned[other], minlength=codes.max() + 1)
        out[~other] = ((gone + churned.mean()) / (count + 1))[codes[~other]]
    return out


def _plain(column: pd.Series) -> Floats:
    if not pd.api.types.is_numeric_dtype(column):
        return np.zeros(len(column))
    number = column.to_numpy(np.float64, na_value=np.nan)
    finite = number[np.isfinite(number)]
    return np.where(np.isnan(number), finite.min() - 1 if len(finite) else 0.0, np.clip(number, -1e300, 1e300))


def _area(churned: Floats, score: Floats) -> float:
    area = auc(churned, score)
    return max(area, 1 - area)


def _matthews(churned: Floats, guessed: npt.NDArray[np.bool_]) -> float:
    if guessed.all() or not guessed.any():
        return 0.0
    return float(abs(np.corrcoef(churned, guessed)[0, 1]))


def _only_stayers(column: pd.Series, churned: Floats) -> str | None:
    """Evidence that something most stayers have is nothing that churners can have; None where it is not so."""
    if not pd.api.types.is_numeric_dtype(column):
        return None
    some = (column.fillna(0) != 0).to_numpy()
    leaving, staying = some[churned > 0], some[churned == 0]
    if len(leaving) < 200 or staying.mean() < 0.5 or leaving.mean() > 0.005:
        return None
    return f"it is not zero for {staying.mean():.1%} of those who stayed and for {leaving.mean():.1%} of those who left"


def _rank_correlation(one: pd.Series, other: pd.Series) -> float:
    if one.nunique() < 5 or other.nunique() < 5:
        return 0.0
    return float(one.rank().corr(other.rank()))


def _ends(cutoffs: pd.Series) -> tuple[pd.Timestamp, pd.Timestamp]:
    return cutoffs.min(), cutoffs.max()
