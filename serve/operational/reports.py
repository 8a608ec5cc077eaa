"""Documents that come with a run and are replaced by those of the next."""

from typing import Any

import orjson
import sqlalchemy as sa

from fedelta.serve.operational.tables import now, reports


def store_report(connection: sa.Connection, tenant: str, name: str, document: dict[str, Any]) -> None:
    """Put a report, a JSON object, in the place of the one of the same name."""
    connection.execute(reports.delete().where(reports.c.tenant == tenant, reports.c.name == name))
    row = {"tenant": tenant, "name": name, "published_at": now(), "document": orjson.dumps(document)}
    connection.execute(reports.insert().values(row))


def read_report(connection: sa.Connection, tenant: str, name: str) -> tuple[str, dict[str, Any]] | None:
    """When it was published, and the report; None where there is none."""
    one = sa.select(reports.c.published_at, reports.c.document).where(
        reports.c.tenant == tenant, reports.c.name == name
    )
    row = connection.execute(one).first()
    return None if row is None else (row.published_at, orjson.loads(bytes(row.document)))
