"""Who acts, for whose customers."""

from dataclasses import dataclass

import sqlalchemy as sa

from fedelta.serve.operational.pointer import record


@dataclass(frozen=True, slots=True)
class Actor:
    """A key's name, somebody at the desk, or a command; ``request_id`` where it acts by a request."""

    tenant: str
    name: str
    request_id: str | None = None

    def note(self, connection: sa.Connection, action: str, customer_id: str, **details: object) -> None:
        """Leave a line in the audit, in the transaction of what it is about."""
        if self.request_id is not None:
            details["request_id"] = self.request_id
        record(connection, self.tenant, self.name, action, customer_id, details)
