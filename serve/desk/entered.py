"""Who entered the shared views of the desk by a new run."""

from collections.abc import Iterator

import orjson
import sqlalchemy as sa

from fedelta.serve.caller.problems import Problem
from fedelta.serve.desk.listed import Listed
from fedelta.serve.desk.words import Words
from fedelta.serve.operational.tables import views, webhooks
from fedelta.serve.snapshots.compare import MOST_PER_MESSAGE
from fedelta.serve.snapshots.read import SnapshotFile

TYPE = "customer.entered_view"
MOST_VIEWS = 100


def entered_views(connection: sa.Connection, tenant: str, before: SnapshotFile, after: SnapshotFile) -> Iterator[str]:
    """What `customer.entered_view` says: JSON objects of one view and at most ``MOST_PER_MESSAGE`` customers each.

    Nothing where no endpoint wants to know: it is work for every view.
    """
    wants = sa.select(webhooks.c.id).where(webhooks.c.tenant == tenant, webhooks.c.disabled_at.is_(None))
    if connection.execute(wants.where(webhooks.c.types.contains(f" {TYPE} ")).limit(1)).first() is None:
        return
    shared = sa.select(views).where(views.c.tenant == tenant, views.c.shared).order_by(views.c.view_id)
    for view in connection.execute(shared.limit(MOST_VIEWS)).all():
        try:
            listed = Listed.stored(view.query, Words("en"))
        except Problem:  # it was saved by another version
            continue
        about = {"view_id": view.view_id, "view": view.name}
        about |= {"snapshot_id": after.snapshot_id, "previous_snapshot_id": before.snapshot_id}
        were = set(_customers(listed, before))
        new = [customer_id for customer_id in _customers(listed, after) if customer_id not in were]
        for start in range(0, len(new), MOST_PER_MESSAGE):
            yield orjson.dumps({**about, "customer_ids": new[start : start + MOST_PER_MESSAGE]}).decode()


def _customers(listed: Listed, file: SnapshotFile) -> list[str]:
    """The customers of a list, in its order."""
    _, rows = listed.whole(file)
    ids: list[str] = file.column("customer_id").gather(file.column("position").gather(rows)).to_list()
    return ids
