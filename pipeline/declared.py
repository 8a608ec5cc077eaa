"""The company's own labels (``churn.definition: declared``): where they stand, and which of them were known when."""

import polars as pl

from fedelta.features.cutoffs import CutoffSettings, LabelledCutoffs
from fedelta.features.declared import KNOWN_AT
from fedelta.features.errors import FedeltaError
from fedelta.features.labels import DECLARED, LATE
from fedelta.pipeline import paths
from fedelta.pipeline.params import Params


class NoLabels(FedeltaError):
    """Labels are to be learned from, and the source has none."""


def cutoff_settings(params: Params) -> CutoffSettings:
    """Where the project's cutoffs may stand: where labels stand, if the company's labels are learned from.

    Raises
    ------
    NoLabels
        If there are none.
    """
    if params.churn.definition != "declared":
        return params.cutoffs
    dates = pl.scan_parquet(paths.DECLARED_LABELS).select(pl.col("as_of").unique().sort()).collect()["as_of"].to_list()
    if not dates:
        labels = paths.SOURCES / params.source / "labels.sql"
        there = labels.is_file()
        what = (
            f"Correct {labels}: data/quarantine/labels.parquet holds its rows and why none was kept"
            if there
            else (f"Write {labels} (docs/bring-your-own-data.md)")
        )
        raise NoLabels(
            f"churn.definition is declared, but the source {params.source} yields no {'valid ' if there else ''}label. "
            f"{what}. Or set churn.definition to inactivity or event."
        )
    return LabelledCutoffs(**vars(params.cutoffs), labelled=tuple(dates))


def known_labels(table: pl.DataFrame, dates: pl.DataFrame) -> pl.DataFrame:
    """The rows of a panel that may be learned from or measured, where the company declares the outcomes.

    Rows to score stay, whatever their label. Others stay if they have a label, known by the scoring cutoff if there is
    one. `LATE` is added. `dates` holds `cutoff` and `role` of all cutoffs of the run.
    """
    if KNOWN_AT not in table.columns:
        return table
    at = {role: dates.filter(pl.col("role") == role)["cutoff"].max() for role in ("evaluate", "score")}
    late, unknown = (
        pl.lit(False) if at[role] is None else (pl.col(KNOWN_AT) > pl.lit(at[role])).fill_null(False)
        for role in ("evaluate", "score")
    )
    usable = pl.col(DECLARED).is_not_null() & ~unknown
    kept = table.filter((pl.col("role") == "score") | usable)
    return kept.with_columns(late.alias(LATE))
