"""Who read and changed what. Customers' ids are kept here, that is its purpose, and in no log."""

import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

import orjson
import sqlalchemy as sa

from fedelta.serve.caller.batches import Batches
from fedelta.serve.operational.erased import NOBODY, Erased
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
    change: Callable[[Change], Any], erased: Callable[[str], Erased] = lambda _tenant: NOBODY
) -> Callable[[list[Entry]], None]:
    """Writes entries in one transaction of ``change``, or each in its own if one of them cannot be written.

    Of customers who were ``erased`` (by tenant) they hold the hash.

    One that alone cannot (its tenant is not known here) is given up, which is logged: it would hold up the others.
    """
    insert = table.insert()

    def write(entries: list[Entry]) -> None:
        rows = [_row(entry, erased(entry.tenant)) for entry in entries]
        try:
            change(lambda connection: _insert(connection, rows))
        except Exception as error:
            if not _refuses_a_row(error):
                raise
            for row in rows:
                try:
                    change(lambda connection, row=row: _insert(connection, [row]))  # type: ignore[misc]
                except Exception as one:
                    if not _refuses_a_row(one):
                        raise
                    _log.warning("An entry of the audit is given up (%s).", type(one.__cause__ or one).__name__)

    def _insert(connection: sa.Connection, rows: list[dict[str, str]]) -> None:
        connection.execute(insert, rows)

    return write


def _refuses_a_row(error: BaseException) -> bool:
    """Whether the database was there and found a row wrong."""
    return isinstance(error.__cause__ or error, sa.exc.IntegrityError | sa.exc.DataError)


def _row(entry: Entry, erased: Erased) -> dict[str, str]:
    customer_id = entry.customer_id or ""
    if erased.key is not None and customer_id in erased:
        customer_id = erased.key.hashed(customer_id)
    subject = customer_id.replace("\0", "�")  # PostgreSQL's text has no NUL
    details: dict[str, object] = {"status": entry.status, "request_id": entry.request_id, **(entry.noted or {})}
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
