"""The current run as a command reads it: as the service shows it, without those who were erased."""

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
        erased = erased_of(connection, database, tenant, kept[0].snapshot_id)
    return kept[0], SnapshotFile(database.snapshots / tenant / f"{kept[0].snapshot_id}{SUFFIX}", erased)
