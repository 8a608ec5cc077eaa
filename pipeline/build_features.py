"""DVC stage ``build_features``: interactions in; features and labels at every cutoff out."""

from collections.abc import Sequence
from pathlib import Path

from fedelta.features.customer_table import table_features
from fedelta.features.cutoffs import Cutoff, calendar, value_calendar
from fedelta.pipeline import paths
from fedelta.pipeline.atomic_write import whole
from fedelta.pipeline.buckets.shuffle import bounded_buckets
from fedelta.pipeline.declared import cutoff_settings
from fedelta.pipeline.feature_job import build, job_for
from fedelta.pipeline.intake.sources import Source, load_source
from fedelta.pipeline.intake.table_source import cutoff_of, read_customers
from fedelta.pipeline.params import Params, load_params
from fedelta.pipeline.span import span


def cutoffs_now(params: Params, source: Source) -> tuple[Cutoff, ...]:
    """The cutoffs that the project's interactions (or table) and settings ask for."""
    if source.kind == "table":
        return (cutoff_of(source, params.cutoffs, horizon_days=params.horizon_days),)
    first, last = span(paths.INTERACTIONS)
    return calendar(first, last, cutoff_settings(params), horizon_days=params.horizon_days, lead_days=params.lead_days)


def value_cutoffs_now(params: Params, cutoffs: Sequence[Cutoff]) -> tuple[Cutoff, ...]:
    """The cutoffs at which value is learned and evaluated; none where they are `cutoffs`, those of churn."""
    first, last = span(paths.INTERACTIONS)
    found = value_calendar(first, last, cutoff_settings(params), cutoffs, days=params.value_days)
    return () if found == tuple(cutoffs) else tuple(cutoff for cutoff in found if cutoff.role != "score")


def _build_table(params: Params, source: Source) -> None:
    """Features and labels of a table of customers, as of its one cutoff."""
    (cutoff,) = cutoffs_now(params, source)
    attributes = source.for_models(params.fairness.allow)
    table, labels = table_features(read_customers(paths.CUSTOMERS, source), cutoff, attributes)
    with whole(paths.FEATURES) as features, whole(paths.LABELS) as outcomes, whole(paths.VALUE) as value:
        value.mkdir()
        for folder, part in ((features, table), (outcomes, labels)):
            folder.mkdir()
            part.write_parquet(folder / "part-00000.parquet", compression="lz4", statistics=False)
    print(
        f"build_features: {(table['role'] == 'score').sum():,} customers of a table as of {cutoff.at:%Y-%m-%d}, "
        f"{len(labels):,} of them labelled: {len(attributes)} attributes, no history"
    )


def main() -> None:
    """Build the features of the project's interactions."""
    params = load_params()
    source = load_source(params.source)
    if source.kind == "table":
        _build_table(params, source)
        return
    cutoffs = cutoffs_now(params, source)
    of_value = value_cutoffs_now(params, cutoffs)
    with whole(paths.FEATURES) as features, whole(paths.LABELS) as labels, whole(paths.VALUE) as value:
        value.mkdir()
        _build(params, cutoffs, features, labels)
        if of_value:
            _build(params, of_value, value / paths.VALUE_FEATURES.name, value / paths.VALUE_LABELS.name, " of value")


def _build(params: Params, cutoffs: Sequence[Cutoff], features: Path, labels: Path, what: str = "") -> None:
    """Write features and labels at cutoffs to two new folders, and print what was written."""
    features.mkdir()
    labels.mkdir()
    job = job_for(params, cutoffs, features, labels)
    rows = build(job, bounded_buckets(paths.INTERACTIONS, params.engine.buckets), params.engine.workers)
    roles = ", ".join(f"{c.at:%Y-%m-%d} ({c.role}, {c.horizon_days} d)" for c in cutoffs)
    figures = f"{rows:,} rows of {len(job.settings.computed)} features at {len(cutoffs)} cutoffs{what}"
    print(f"build_features: {figures}: {roles}")
