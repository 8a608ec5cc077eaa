"""A snapshot names the folders that it is scored by."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0020"


def upgrade() -> None:
    op.add_column("snapshots", sa.Column("scoring", sa.Text))


def downgrade() -> None:
    op.drop_column("snapshots", "scoring")
