"""Attributes that are no older than the extract: added up, or kept up to date, until the data were taken."""

from collections.abc import Collection, Iterator

import pandas as pd

from fedelta.features.attributes import BAD_PREFIX, PREFIX
from fedelta.models.leakage.column_evidence import TELLING_AUC
from fedelta.models.leakage.leaky_rows import ACCEPT, LEAST, Leak
from fedelta.models.panel import horizon_end

_MANY_VALUES = 64


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


def later_dates(table: pd.DataFrame) -> Iterator[Leak]:
    """Attributes that hold dates after the cutoff and none after the data end: kept up to date, not as of the cutoff.

    Planned dates, such as the end of a contract, lie beyond the end of the data too, and are let be.
    """
    cutoff, end = (pd.to_datetime(times, utc=True) for times in (table["cutoff"], horizon_end(table)))
    for name in (str(n) for n in table.columns if str(n).startswith(PREFIX)):
        if (dates := _dates(table[name])) is None:
            continue
        after = (dates > cutoff).to_numpy()
        if after.sum() >= LEAST and after.mean() > 0.01 and (dates > end.max()).mean() < 0.01:
            row = table[after].iloc[0]
            yield Leak(
                "later_date",
                name,
                f"{after.mean():.1%} of the rows hold a date after their cutoff ({row['customer_id']} at "
                f"{row['cutoff']:%Y-%m-%d}: {dates[after].iloc[0]:%Y-%m-%d}), up to the end of the data",
                f"it was kept up to date until the data were taken: leave it out; {ACCEPT}",
                0.9,
            )


def undeclared(table: pd.DataFrame, declared: Collection[str]) -> Iterator[Leak]:
    """Attributes in the table that the source does not declare, so that it is unknown since when they are known."""
    for name in (str(n) for n in table.columns if str(n).startswith(PREFIX)):
        if not {name.removeprefix(prefix) for prefix in (PREFIX, BAD_PREFIX)} & set(declared):
            yield Leak(
                "untimed_attribute",
                name,
                "the source does not declare it, so nobody knows since when it was known",
                "declare it in source.yaml with known_from, or with static: true if it never changes",
                0.7,
            )


def _rank_correlation(one: pd.Series, other: pd.Series) -> float:
    if one.nunique() < 5 or other.nunique() < 5:
        return 0.0
    return float(one.rank().corr(other.rank()))


def _dates(column: pd.Series) -> pd.Series | None:
    """The column as dates, if it holds nothing else: times, ISO 8601 text, days as 20260131, or seconds since 1970."""
    known = column.dropna()
    if known.empty:
        return None
    if pd.api.types.is_datetime64_any_dtype(column):
        parsed = pd.to_datetime(column, utc=True)
    elif not pd.api.types.is_numeric_dtype(column):
        if not known.astype("string").str.match(r"\d{4}-\d\d-\d\d").all():
            return None
        parsed = pd.to_datetime(column.astype("string"), format="ISO8601", errors="coerce", utc=True)
    elif known.between(19_500_101, 21_001_231).all() and (known % 1 == 0).all():
        text = column.astype("Int64").astype("string")
        parsed = pd.to_datetime(text, format="%Y%m%d", errors="coerce", utc=True)
    elif known.between(8e8, 4.2e9).all() and known.nunique() > _MANY_VALUES:  # 1995 to 2103
        parsed = pd.to_datetime(column, unit="s", errors="coerce", utc=True)
    else:
        return None
    return parsed if parsed.notna().sum() == len(known) else None


def _ends(cutoffs: pd.Series) -> tuple[pd.Timestamp, pd.Timestamp]:
    return cutoffs.min(), cutoffs.max()
