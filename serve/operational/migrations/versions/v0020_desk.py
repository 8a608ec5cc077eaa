"""People sign in to the desk, and give lists names."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0010"

ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def tenant() -> sa.Column[str]:
    return sa.Column("tenant", sa.String(63), sa.ForeignKey("tenants.tenant"), nullable=False)


def user() -> sa.Column[int]:
    return sa.Column("user_id", ID, sa.ForeignKey("users.user_id"), nullable=False)


def upgrade() -> None:
    op.create_table(
        "users",
        sa.Column("user_id", ID, primary_key=True),
        tenant(),
        sa.Column("email", sa.String(200), nullable=False, unique=True),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("password", sa.String(200)),
        sa.Column("language", sa.String(8)),
        sa.Column("shortcuts", sa.Boolean, nullable=False),
        sa.Column("created_at", sa.String(40), nullable=False),
        sa.Column("disabled_at", sa.String(40)),
    )
    op.create_table(
        "sessions",
        sa.Column("digest", sa.LargeBinary(32), primary_key=True),
        tenant(),
        user(),
        sa.Column("created_at", sa.String(40), nullable=False),
        sa.Column("expires_at", sa.String(40), nullable=False),
    )
    op.create_index("sessions_by_user", "sessions", ["user_id"])
    op.create_table(
        "views",
        sa.Column("view_id", ID, primary_key=True),
        tenant(),
        user(),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("query", sa.Text, nullable=False),
        sa.Column("shared", sa.Boolean, nullable=False),
        sa.Column("created_at", sa.String(40), nullable=False),
    )
    op.create_index("views_by_tenant", "views", ["tenant", "view_id"])


def downgrade() -> None:
    for table in ("views", "sessions", "users"):
        op.drop_table(table)
