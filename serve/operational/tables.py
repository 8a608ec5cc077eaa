"""The tables of the operational database, the same in SQLite and PostgreSQL. Times are ISO 8601 in UTC, as text."""

from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

DEFAULT_TENANT = "default"

metadata = sa.MetaData()

_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")  # only INTEGER counts up by itself in SQLite


def _tenant() -> sa.Column[str]:
    return sa.Column("tenant", sa.String(63), sa.ForeignKey("tenants.tenant"), nullable=False)


# Whose customers they are. No row of another table is without one.
tenants = sa.Table(
    "tenants",
    metadata,
    sa.Column("tenant", sa.String(63), primary_key=True),
    sa.Column("created_at", sa.String(40), nullable=False),
)

# One row per snapshot file that is kept. ``turn`` counts the times a run became current within its tenant: the highest
# one is served. So one transaction switches the service to a new run.
snapshots = sa.Table(
    "snapshots",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True),
    _tenant(),
    sa.Column("snapshot_id", sa.String(64), nullable=False),
    sa.Column("turn", sa.Integer, nullable=False),
    sa.Column("as_of", sa.String(40)),
    sa.Column("published_at", sa.String(40), nullable=False),
    sa.Column("customers", sa.Integer, nullable=False),
    sa.Column("about", sa.LargeBinary, nullable=False),  # JSON: model, metrics, thresholds
    sa.Column("about_digest", sa.String(16), nullable=False),
    sa.Column("scoring", sa.Text),  # JSON: names of serve.snapshots.parts; null: nothing to score by
    sa.UniqueConstraint("tenant", "snapshot_id", name="snapshots_by_id"),
    sa.UniqueConstraint("tenant", "turn", name="snapshots_by_turn"),
)

api_keys = sa.Table(
    "api_keys",
    metadata,
    sa.Column("prefix", sa.String(16), primary_key=True),
    sa.Column("name", sa.String(100), nullable=False),
    sa.Column("digest", sa.LargeBinary(32), nullable=False),  # SHA-256 of the whole key
    sa.Column("scopes", sa.String(200), nullable=False),  # separated by spaces
    sa.Column("created_at", sa.String(40), nullable=False),
    sa.Column("revoked_at", sa.String(40)),
    _tenant(),
    sa.Column("expires_at", sa.String(40)),
    sa.Column("last_used_at", sa.String(40)),  # to the hour
    sa.Column("rate_per_second", sa.Float),  # null: as the service has it; 0: none
)

# Who changed what. ``details`` is a JSON object.
audit = sa.Table(
    "audit",
    metadata,
    sa.Column("id", _ID, primary_key=True),
    _tenant(),
    sa.Column("at", sa.String(40), nullable=False),
    sa.Column("actor", sa.String(100), nullable=False),
    sa.Column("action", sa.String(64), nullable=False),
    sa.Column("subject", sa.String(200), nullable=False),
    sa.Column("details", sa.Text, nullable=False),
    sa.Index("audit_by_tenant", "tenant", "id"),
)

# Messages to others: written in the transaction of the change, delivered afterwards. ``payload`` is JSON.
outbox = sa.Table(
    "outbox",
    metadata,
    sa.Column("id", _ID, primary_key=True),
    _tenant(),
    sa.Column("event_id", sa.String(64), nullable=False, unique=True),
    sa.Column("type", sa.String(64), nullable=False),
    sa.Column("created_at", sa.String(40), nullable=False),
    sa.Column("payload", sa.Text, nullable=False),
    sa.Index("outbox_by_tenant", "tenant", "id"),
)


def now() -> str:
    """The present time, as it is stored."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def from_now(*, days: float = 0, hours: float = 0) -> str:
    """A later time, or an earlier one, as it is stored."""
    return (datetime.now(UTC) + timedelta(days=days, hours=hours)).strftime("%Y-%m-%dT%H:%M:%SZ")
