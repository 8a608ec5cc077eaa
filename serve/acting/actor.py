"""Who acts, for whose customers."""

from collections.abc import Iterable
from dataclasses import dataclass

import sqlalchemy as sa

from fedelta.serve.operational.database import Database
from fedelta.serve.operational.erasures import erased_among
from fedelta.serve.operational.pointer import record


@dataclass(frozen=True, slots=True)
class Actor:
    """A key's name, somebody at the desk, or a command; ``request_id`` where it acts by a request."""

    tenant: str
    name: str
    database: Database
    request_id: str | None = None

    def erased(self, connection: sa.Connection, customer_ids: Iterable[str]) -> set[str]:
        """Those of whom nothing may be kept: an erasure comes before this transaction or after it, not within."""
        return erased_among(connection, self.database, self.tenant, customer_ids)

    def note(self, connection: sa.Connection, action: str, customer_id: str, **details: object) -> None:
        """Leave a line in the audit, in the transaction of what it is about."""
        if self.request_id is not None:
            details["request_id"] = self.request_id
        record(connection, self.tenant, self.name, action, customer_id, details)
