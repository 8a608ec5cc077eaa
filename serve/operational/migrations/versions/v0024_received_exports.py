"""Received interactions that the pipeline has are taken out; how many of each export stays known."""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"


def upgrade() -> None:
    op.create_table(
        "received_exports",
        sa.Column("tenant", sa.String(63), sa.ForeignKey("tenants.tenant"), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("pruned", sa.Integer, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("received_exports")
