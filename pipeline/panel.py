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


def read_features(folder: Path = paths.FEATURES, columns: Sequence[str] | None = None) -> pl.DataFrame:
    """The feature table, sorted by cutoff and customer."""
    return read_sorted(folder).select(pl.all() if columns is None else pl.col(columns)).collect()


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


def sampled_customers(most: int, features: Path = paths.FEATURES) -> pl.Series | None:
    """So many customers of a feature table, those of the lowest hashes; None where there are no more."""
    ids = pl.scan_parquet(features / "*.parquet").select(pl.col("customer_id").unique()).collect()["customer_id"]
    if len(ids) <= most:
        return None
    return ids.gather(np.argsort(customer_hashes(ids), kind="stable")[:most]).sort()


def has_value_cutoffs() -> bool:
    """Whether value is learned at cutoffs of its own."""
    return any(paths.VALUE_FEATURES.glob("*.parquet"))


def files_of_value() -> Files:
    """Where the rows lie that value is learned from: those of churn, unless it has cutoffs of its own."""
    return Files(paths.VALUE_FEATURES, paths.VALUE_LABELS, paths.VALUE_PRIOR) if has_value_cutoffs() else CHURN


def read_training(fit: Fit, files: Files = CHURN) -> Panel:
    """The scorable rows that a fit learns from; none where there is no evaluated fit.

    Raises
    ------
    NoRows
        If nobody can be learned from by the delivered fit.
    """
    if fit == "delivered":
        return _read(pl.col("refit"), "training cutoffs", files).training(fit)
    return read_panel(["train", "refit"], files).training(fit)


def has_evaluation(features: Path = paths.FEATURES) -> bool:
    """Whether the run has an evaluation cutoff: with a history too short for it there is none."""
    roles = pl.scan_parquet(features / "*.parquet").select((pl.col("role") == "evaluate").any())
    return bool(roles.collect().item())


def _read(which: pl.Expr, where: str, files: Files = CHURN, columns: Collection[str] | None = None) -> Panel:
    features, labels, prior = files.features, files.labels, files.prior
    wanted = pl.scan_parquet(features / "*.parquet").filter(which)
    if columns is not None:
        wanted = wanted.select(name for name in wanted.collect_schema().names() if name in columns)
    table = (
        wanted.join(pl.scan_parquet(labels / "*.parquet"), on=ORDER, how="left")
        .join(pl.scan_parquet(prior), on=ORDER, how="left")
        .sort(*ORDER)
        .collect()
    )
    table = known_labels(table, pl.scan_parquet(features / "*.parquet").select("cutoff", "role").unique().collect())
    if not (table["status"] == "scored").any():
        raise NoRows(
            f"No customer can be scored at the {where}: nobody was a customer before them. Bring a longer history, or "
            "check the kinds of the source (`fedelta source check`) against churn.activity and churn.definition in "
            "params.yaml."
        )
    stored = [*pl.read_parquet_schema(next(labels.glob("*.parquet"))), LATE]
    outcomes = [name for name in stored if name not in ORDER and name in table.columns]
    return Panel(to_pandas(table.drop(outcomes)), to_pandas(table.select(outcomes)))


def from_pandas(table: pd.DataFrame) -> pl.DataFrame:
    """Back: times say that they are UTC, in microseconds."""
    return pl.from_pandas(table).with_columns(cs.datetime().cast(pl.Datetime("us")).dt.replace_time_zone("UTC"))
