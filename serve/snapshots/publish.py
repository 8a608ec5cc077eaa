"""``fedelta publish``: write a scoring run to a file of its own, then switch to it in one transaction."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import orjson
import polars as pl
import sqlalchemy as sa

from fedelta.serve.operational import pointer, run_reports
from fedelta.serve.operational.database import Database
from fedelta.serve.operational.erased import Erased
from fedelta.serve.operational.erasures import hashes, hide, must_fit, read_key, take_turns
from fedelta.serve.operational.tables import DEFAULT_TENANT
from fedelta.serve.operational.tenants import checked, ensure
from fedelta.serve.snapshots.compare import tier_changes
from fedelta.serve.snapshots.parts import Inputs, remove_unused, store_parts
from fedelta.serve.snapshots.read import SnapshotFile, SnapshotUnreadable
from fedelta.serve.snapshots.reports import read_reports
from fedelta.serve.snapshots.scoring_run import RunRefused, ScoringRun, read_document
from fedelta.serve.snapshots.write import SUFFIX, remove_snapshot, remove_unfinished, write_snapshot

SCORES_FILE = Path("data/scores.parquet")
BUNDLE = Path("data/bundle")
METRICS = Path("reports/evaluation.json")
SCORING = Path("data/scoring")
INTERACTIONS = Path("data/interactions")
CUSTOMERS = Path("data/customers.parquet")
REPORTS = Path("reports")
KEPT_PREVIOUS = 2
ACTOR = "fedelta publish"

Entered = Callable[[sa.Connection, str, SnapshotFile, SnapshotFile], Iterable[str]]


@dataclass(frozen=True)
class Published:
    """What a publish did; ``loaded`` is False when the snapshot was there already."""

    snapshot_id: str
    customers: int
    scored: int
    as_of: str | None
    loaded: bool
    switched: bool
    removed: int
    seconds: float
    not_computed: str = ""  # why scores are not computed on demand; empty: they are

    def __str__(self) -> str:
        what = f"{self.customers:,} customers, {self.scored:,} scored, as of {self.as_of}"
        also = f" Scores are not computed on demand: {self.not_computed}." if self.not_computed else ""
        if not self.switched:
            return f"Snapshot {self.snapshot_id} is current already ({what}): no new one was made.{also}"
        how = (
            f"{self.customers / max(self.seconds, 1e-3):,.0f} rows/s" if self.loaded else "kept from an earlier publish"
        )
        return (
            f"Published snapshot {self.snapshot_id} ({what}) in {self.seconds:.1f} s ({how}); "
            f"removed {self.removed} older.{also}"
        )


def publish(
    path: Path,
    database: Database,
    *,
    bundle: Path = BUNDLE,
    metrics: Path = METRICS,
    scoring: Path = SCORING,
    interactions: Path = INTERACTIONS,
    customers: Path = CUSTOMERS,
    reports: Path | None = None,
    policy: Mapping[str, object] | None = None,
    entered: Entered | None = None,
    keep: int = KEPT_PREVIOUS,
    tenant: str = DEFAULT_TENANT,
    thresholds: Mapping[str, float] | None = None,
) -> Published:
    """Make the run in ``path`` the one that is served.

    Readers see the run before it until the one transaction that switches, which also leaves a line in the audit and
    tells the outbox whose tier changed; then this one. A publish that dies leaves the current run as it was; the next
    one removes what it left. The same file is the same snapshot: publishing it again refreshes the documents beside it
    and writes no file.

    Parameters
    ----------
    path : the scores file, with the columns of ``features.contract.SCORES``
    bundle, metrics : documents shown by ``/v1/models/current`` where present
    scoring, interactions, customers : what the run scored by, copied beside the snapshot with the bundle, so that the
        service can score on demand; where they are not there or of another run, it cannot
    reports : the folder of the reports that the desk shows (`serve.snapshots.reports`), those that are there;
        alarms of ``drift.json`` are sent to others, once
    policy : what limits the contacts of a run, and the share of the control group, where the caller knows it
    entered : gives the messages of who entered which view, from the run before and this one
    keep : how many earlier snapshots stay, for lists begun on them and for going back
    tenant : whose customers they are; made where it is not known yet
    thresholds : the least churn probability of each risk tier but the lowest, where the caller knows it

    Raises
    ------
    RunRefused
        If the file or a document is not what it should be. Nothing is changed.
    HistoriesRefused
        If the interactions are not what a run writes. Nothing is changed.
    TenantRefused
        If no tenant can have such a name.
    DatabaseError
        If the database or the snapshot cannot be written or another publish is running.
    """
    began = time.perf_counter()
    run, folder = ScoringRun(path), database.snapshots / checked(tenant)
    snapshot_id, found = run.snapshot_id(), read_reports(reports) if reports is not None else {}
    if policy is not None:
        found["policy"] = orjson.dumps(policy)
    document = _about(run, snapshot_id, bundle, metrics, thresholds, found)
    database.migrate()
    run, hashed = _without_erased(run, database, tenant)
    if run.erased:
        snapshot_id = run.snapshot_id()
        document = _about(run, snapshot_id, bundle, metrics, thresholds, found)
    facts = run.facts
    with database.sole_publisher(tenant), database.engine() as engine:
        with engine.execution_options(reads=True).begin() as connection:
            kept = pointer.kept(connection, tenant)
            described = kept and pointer.about(connection, tenant, kept[0].snapshot_id)
        file = folder / f"{snapshot_id}{SUFFIX}"
        remove_unfinished(folder, {one.snapshot_id for one in kept})
        before = _before(folder, kept[0].snapshot_id) if described and _comparable(described, document) else None
        loaded = not file.exists()
        if loaded:
            write_snapshot(run, snapshot_id, file, _compared(before))
            if run.snapshot_id() != snapshot_id:
                remove_snapshot(file)
                raise RunRefused(f"{path} changed while it was read: publish again when nothing writes it.")
        inputs = Inputs(scoring, bundle, interactions, customers)
        parts, not_computed = store_parts(folder, inputs, facts.model_version, facts.as_of, run.erased)
        names = parts.names() if parts else None
        switched = not kept or kept[0].snapshot_id != snapshot_id
        with engine.begin() as connection:
            ensure(connection, tenant)
            take_turns(connection)
            hide(connection, tenant, snapshot_id, _erased_meanwhile(connection, database, tenant, run, file, hashed))
            if switched:
                pointer.switch(connection, tenant, snapshot_id, document, actor=ACTOR, scoring=names)
                if before is not None:
                    _tell_of_changes(connection, tenant, before, SnapshotFile(file), entered)
            else:
                pointer.describe(connection, tenant, snapshot_id, document, scoring=names)
            run_reports.store(connection, tenant, snapshot_id, found)
            if "drift" in found:
                pointer.alert(connection, tenant, orjson.loads(found["drift"]))
            gone = pointer.retire(connection, tenant, keep)
            run_reports.forget(connection, tenant, gone)
            needed = [one.scoring for one in pointer.kept(connection, tenant)]
        for one in gone:
            remove_snapshot(folder / f"{one}{SUFFIX}")
        remove_unused(folder, needed)
    return Published(
        snapshot_id,
        facts.customers,
        facts.scored,
        facts.as_of,
        loaded,
        switched,
        len(gone),
        time.perf_counter() - began,
        not_computed,
    )


def main(
    database_url: str | None = None,
    *,
    scores: Path = SCORES_FILE,
    bundle: Path = BUNDLE,
    metrics: Path = METRICS,
    scoring: Path = SCORING,
    interactions: Path = INTERACTIONS,
    customers: Path = CUSTOMERS,
    reports: Path = REPORTS,
    policy: Mapping[str, object] | None = None,
    entered: Entered | None = None,
    receipt: Path | None = None,
    tenant: str = DEFAULT_TENANT,
    thresholds: Mapping[str, float] | None = None,
) -> None:
    """Make a scoring run the one that is served, say so, and leave a receipt where one is asked for.

    Raises
    ------
    RunRefused, HistoriesRefused, TenantRefused, DatabaseError
        As `publish`.
    """
    published = publish(
        scores,
        Database.at(database_url),
        bundle=bundle,
        metrics=metrics,
        scoring=scoring,
        interactions=interactions,
        customers=customers,
        reports=reports,
        policy=policy,
        entered=entered,
        tenant=tenant,
        thresholds=thresholds,
    )
    print(published)
    if receipt:
        receipt.write_text(f'{{"snapshot_id": "{published.snapshot_id}"}}\n', encoding="utf-8")


def _about(
    run: ScoringRun,
    snapshot_id: str,
    bundle: Path,
    metrics: Path,
    thresholds: Mapping[str, float] | None,
    reports: Mapping[str, bytes],
) -> bytes:
    """The JSON object of ``/v1/models/current``."""
    facts = run.facts
    churn, clv = (read_document(bundle / model / "delivered" / "model.json") for model in ("churn", "clv"))
    return orjson.dumps(
        {
            "snapshot_id": snapshot_id,
            "as_of": facts.as_of,
            "horizon_days": facts.horizon_days,
            "customers": facts.customers,
            "by_status": facts.by_status,
            "model_version": facts.model_version,
            "risk_tiers": facts.risk_tiers,
            "source": (read_document(bundle / "personas" / "model.json") or {}).get("source"),
            "thresholds": dict(thresholds) if thresholds else (churn or {}).get("thresholds"),
            "metrics": read_document(metrics),
            "churn": churn,
            "clv": clv,
            "reports": run_reports.digests(reports),
            "alarms": orjson.loads(reports["drift"]).get("alarms") if "drift" in reports else None,
        }
    )


def _without_erased(run: ScoringRun, database: Database, tenant: str) -> tuple[ScoringRun, frozenset[str]]:
    """The run without those who were erased, and the hashes of all who were."""
    with database.engine() as engine, engine.execution_options(reads=True).begin() as connection:
        hashed = hashes(connection, tenant)
    if not hashed:
        return run, hashed
    erased = Erased(hashes=hashed, key=read_key(database))
    must_fit(erased.key, hashed, database.erasure_key)
    everybody = run.columns(["customer_id"])["customer_id"]
    gone = frozenset(one for one in everybody if one in erased)
    return (ScoringRun(run.path, gone) if gone else run), hashed


def _erased_meanwhile(
    connection: sa.Connection, database: Database, tenant: str, run: ScoringRun, file: Path, hashed: frozenset[str]
) -> list[int]:
    """The rows of a new snapshot of those who were erased while it was written."""
    if not (new := hashes(connection, tenant) - hashed):
        return []
    erased = Erased(hashes=new, key=read_key(database))
    everybody = run.columns(["customer_id"])["customer_id"]
    return list(SnapshotFile(file).rows(one for one in everybody if one in erased).values())


def _comparable(one: bytes, other: bytes) -> bool:
    """Whether two runs' probabilities are of the same customers and horizon: ids of another source may be the same."""
    first, second = orjson.loads(one), orjson.loads(other)
    return all(what not in first or first[what] == second[what] for what in ("source", "horizon_days"))


def _before(folder: Path, snapshot_id: str) -> SnapshotFile | None:
    """The current snapshot, None where its file is lost: that must not stop a new one."""
    try:
        return SnapshotFile(folder / f"{snapshot_id}{SUFFIX}")
    except SnapshotUnreadable:
        return None


def _tell_of_changes(
    connection: sa.Connection, tenant: str, before: SnapshotFile, after: SnapshotFile, entered: Entered | None
) -> None:
    pointer.tell(connection, tenant, "score.tier_changed", tier_changes(before, after))
    if entered is not None:
        pointer.tell(connection, tenant, "customer.entered_view", entered(connection, tenant, before, after))


def _compared(before: SnapshotFile | None) -> pl.DataFrame | None:
    return None if before is None else before.compared()
