"""Runs as a command reads them: as the service shows them, without those who were erased."""

import sqlalchemy as sa

from fedelta.serve.operational import pointer
from fedelta.serve.operational.database import Database
from fedelta.serve.operational.erasures import erased_of
from fedelta.serve.operational.pointer import Pointer
from fedelta.serve.snapshots.read import SnapshotFile
from fedelta.serve.snapshots.write import SUFFIX


def current_run(engine: sa.Engine, database: Database, tenant: str) -> tuple[Pointer, SnapshotFile] | None:
    """The run that is served of a tenant; None where nothing is published. Raises ``SnapshotUnreadable``."""
    with engine.execution_options(reads=True).begin() as connection:
        kept = pointer.kept(connection, tenant)
        if not kept:
            return None
        return kept[0], run_of(connection, database, kept[0])


def run_of(connection: sa.Connection, database: Database, one: Pointer) -> SnapshotFile:
    """A run that is kept. Raises ``SnapshotUnreadable``."""
    erased = erased_of(connection, database, one.tenant, one.snapshot_id)
    return SnapshotFile(database.snapshots / one.tenant / f"{one.snapshot_id}{SUFFIX}", erased)
