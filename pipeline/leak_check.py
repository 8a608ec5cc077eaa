"""DVC stage ``leak_check``: the panel judged before anything is learned from it; a leak stops the run.

Beside the checks of `models.leakage` it replays: the events from a cutoff on are deleted, the features computed again
and compared with those on disk, for the customers of one bucket at every cutoff.
"""

from collections.abc import Collection, Sequence
from dataclasses import asdict
from datetime import UTC, datetime

import pandas as pd
import polars as pl

from fedelta.features.attributes import attributes_at
from fedelta.features.cutoffs import Cutoff
from fedelta.features.errors import FedeltaError
from fedelta.features.history import DAY_US
from fedelta.features.kernel import columns_read, features_at
from fedelta.features.recent import RECENT
from fedelta.features.visibility import KNOWN_AT, seen_before
from fedelta.models.leakage.gate import leaks, replayed, without_accepted
from fedelta.models.leakage.leaky_rows import Leak, future_dated
from fedelta.models.panel import Panel, to_pandas
from fedelta.pipeline import paths
from fedelta.pipeline.atomic_write import write_json
from fedelta.pipeline.buckets.shuffle import bounded_buckets
from fedelta.pipeline.data_alarms import stop_on_alarm
from fedelta.pipeline.feature_job import Job, job_for
from fedelta.pipeline.intake.sources import load_source
from fedelta.pipeline.panel import read_panel, sampled_customers
from fedelta.pipeline.params import load_params


class LeakFound(FedeltaError):
    """The outcome leaks into what a model would learn from."""


def main() -> None:
    """Check the project's panel; write reports/leakage.json; say in one line that it is clean.

    Raises
    ------
    LeakFound
        If it is not: the message names the worst leak, the report holds them all.
    DataAlarm
        If the data that came in would give wrong scores.
    """
    stop_on_alarm(load_params())
    found, rows, replay, customers = check(datetime.now(UTC))
    found, accepted = without_accepted(found, load_params().leak_check.accept)
    document = {"leaks": [asdict(leak) for leak in found], "accepted": [asdict(leak) for leak in accepted]}
    write_json(
        paths.LEAKAGE_REPORT,
        {"rows": rows, "replayed_rows": replay, "sampled_customers": customers, **document},
    )
    if found:
        worst = found[0]
        more = f"{f'{len(found) - 1} more in' if len(found) > 1 else 'See'} {paths.LEAKAGE_REPORT}."
        raise LeakFound(f"Leak ({worst.check}): {worst.column}: {worst.evidence}. Remedy: {worst.remedy}. {more}")
    replayed_too = f"; {replay:,} rows replayed without their future" if replay else ""
    sampled = f" of a sample of {customers:,} customers" if customers else ""
    trusted = f"; accepted by params.yaml: {', '.join(sorted({leak.column for leak in accepted}))}" if accepted else ""
    print(f"leak_check: no leak in {rows:,} rows{sampled}{replayed_too}{trusted}")


def check(now: datetime) -> tuple[list[Leak], int, int, int | None]:
    """Leaks of the project's panel, gravest first; how many rows were looked at and replayed, and of a sample of how
    many customers (None: all of them).
    """
    params = load_params()
    source = load_source(params.source)
    if source.kind == "table":  # there are no events to replay
        panel, used = read_panel(["refit"]), source.for_models(params.fairness.allow)
        return leaks(panel, params.churn.definition, [a.name for a in used]), len(panel), 0, None
    sample = sampled_customers(params.engine.sample_customers)
    panel = read_panel(["train", "refit", "evaluate"], among=sample)
    keys = panel.table[["cutoff", "horizon_days", "lead_days", "role"]].drop_duplicates()
    cutoffs = [
        Cutoff(at.to_pydatetime().replace(tzinfo=UTC), int(horizon), int(lead), role)
        for at, horizon, lead, role in keys.itertuples(index=False)
    ]
    job = job_for(params, cutoffs, paths.FEATURES, paths.LABELS)
    replay = replay_of(job, cutoffs, params.engine.buckets)
    stored = panel.table[panel.table["customer_id"].isin(replay["customer_id"])]
    dated = pl.scan_parquet(paths.INTERACTIONS / "*.parquet").select("occurred_at").filter(pl.col("occurred_at") > now)
    predicted = {"cancellation", *params.churn.activity, *params.churn.ended}  # honestly before or instead of churn
    found = [
        *replayed(stored, replay),
        *leaks(panel, params.churn.definition, [a.name for a in job.attributes], days_since_kinds(panel, predicted)),
        *future_dated(to_pandas(dated.collect())["occurred_at"], pd.Timestamp(now.replace(tzinfo=None))),
    ]
    customers = None if sample is None else len(sample)
    return sorted(found, key=lambda leak: -leak.gravity), len(panel), len(stored), customers


def days_since_kinds(panel: Panel, without: Collection[str]) -> pd.DataFrame:
    """Days from each customer's last interaction of each kind to the row's cutoff (n_rows, n_kinds); null for never.

    An interaction counts from when it was known, where that is later than when it happened.
    """
    ids = pl.Series(panel.table["customer_id"].unique().tolist(), dtype=pl.String)
    events = pl.scan_parquet(paths.INTERACTIONS / "*.parquet").filter(pl.col("customer_id").is_in(ids.implode()))
    times = [name for name in ("occurred_at", "known_at") if name in events.collect_schema()]
    events = events.select("customer_id", "kind", pl.max_horizontal(times).dt.replace_time_zone(None).alias("seen_at"))
    keys = pl.from_pandas(panel.table[["customer_id", "cutoff"]]).with_columns(pl.col("cutoff").dt.cast_time_unit("us"))
    tables = []
    for cutoff in panel.cutoffs:
        before = events.filter(pl.col("seen_at") < cutoff, ~pl.col("kind").is_in(list(without)))
        last = before.group_by("customer_id", "kind").agg(pl.col("seen_at").max()).collect(engine="streaming")
        age = last.with_columns(days=(pl.lit(cutoff) - pl.col("seen_at")).dt.total_microseconds() / DAY_US)
        wide = age.pivot("kind", index="customer_id", values="days", sort_columns=True)
        at = keys.filter(pl.col("cutoff") == cutoff)
        tables.append(at.join(wide, on="customer_id", how="left", maintain_order="left"))
    table = pl.concat(tables, how="diagonal").drop("customer_id", "cutoff").to_pandas()
    return table.set_index(panel.table.index)  # both are in the order of the cutoffs


def replay_of(job: Job, cutoffs: Sequence[Cutoff], number: int) -> pd.DataFrame:
    """Features and attributes of one bucket's customers, each cutoff from the events before it alone."""
    tables = []
    events = next(
        read for b in bounded_buckets(paths.INTERACTIONS, number) if len(read := b.read(columns_read(job.settings)))
    )
    for cutoff in cutoffs:
        past = events.filter(seen_before(cutoff.at)).drop(KNOWN_AT)
        table, _ = features_at(past, (cutoff,), job.settings)
        if job.customers is not None and job.attributes:
            table = table.hstack(attributes_at(table, pl.read_parquet(job.customers), job.attributes))
        keys = ("horizon_days", "lead_days", "role", "refit", "status", "last_bad_experience", *RECENT)
        tables.append(table.drop(keys))
    return to_pandas(pl.concat(tables))
