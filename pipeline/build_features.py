"""DVC stage ``build_features``: interactions in; features and labels at every cutoff out."""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from fedelta.features.customer_table import table_features
from fedelta.features.cutoffs import Cutoff, calendar, value_calendar
from fedelta.features.registry import registry_hash
from fedelta.pipeline import paths
from fedelta.pipeline.atomic_write import whole
from fedelta.pipeline.buckets.engine import workers
from fedelta.pipeline.buckets.shuffle import Bucket, bounded_buckets
from fedelta.pipeline.declared import cutoff_settings
from fedelta.pipeline.fan_out import BadShare, Share, digest, fingerprint, joined, write_manifest
from fedelta.pipeline.feature_job import Job, build, build_by, job_for
from fedelta.pipeline.intake.sources import Source, load_source
from fedelta.pipeline.intake.table_source import cutoff_of, must_be_declared, read_customers
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
    must_be_declared(source, params.churn.definition)
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


@dataclass(frozen=True)
class _Task:
    """Features and labels at cutoffs, and their folders within the folder of a share."""

    cutoffs: tuple[Cutoff, ...]
    features: str
    labels: str
    what: str  # of the cutoffs, in words

    def job(self, params: Params, folders: Mapping[str, Path]) -> Job:
        """What computes them; the folders exist from now on."""
        for name in (self.features, self.labels):
            folders[name].mkdir(parents=True)
        job = job_for(params, self.cutoffs, folders[self.features], folders[self.labels])
        return replace(job, unfinished=folders.get("unfinished"))

    def in_words(self, rows: int, job: Job) -> str:
        """How much was written."""
        roles = ", ".join(f"{c.at:%Y-%m-%d} ({c.role}, {c.horizon_days} d)" for c in self.cutoffs)
        figures = f"{rows:,} rows of {len(job.settings.computed)} features at {len(self.cutoffs)} cutoffs{self.what}"
        return f"build_features: {figures}: {roles}"


def main() -> None:
    """Build the features of the project's interactions."""
    params = load_params()
    source = load_source(params.source)
    if source.kind == "table":
        _build_table(params, source)
        return
    work = _work(params)
    with workers(params.engine, len(work)) as pool, _outputs() as folders:
        for task in _tasks(params, source):
            job = task.job(params, folders)
            print(task.in_words(build_by(pool, job, work), job))


def build_share(share: Share) -> None:
    """Build the features of one share of the buckets, for `merge`.

    Raises
    ------
    BadShare
        If the source is a table.
    """
    params, source = _shared()
    made_of = _made_of(params, source)
    with whole(share.folder(paths.FEATURE_SHARES)) as folder:
        folder.mkdir()
        work, rows = share.buckets(_work(params)), {}
        for task in _tasks(params, source):
            job = task.job(params, {name: folder / name for name in (task.features, task.labels)})
            rows[task.features] = build(job, work, params.engine.workers) if work else 0
        write_manifest(folder, share, made_of, rows)
    print(f"build_features: share {share.number}/{share.of}: {sum(rows.values()):,} rows of {len(work)} buckets")


def merge() -> None:
    """Join the shares into the features of the project, and remove them.

    Raises
    ------
    BadShare
        If one is missing, or was made of other data, settings or features.
    """
    params, source = _shared()
    tasks = _tasks(params, source)
    with _outputs() as folders:
        jobs = [task.job(params, folders) for task in tasks]
        rows = joined(paths.FEATURE_SHARES, _made_of(params, source), folders)
    for task, job in zip(tasks, jobs, strict=True):
        print(task.in_words(rows[task.features], job))
    shutil.rmtree(paths.FEATURE_SHARES)


def _shared() -> tuple[Params, Source]:
    params = load_params()
    if (source := load_source(params.source)).kind == "table":
        raise BadShare("The source is a table, which has no buckets to share out. Run `fedelta stage build_features`.")
    return params, source


def _tasks(params: Params, source: Source) -> list[_Task]:
    """What there is to build: features of churn, and those of value where it has cutoffs of its own."""
    cutoffs = cutoffs_now(params, source)
    tasks = [_Task(cutoffs, "features", "labels", "")]
    if of_value := value_cutoffs_now(params, cutoffs):
        tasks.append(_Task(of_value, "value/features", "value/labels", " of value"))
    return tasks


def _work(params: Params) -> list[Bucket]:
    return bounded_buckets(paths.INTERACTIONS, params.engine.buckets)


@contextmanager
def _outputs() -> Iterator[dict[str, Path]]:
    """Where the folders of a task are written to, to take the place of the project's when all went well."""
    with whole(paths.FEATURES) as features, whole(paths.LABELS) as labels, whole(paths.VALUE) as value:
        value.mkdir()
        within = {"value/features": value / paths.VALUE_FEATURES.name, "value/labels": value / paths.VALUE_LABELS.name}
        shutil.rmtree(paths.UNFINISHED, ignore_errors=True)  # of a run that was killed
        paths.UNFINISHED.mkdir()
        try:
            yield {"features": features, "labels": labels, "unfinished": paths.UNFINISHED, **within}
        finally:
            shutil.rmtree(paths.UNFINISHED, ignore_errors=True)


def _made_of(params: Params, source: Source) -> str:
    """What the features are made of: two that were made of the same are the same."""
    settings = job_for(params, (), Path(), Path())
    cutoffs = [task.cutoffs for task in _tasks(params, source)]
    beside = [digest(path) for path in (paths.CUSTOMERS, paths.DECLARED_LABELS) if path.is_file()]
    return fingerprint(paths.INTERACTIONS, registry_hash(), len(_work(params)), settings, cutoffs, beside)
