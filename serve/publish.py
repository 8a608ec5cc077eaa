"""``fedelta publish``: load a scoring run beside the current one, then switch to it in one transaction."""

import sqlite3
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import orjson
import polars as pl
import sqlalchemy as sa

from fedelta.features.contract import SCORES
from fedelta.serve import document
from fedelta.serve.database import FILTERED, Database, scores, snapshots
from fedelta.serve.scoring_run import RunRefused, ScoringRun, read_document

SCORES_FILE = Path("data/scores.parquet")
BUNDLE = Path("data/bundle")
METRICS = Path("reports/evaluation.json")
KEPT_PREVIOUS = 2
CHUNK_ROWS = 5_000

_COLUMNS = ("customer_id", *FILTERED, "rank_by_value", "rank_by_probability")


@dataclass(frozen=True)
class Published:
    """What a publish did; ``loaded`` is False when the database held the run already."""

    snapshot_id: str
    customers: int
    scored: int
    as_of: str | None
    loaded: bool
    switched: bool
    removed: int
    seconds: float

    def __str__(self) -> str:
        what = f"{self.customers:,} customers, {self.scored:,} scored, as of {self.as_of}"
        if not self.switched:
            return f"Snapshot {self.snapshot_id} is current already ({what}): no new one was made."
        how = (
            f"{self.customers / max(self.seconds, 1e-3):,.0f} rows/s" if self.loaded else "kept from an earlier publish"
        )
        return (
            f"Published snapshot {self.snapshot_id} ({what}) in {self.seconds:.1f} s ({how}); "
            f"removed {self.removed} older."
        )


def publish(
    path: Path, database: Database, *, bundle: Path = BUNDLE, metrics: Path = METRICS, keep: int = KEPT_PREVIOUS
) -> Published:
    """Make the run in ``path`` the one that is served.

    Readers see the run before it until the one statement that switches, then this one. A publish that dies leaves the
    current run as it was; the next publish removes what it left. The same file is the same snapshot: publishing it
    again refreshes the documents beside it and loads nothing.

    Parameters
    ----------
    path : the scores file, with the columns of ``features.contract.SCORES``
    bundle, metrics : documents shown by ``/v1/models/current`` where present
    keep : how many earlier snapshots stay, for lists begun on them and for going back

    Raises
    ------
    RunRefused
        If the file or a document is not what it should be. Nothing is changed.
    DatabaseError
        If the database cannot be written or another publish is running.
    """
    began = time.perf_counter()
    run = ScoringRun(path)
    snapshot_id, facts = run.snapshot_id(), run.facts
    about = _about(run, snapshot_id, bundle, metrics)
    database.migrate()
    with database.sole_publisher(), database.engine() as engine:
        _remove(engine, snapshots.c.turn.is_(None))
        held = _turns(engine)
        loaded = snapshot_id not in held
        if loaded:
            _load(engine, run, snapshot_id, about)
            if run.snapshot_id() != snapshot_id:
                raise RunRefused(f"{path} changed while it was read: publish again when nothing writes it.")
        switched = loaded or held[snapshot_id] != max(held.values())
        _describe(engine, snapshot_id, about, switch=switched)
        removed = _retire(engine, keep)
    return Published(
        snapshot_id, facts.customers, facts.scored, facts.as_of, loaded, switched, removed, time.perf_counter() - began
    )


def main(
    database_url: str | None = None,
    *,
    scores: Path = SCORES_FILE,
    bundle: Path = BUNDLE,
    metrics: Path = METRICS,
    receipt: Path | None = None,
) -> None:
    """Make a scoring run the one that is served, say so, and leave a receipt where one is asked for.

    Raises
    ------
    RunRefused, DatabaseError
        As `publish`.
    """
    published = publish(scores, Database.at(database_url), bundle=bundle, metrics=metrics)
    print(published)
    if receipt:
        receipt.write_text(f'{{"snapshot_id": "{published.snapshot_id}"}}\n', encoding="utf-8")


def _about(run: ScoringRun, snapshot_id: str, bundle: Path, metrics: Path) -> bytes:
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
            "thresholds": (churn or {}).get("thresholds"),
            "metrics": read_document(metrics),
            "churn": churn,
            "clv": clv,
        }
    )


def _load(engine: sa.Engine, run: ScoringRun, snapshot_id: str, about: bytes) -> None:
    """Write the run as a snapshot without a turn, a chunk a transaction, so that other writers get their turn too."""
    with engine.begin() as connection:
        newest = connection.execute(_newest(snapshots.c.number, snapshots.c.about)).first()
        previous = newest.number if newest and _comparable(newest.about, about) else None
        connection.execute(
            snapshots.insert().values(
                snapshot_id=snapshot_id, as_of=run.facts.as_of, customers=run.facts.customers, about=about
            )
        )
        number = connection.execute(
            sa.select(snapshots.c.number).where(snapshots.c.snapshot_id == snapshot_id)
        ).scalar_one()
    marks = ", ".join("?" * (len(_COLUMNS) + 2))
    insert = f"INSERT INTO scores (snapshot_number, {', '.join(_COLUMNS)}, body) VALUES ({marks})"  # noqa: S608 (ours)
    for chunk in run.chunks(CHUNK_ROWS):
        with engine.begin() as connection:
            frame = _with_previous(connection, previous, chunk)
            bodies = document.bodies(frame.select(SCORES.names()), snapshot_id)
            rows = zip(*(frame[name] for name in _COLUMNS), bodies, strict=True)
            _driver(connection).executemany(insert, ((number, *row) for row in rows))


def _comparable(one: bytes, other: bytes) -> bool:
    """Whether two runs' probabilities are of the same customers and horizon: ids of another source may be the same."""
    first, second = orjson.loads(one), orjson.loads(other)
    return all(what not in first or first[what] == second[what] for what in ("source", "horizon_days"))


def _with_previous(connection: sa.Connection, previous: int | None, chunk: pl.DataFrame) -> pl.DataFrame:
    """The chunk with ``previous_probability`` taken from the snapshot before where the run does not tell it."""
    unknown = chunk.filter(pl.col("previous_probability").is_null())["customer_id"].to_list()
    if previous is None or not unknown:
        return chunk
    marks = ",".join("?" * len(unknown))
    found = _driver(connection).execute(
        "SELECT customer_id, churn_probability FROM scores "  # noqa: S608 (nothing but question marks)
        f"WHERE snapshot_number = ? AND customer_id IN ({marks})",
        (previous, *unknown),
    )
    before = pl.DataFrame(found.fetchall(), {"customer_id": pl.String, "before": pl.Float64}, orient="row")
    return chunk.join(before, on="customer_id", how="left", maintain_order="left").with_columns(
        pl.coalesce("previous_probability", "before").alias("previous_probability")
    )


def _describe(engine: sa.Engine, snapshot_id: str, about: bytes, *, switch: bool) -> None:
    """Store the documents of a snapshot and, in the same transaction, make it current."""
    values: dict[str, Any] = {"about": about}
    if switch:
        values["turn"] = sa.select(sa.func.coalesce(sa.func.max(snapshots.c.turn), 0) + 1).scalar_subquery()
        values["published_at"] = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    with engine.begin() as connection:
        connection.execute(snapshots.update().where(snapshots.c.snapshot_id == snapshot_id).values(values))


def _retire(engine: sa.Engine, keep: int) -> int:
    """Remove all but the current snapshot and ``keep`` before it, oldest first; how many went."""
    kept = _newest(snapshots.c.number).limit(keep + 1)
    with engine.begin() as connection:
        gone = connection.execute(snapshots.update().where(snapshots.c.number.not_in(kept)).values(turn=None))
    _remove(engine, snapshots.c.turn.is_(None))
    return gone.rowcount


def _remove(engine: sa.Engine, which: sa.ColumnElement[bool]) -> None:
    """Delete snapshots and their scores, some thousands of rows a transaction."""
    with engine.begin() as connection:
        numbers = connection.execute(sa.select(snapshots.c.number).where(which)).scalars().all()
    some = sa.select(scores.c.id).where(scores.c.snapshot_number.in_(numbers)).limit(CHUNK_ROWS)
    deleted = len(numbers)
    while deleted:
        with engine.begin() as connection:
            deleted = connection.execute(scores.delete().where(scores.c.id.in_(some))).rowcount
            if not deleted:
                connection.execute(snapshots.delete().where(snapshots.c.number.in_(numbers)))


def _turns(engine: sa.Engine) -> dict[str, int]:
    with engine.begin() as connection:
        rows = connection.execute(sa.select(snapshots.c.snapshot_id, snapshots.c.turn)).all()
    return {row.snapshot_id: row.turn for row in rows}


def _newest(*columns: sa.Column[Any]) -> sa.Select[Any]:
    return sa.select(*columns).where(snapshots.c.turn.is_not(None)).order_by(snapshots.c.turn.desc()).limit(1)


def _driver(connection: sa.Connection) -> sqlite3.Connection:
    return cast("sqlite3.Connection", connection.connection.driver_connection)
