"""Erasure: a customer is gone from what is served at once, and does not come back.

What is left is a keyed hash of the id on the suppression list, and in the audit what was done, under that hash.
"""

import os
import secrets
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import orjson
import sqlalchemy as sa
from pydantic import BaseModel, Field

from fedelta.serve.acting.actor import Actor
from fedelta.serve.acting.customers import storable
from fedelta.serve.operational import pointer
from fedelta.serve.operational.database import Database
from fedelta.serve.operational.erased import ErasureKey, replaced
from fedelta.serve.operational.erasures import hashes, hide, make_key, must_fit, take_turns
from fedelta.serve.operational.tables import (
    DEFAULT_TENANT,
    audit,
    deliveries,
    erasures,
    idempotency_keys,
    metadata,
    now,
    outbox,
    views,
)
from fedelta.serve.operational.tenants import ensure
from fedelta.serve.snapshots.read import SnapshotFile, SnapshotUnreadable
from fedelta.serve.snapshots.write import SUFFIX

LIST_FOLDER = Path("erased")
ACTOR = "fedelta erase"
AUDIT_AT_ONCE = 20_000
PENDING = [
    "snapshots: the rows are hidden, and removed by the next publish",
    "interactions, quarantine, experiences, models and scores of the project: by the next `dvc repro`",
    "raw files, backups and exports made before, and other systems: by whoever keeps them",
]
# Texts of JSON that may name customers among others.
_DOCUMENTS = ((outbox, "payload"), (idempotency_keys, "answer"))


class Receipt(BaseModel):
    """What an erasure removed where."""

    hashed_id: str = Field(description="on the suppression list; in the audit instead of the id")
    erased_at: datetime = Field(description="for the first time")
    removed: dict[str, int] = Field(description="rows by table; of `outbox` and `idempotency_keys` also those cut")
    hidden_in: list[str] = Field(description="snapshots that hold the customer until the next publish")
    pending: list[str] = Field(description="what goes when")


def erase(connection: sa.Connection, actor: Actor, customer_id: str, key: ErasureKey) -> Receipt:
    """Erase a customer, known or not, from what is served of a tenant; again: whatever has come since.

    Entries of the audit before are hashed by ``hash_in_audit``, afterwards.

    Raises
    ------
    DatabaseError
        If others were erased with another key.
    """
    take_turns(connection)
    hashed = key.hashed(customer_id)
    must_fit(key, hashes(connection, actor.tenant), actor.database.erasure_key)
    removed = _remove(connection, actor.tenant, customer_id) if storable(customer_id) else {}
    hidden = _hide(connection, actor.database, actor.tenant, customer_id)
    row = {"tenant": actor.tenant, "hashed_id": hashed}
    same = sa.and_(*(erasures.c[name] == value for name, value in row.items()))
    first = connection.execute(sa.select(erasures.c.erased_at).where(same)).scalar_one_or_none()
    receipt = Receipt(
        hashed_id=hashed,
        erased_at=datetime.fromisoformat(first or now()),
        removed=removed,
        hidden_in=hidden,
        pending=PENDING,
    )
    if first is None:
        stored = {"erased_at": now(), "receipt": receipt.model_dump_json()}
        connection.execute(erasures.insert().values(row | stored))
    actor.note(connection, "customer.erased", hashed, removed=removed, hidden_in=hidden)
    return receipt


def hash_in_audit(connection: sa.Connection, tenant: str, customer_id: str, hashed: str, after: int = 0) -> int | None:
    """Put the hash of an id in its place in the next entries of the audit: some at a time, so that others can write.

    The number of the last of them, from which to go on; None: there are no more.
    """
    ahead = sa.and_(audit.c.tenant == tenant, audit.c.id > after)
    every = sa.select(audit.c.id).where(ahead).order_by(audit.c.id).offset(AUDIT_AT_ONCE - 1).limit(1)
    last: int | None = connection.execute(every).scalar_one_or_none()
    if last is not None:
        ahead = sa.and_(ahead, audit.c.id <= last)
    stored = customer_id.replace("\0", "�")  # as the audit has it
    named = sa.or_(audit.c.subject == stored[:200], _names(audit.c.details, stored))
    for row in connection.execute(sa.select(audit).where(ahead, named)).all():
        values = {
            "subject": hashed if row.subject == stored[:200] else row.subject,
            "details": orjson.dumps(
                replaced(orjson.loads(row.details), lambda one: hashed if one == stored else one)
            ).decode(),
        }
        connection.execute(audit.update().where(audit.c.id == row.id).values(values))
    return last


def write_list(connection: sa.Connection, tenant: str, folder: Path) -> Path:
    """Write the hashes of a tenant's erased customers to ``folder/TENANT.txt``, in order, for the stage ``ingest``."""
    path = folder / f"{tenant}.txt"
    unfinished = folder / f".{path.name}.{secrets.token_hex(4)}"
    unfinished.write_text("".join(f"{one}\n" for one in sorted(hashes(connection, tenant))), encoding="ascii")
    unfinished.replace(path)
    return path


def main(
    customer_ids: Sequence[str], database_url: str | None = None, *, tenant: str = DEFAULT_TENANT
) -> list[Receipt]:
    """Erase customers, one after the other, and bring the list of the project up to date if there is one here.

    Raises
    ------
    DatabaseError
        If the database cannot be written, or others were erased with another key.
    """
    database = Database.at(database_url)
    database.migrate()
    key, actor = make_key(database), Actor(tenant, ACTOR, database)
    receipts = []
    with database.engine() as engine:
        with engine.begin() as connection:
            ensure(connection, tenant)
        for customer_id in customer_ids:
            with engine.begin() as connection:
                receipts.append(erase(connection, actor, customer_id, key))
            after: int | None = 0
            while after is not None:
                with engine.begin() as connection:
                    after = hash_in_audit(connection, tenant, customer_id, key.hashed(customer_id), after)
        with engine.execution_options(reads=True).begin() as connection:
            list_for_project(connection, database, tenant)
    return receipts


def export_list(folder: Path, database_url: str | None = None, *, tenant: str = DEFAULT_TENANT) -> str:
    """Write the suppression list of a tenant to a folder; where."""
    database = Database.at(database_url)
    database.migrate()
    folder.mkdir(parents=True, exist_ok=True)
    with database.engine() as engine, engine.execution_options(reads=True).begin() as connection:
        path = write_list(connection, tenant, folder)
        return f"{path}: {len(hashes(connection, tenant)):,} erased. The key to it is {database.erasure_key}."


def list_for_project(connection: sa.Connection, database: Database, tenant: str) -> None:
    """Bring the list of the project in the present folder up to date, if that is where the snapshots lie."""
    of_project = database.snapshots.absolute().is_relative_to(Path.cwd())
    if of_project and tenant == DEFAULT_TENANT and os.access(LIST_FOLDER, os.W_OK):
        write_list(connection, tenant, LIST_FOLDER)


def _remove(connection: sa.Connection, tenant: str, customer_id: str) -> dict[str, int]:
    """Delete the rows about a customer, those that refer to others first, and cut the customer out of documents."""
    removed = {}
    for table in reversed(metadata.sorted_tables):
        if "customer_id" in table.c:
            its = sa.and_(table.c.tenant == tenant, table.c.customer_id == customer_id)
            removed[str(table.name)] = connection.execute(table.delete().where(its)).rowcount
    if named := _views_for(connection, tenant, customer_id):
        removed["views"] = connection.execute(views.delete().where(views.c.view_id.in_(named))).rowcount
    for table, column in _DOCUMENTS:
        text = table.c[column]
        rows = connection.execute(
            sa.select(table).where(table.c.tenant == tenant, _names(text, customer_id))
        ).mappings()
        for row in rows.all():
            before = orjson.loads(row[column])
            after = _without(before, customer_id)
            if after == before:
                continue
            its = sa.and_(*(each == row[each.name] for each in table.primary_key.columns))
            if after is None:
                if table is outbox:
                    connection.execute(deliveries.delete().where(deliveries.c.event_id == row["event_id"]))
                connection.execute(table.delete().where(its))
            else:
                connection.execute(table.update().where(its).values({column: orjson.dumps(after).decode()}))
            removed[str(table.name)] = removed.get(str(table.name), 0) + 1
    return {name: count for name, count in removed.items() if count}


def _views_for(connection: sa.Connection, tenant: str, customer_id: str) -> list[int]:
    """The saved views of the desk that search for the id."""
    of_tenant = sa.select(views.c.view_id, views.c.query).where(views.c.tenant == tenant)
    return [row.view_id for row in connection.execute(of_tenant) if ("q", customer_id) in parse_qsl(row.query)]


def _hide(connection: sa.Connection, database: Database, tenant: str, customer_id: str) -> list[str]:
    """Hide the customer's row in every snapshot that is kept; which have it."""
    hidden = []
    for one in pointer.kept(connection, tenant):
        try:
            file = SnapshotFile(database.snapshots / tenant / f"{one.snapshot_id}{SUFFIX}")
        except SnapshotUnreadable:  # lost, so it shows nobody
            continue
        if (row := file.row_of(customer_id)) is not None:
            hide(connection, tenant, one.snapshot_id, [row])
            hidden.append(one.snapshot_id)
    return hidden


def _names(text: sa.ColumnElement[str], customer_id: str) -> sa.ColumnElement[bool]:
    """Whether a text of JSON may name the customer."""
    return text.contains(orjson.dumps(customer_id).decode(), autoescape=True)


def _without(value: Any, customer_id: str) -> Any:
    """A document without what is about a customer; None: all of it is."""
    if isinstance(value, dict):
        if value.get("customer_id") == customer_id:
            return None
        return {name: _without(each, customer_id) for name, each in value.items()}
    if isinstance(value, list):
        rest = [each for each in value if each != customer_id]
        return [after for each in rest if (after := _without(each, customer_id)) is not None or each is None]
    return value
