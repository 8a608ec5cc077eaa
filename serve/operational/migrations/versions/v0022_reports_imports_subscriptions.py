"""Reports belong to a run; settings of a tenant, files of outcomes, views that somebody wants to hear of."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0013"

ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def tenant(*, key: bool = False) -> sa.Column[str]:
    return sa.Column("tenant", sa.String(63), sa.ForeignKey("tenants.tenant"), primary_key=key, nullable=False)


def user() -> sa.Column[int]:
    return sa.Column("user_id", ID, sa.ForeignKey("users.user_id"), nullable=False)


def upgrade() -> None:
    op.drop_table("reports")  # the next publish brings them again
    op.create_table(
        "reports",
        tenant(key=True),
        sa.Column("snapshot_id", sa.String(64), primary_key=True),
        sa.Column("name", sa.String(60), primary_key=True),
        sa.Column("document", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "tenant_settings",
        tenant(key=True),
        sa.Column("name", sa.String(60), primary_key=True),
        sa.Column("document", sa.Text, nullable=False),
    )
    op.create_table(
        "imports",
        sa.Column("import_id", sa.String(32), primary_key=True),
        tenant(),
        user(),
        sa.Column("file_name", sa.String(200), nullable=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
        sa.Column("created_at", sa.String(40), nullable=False),
    )
    op.create_index("imports_by_age", "imports", ["created_at"])
    op.create_table(
        "subscriptions",
        sa.Column("subscription_id", ID, primary_key=True),
        tenant(),
        user(),
        sa.Column("view_id", ID, sa.ForeignKey("views.view_id", ondelete="CASCADE"), nullable=False),
        sa.Column("kind", sa.String(10), nullable=False),
        sa.Column("days", sa.String(7), nullable=False),
        sa.Column("hour", sa.Integer, nullable=False),
        sa.Column("time_zone", sa.String(60), nullable=False),
        sa.Column("reported_at", sa.String(40)),
        sa.Column("reported_in", sa.String(64)),
        sa.Column("created_at", sa.String(40), nullable=False),
        sa.UniqueConstraint("user_id", "view_id", "kind", name="subscriptions_once"),
    )


def downgrade() -> None:
    for table in ("subscriptions", "imports", "tenant_settings", "reports"):
        op.drop_table(table)
    op.create_table(
        "reports",
        tenant(key=True),
        sa.Column("name", sa.String(60), primary_key=True),
        sa.Column("published_at", sa.String(40), nullable=False),
        sa.Column("document", sa.LargeBinary, nullable=False),
    )
