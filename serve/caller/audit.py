"""Who read and changed what. Customers' ids are kept here, that is its purpose, and in no log."""

import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

import orjson
import sqlalchemy as sa

from fedelta.serve.caller.batches import Batches
from fedelta.serve.operational.erased import Erased
from fedelta.serve.operational.tables import audit as table

_log = logging.getLogger("fedelta.serve")
Change = Callable[[sa.Connection], None]


class Entry(NamedTuple):
    """One request of a known caller, or one that was refused to it."""

    at: float  # seconds since 1970
    tenant: str
    caller: str
    action: str  # the operation's name, as in OpenAPI
    status: int
    request_id: str
    customer_id: str | None
    noted: Mapping[str, object] | None  # what the route noted: further customers, filters


class Audit:
    """Entries of reads, written by a thread within a second. What changes something writes its entry with the change,
    in one transaction, and says so by ``audited`` in the request's state.
    """

    def __init__(
        self,
        write: Callable[[list[Entry]], None],
        lost: Callable[[str, int], None] | None = None,
        *,
        most: int = 200_000,
    ) -> None:
        self._entries: Batches[Entry] = Batches("audit", write, most=most, lost=lost)
        self.add = self._entries.add

    @property
    def dropped(self) -> int:
        """Entries that were not written."""
        return self._entries.dropped

    def close(self) -> None:
        """Write what is left."""
        self._entries.close()


def written_to(
    change: Callable[[Change], Any], erased: Callable[[sa.Connection, str], Erased]
) -> Callable[[list[Entry]], None]:
    """Writes entries in one transaction of ``change``, or each in its own if one of them cannot be written.

    Of customers who were ``erased`` until then (of a tenant) they hold the hash.

    One that alone cannot (its tenant is not known here) is given up, which is logged: it would hold up the others.
    """
    insert = table.insert()

    def write(entries: list[Entry]) -> None:
        try:
            change(lambda connection: _insert(connection, entries))
        except Exception as error:
            if not _refuses_a_row(error):
                raise
            for entry in entries:
                try:
                    change(lambda connection, entry=entry: _insert(connection, [entry]))  # type: ignore[misc]
                except Exception as one:
                    if not _refuses_a_row(one):
                        raise
                    _log.warning("An entry of the audit is given up (%s).", type(one.__cause__ or one).__name__)

    def _insert(connection: sa.Connection, entries: list[Entry]) -> None:
        gone = {tenant: erased(connection, tenant) for tenant in {entry.tenant for entry in entries}}
        connection.execute(insert, [_row(entry, gone[entry.tenant]) for entry in entries])

    return write


def _refuses_a_row(error: BaseException) -> bool:
    """Whether the database was there and found a row wrong."""
    return isinstance(error.__cause__ or error, sa.exc.IntegrityError | sa.exc.DataError)


def _row(entry: Entry, erased: Erased) -> dict[str, str]:
    subject = erased.hidden(entry.customer_id or "").replace("\0", "�")  # PostgreSQL's text has no NUL
    noted = erased.hidden(dict(entry.noted or {}))
    details: dict[str, object] = {"status": entry.status, "request_id": entry.request_id, **noted}
    if len(subject) > 200:
        details["customer_id"], subject = subject, subject[:200]
    return {
        "tenant": entry.tenant,
        "at": datetime.fromtimestamp(entry.at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "actor": entry.caller[:100],
        "action": entry.action[:64],
        "subject": subject,
        "details": orjson.dumps(details).decode().replace("\\u0000", "�"),
    }
