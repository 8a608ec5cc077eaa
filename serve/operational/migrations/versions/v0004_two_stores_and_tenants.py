"""Scores lie in snapshot files; every row has a tenant; keys expire; changes are audited and reported to others.

Runs published before are not carried over: publish the newest one again. Keys are.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def tenant() -> sa.Column[str]:
    return sa.Column("tenant", sa.String(63), sa.ForeignKey("tenants.tenant"), nullable=False)


def upgrade() -> None:
    tenants = op.create_table(
        "tenants",
        sa.Column("tenant", sa.String(63), primary_key=True),
        sa.Column("created_at", sa.String(40), nullable=False),
    )
    op.bulk_insert(tenants, [{"tenant": "default", "created_at": "1970-01-01T00:00:00Z"}])
    op.drop_table("scores")
    op.drop_table("snapshots")
    op.create_table(
        "snapshots",
        sa.Column("number", sa.Integer, primary_key=True),
        tenant(),
        sa.Column("snapshot_id", sa.String(64), nullable=False),
        sa.Column("turn", sa.Integer, nullable=False),
        sa.Column("as_of", sa.String(40)),
        sa.Column("published_at", sa.String(40), nullable=False),
        sa.Column("customers", sa.Integer, nullable=False),
        sa.Column("about", sa.LargeBinary, nullable=False),
        sa.Column("about_digest", sa.String(16), nullable=False),
        sa.UniqueConstraint("tenant", "snapshot_id", name="snapshots_by_id"),
        sa.UniqueConstraint("tenant", "turn", name="snapshots_by_turn"),
    )
    with op.batch_alter_table("api_keys") as keys:
        keys.add_column(sa.Column("tenant", sa.String(63), nullable=False, server_default="default"))
        keys.add_column(sa.Column("expires_at", sa.String(40)))
        keys.add_column(sa.Column("last_used_at", sa.String(40)))
        keys.create_foreign_key("api_keys_of_tenant", "tenants", ["tenant"], ["tenant"])
    with op.batch_alter_table("api_keys") as keys:
        keys.alter_column("tenant", server_default=None)
    op.create_table(
        "audit",
        sa.Column("id", ID, primary_key=True),
        tenant(),
        sa.Column("at", sa.String(40), nullable=False),
        sa.Column("actor", sa.String(100), nullable=False),
        sa.Column("action", sa.String(64), nullable=False),
        sa.Column("subject", sa.String(200), nullable=False),
        sa.Column("details", sa.Text, nullable=False),
    )
    op.create_index("audit_by_tenant", "audit", ["tenant", "id"])
    op.create_table(
        "outbox",
        sa.Column("id", ID, primary_key=True),
        tenant(),
        sa.Column("event_id", sa.String(64), nullable=False, unique=True),
        sa.Column("type", sa.String(64), nullable=False),
        sa.Column("created_at", sa.String(40), nullable=False),
        sa.Column("payload", sa.Text, nullable=False),
    )
    op.create_index("outbox_by_tenant", "outbox", ["tenant", "id"])


def downgrade() -> None:
    raise NotImplementedError("Scores lie in snapshot files from 0004 on: restore the backup made before it.")
