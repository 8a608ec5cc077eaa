"""A key may have a rate of its own."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0004"


def upgrade() -> None:
    op.add_column("api_keys", sa.Column("rate_per_second", sa.Float))


def downgrade() -> None:
    op.drop_column("api_keys", "rate_per_second")
