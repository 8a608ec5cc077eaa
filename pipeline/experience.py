"""DVC stage ``experience``: interactions in; the ledger, the pillars and what experience does to customers out."""

import json
import sys

from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from fedelta.features.cutoffs import calendar, midnight_after
from fedelta.features.experience_rules import never_true
from fedelta.models.experience.journey_map import channels, journey_maps
from fedelta.models.experience.moments import Moments, moments_of_truth
from fedelta.models.experience.pillars import customer_indexes, priors
from fedelta.models.experience.storage import save_experience
from fedelta.models.experience.tolerance import ToleranceCurve, tolerance_curve
from fedelta.pipeline import paths
from fedelta.pipeline.atomic_write import whole
from fedelta.pipeline.buckets.experience_buckets import Job, Part, look
from fedelta.pipeline.buckets.shuffle import bounded_buckets
from fedelta.pipeline.declared import cutoff_settings
from fedelta.pipeline.experience_report import Found, document
from fedelta.pipeline.intake.sources import load_source
from fedelta.pipeline.params import load_params
from fedelta.pipeline.span import span
from fedelta.pipeline.table_experience import table_experience


def main() -> None:
    """Write the ledger, the pillars of every customer, and the report of experience."""
    params = load_params()
    source = load_source(params.source)
    if source.kind == "table":
        print(f"experience: {table_experience(source, params)}")
        return
    for warning in never_true(source.experience(params.experience), source.all_kinds, source.all_channels):
        print(f"experience: warning: {warning}", file=sys.stderr)
    first, last = span(paths.INTERACTIONS)
    cutoffs = calendar(
        first, last, cutoff_settings(params), horizon_days=params.horizon_days, lead_days=params.lead_days
    )
    job = Job(
        source.experience(params.experience),
        source.all_channels,
        source.for_models(params.fairness.allow),
        paths.CUSTOMERS,
        min(cutoffs[-1].at, midnight_after(last)),
        params.horizon_days,
        params.churn.relationship,
        params.engine.sample_customers,
    )
    seen = look(job, bounded_buckets(paths.INTERACTIONS, params.engine.buckets), params.engine)
    experiences = seen.experiences.sort("customer_id", "occurred_at", "interaction_id")
    counts = seen.counts.sort("customer_id")
    base = priors(counts)
    tolerance, moments = effects(job, seen)
    found = Found(
        as_of=f"{job.as_of:%Y-%m-%d}",
        interactions=seen.interactions,
        customers=len(counts),
        sampled=seen.sampled,
        rules=source.experience(params.experience).rules,
        experiences=experiences,
        priors=base,
        tallies=seen.tallies,
        channels=channels([seen.channels], source.all_channels),
        maps=journey_maps([seen.visits], [seen.moves]),
        tolerance=tolerance,
        moments=moments,
    )
    for path, table in ((paths.EXPERIENCES, experiences), (paths.PILLARS, customer_indexes(counts, base))):
        with whole(path) as staged:
            table.write_parquet(staged)
    with whole(paths.EXPERIENCE_BUNDLE) as folder:
        save_experience(base, sorted(experiences["rules"].explode().drop_nulls().unique()), folder)
    with whole(paths.EXPERIENCE_REPORT) as staged:
        staged.write_text(json.dumps(document(found), indent=1, allow_nan=False), encoding="utf-8")
    print(f"experience: {found.line}")


def effects(job: Job, seen: Part) -> tuple[ToleranceCurve, Moments] | tuple[None, None]:
    """The tolerance curve and the moments of truth; None where no experience was bad."""
    if seen.experiences.is_empty():
        return None, None
    by = ("pillar", "rule", "channel", *job.segments)
    with threadpool_limits(1):  # thousands of small tasks: threads took five times as long to share them
        return (
            tolerance_curve(seen.episodes, job.horizon_days, by=by, definition=job.relationship.definition),
            moments_of_truth(seen.episodes, job.horizon_days, definition=job.relationship.definition),
        )
