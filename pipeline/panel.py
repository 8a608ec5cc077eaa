"""The panel on disk: feature and label files in, one table sorted by cutoff and customer out."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import polars.selectors as cs

from fedelta.features.cutoffs import Fit
from fedelta.features.errors import FedeltaError
from fedelta.features.labels import LATE
from fedelta.models.panel import ORDER, Panel, to_pandas
from fedelta.pipeline import paths
from fedelta.pipeline.buckets.customer_hash import customer_hashes
from fedelta.pipeline.declared import known_labels


class NoRows(FedeltaError):
    """There is nobody to learn from or to score."""


@dataclass(frozen=True)
class Files:
    """Where the parts of a panel lie."""

    features: Path = paths.FEATURES
    labels: Path = paths.LABELS
    prior: Path = paths.PRIOR


CHURN = Files()
_ROW = "row"
_CELLS_AT_ONCE = 20_000_000  # read at once


def read_sorted(folder: Path) -> pl.LazyFrame:
    """Any table of parts with a cutoff and a customer, in their order."""
    return pl.scan_parquet(folder / "*.parquet").sort(*ORDER)


def read_panel(
    roles: Sequence[str],
    files: Files = CHURN,
    *,
    among: pl.Series | None = None,
    whole: Sequence[str] = (),
    columns: Collection[str] | None = None,
) -> Panel:
    """The rows of some roles with features, prior columns and outcomes.

    Where the customers `among` which to look are given, the rows are theirs, and everybody's of the roles in `whole`;
    where `columns` are, the features are those.

    Raises
    ------
    NoRows
        If no customer can be scored at their cutoffs.
    """
    which = pl.col("role").is_in(list(roles))
    if among is not None:
        which &= pl.col("role").is_in(list(whole)) | pl.col("customer_id").is_in(among.implode())
    return _read(which, f"{' or '.join(roles)} cutoffs", files, columns)


def sampled_customers(most: int | None, features: Path = paths.FEATURES) -> pl.Series | None:
    """So many customers of a feature table, those of the lowest hashes; None where there are no more."""
    if most is None:
        return None
    ids = pl.scan_parquet(features / "*.parquet").select(pl.col("customer_id").unique()).collect()["customer_id"]
    if len(ids) <= most:
        return None
    return ids.gather(np.argsort(customer_hashes(ids), kind="stable")[:most]).sort()


def sample_note(most: int | None, files: Files = CHURN) -> str:
    """In words, that models learn from so many customers of more; empty if they learn from all."""
    return "" if sampled_customers(most, files.features) is None else f" Learned from a sample: {most:,} customers."


def has_value_cutoffs() -> bool:
    """Whether value is learned at cutoffs of its own."""
    return any(paths.VALUE_FEATURES.glob("*.parquet"))


def files_of_value() -> Files:
    """Where the rows lie that value is learned from: those of churn, unless it has cutoffs of its own."""
    return Files(paths.VALUE_FEATURES, paths.VALUE_LABELS, paths.VALUE_PRIOR) if has_value_cutoffs() else CHURN


def read_training(fit: Fit, files: Files = CHURN, *, most: int | None = None) -> Panel:
    """The scorable rows that a fit learns from, of so many customers at most; none where there is no evaluated fit.

    Raises
    ------
    NoRows
        If nobody can be learned from by the delivered fit.
    """
    among = sampled_customers(most, files.features)
    which = pl.col("refit") if fit == "delivered" else pl.col("role").is_in(["train", "refit"])
    if among is not None:
        which &= pl.col("customer_id").is_in(among.implode())
    where = "training cutoffs" if fit == "delivered" else "train or refit cutoffs"
    return _read(which, where, files, learned=fit)


def has_evaluation(features: Path = paths.FEATURES) -> bool:
    """Whether the run has an evaluation cutoff: with a history too short for it there is none."""
    roles = pl.scan_parquet(features / "*.parquet").select((pl.col("role") == "evaluate").any())
    return bool(roles.collect().item())


def _read(
    which: pl.Expr,
    where: str,
    files: Files = CHURN,
    columns: Collection[str] | None = None,
    learned: Fit | None = None,
) -> Panel:
    """The rows of a condition, or those of them that a fit learns from, in order.

    Which rows they are is found from few columns; then the others are read some at a time, so that all are held once.
    """
    parts = pl.scan_parquet(files.features / "*.parquet")
    labels = pl.scan_parquet(files.labels / "*.parquet")
    chosen = (
        parts.select(*ORDER, "role", "status", "refit")
        .with_row_index(_ROW)
        .filter(which)
        .join(labels, on=ORDER, how="left")
        .join(pl.scan_parquet(files.prior), on=ORDER, how="left")
        .sort(*ORDER)
        .collect()
    )
    chosen = known_labels(chosen, parts.select("cutoff", "role").unique().collect())
    if not (chosen["status"] == "scored").any():
        raise NoRows(
            f"No customer can be scored at the {where}: nobody was a customer before them. Bring a longer history, or "
            "check the kinds of the source (`fedelta source check`) against churn.activity and churn.definition in "
            "params.yaml."
        )
    stored = [*labels.collect_schema().names(), LATE]
    outcomes = [name for name in stored if name not in ORDER and name in chosen.columns]
    if learned is not None:
        rows = Panel(to_pandas(chosen.select("role", "status", "refit")), to_pandas(chosen.select(outcomes)))
        chosen = chosen.filter(rows.learned_by(learned).to_numpy())
    features = [name for name in parts.collect_schema().names() if columns is None or name in columns]
    prior = [name for name in pl.read_parquet_schema(files.prior) if name not in ORDER]
    at_once = max(_CELLS_AT_ONCE // max(parts.select(pl.len()).collect().item(), 1), 1)
    read = [
        to_pandas(parts.select(some).collect()[chosen[_ROW]])
        for some in (features[i : i + at_once] for i in range(0, len(features), at_once))
    ]
    return Panel(pd.concat([*read, to_pandas(chosen.select(prior))], axis=1), to_pandas(chosen.select(outcomes)))


def from_pandas(table: pd.DataFrame) -> pl.DataFrame:
    """Back: times say that they are UTC, in microseconds."""
    return pl.from_pandas(table).with_columns(cs.datetime().cast(pl.Datetime("us")).dt.replace_time_zone("UTC"))
