"""Treatments are found by their time: who was contacted lately."""

from alembic import op

revision = "0023"
down_revision = "0022"


def upgrade() -> None:
    op.create_index("treatments_by_time", "treatments", ["tenant", "treated_at"])


def downgrade() -> None:
    op.drop_index("treatments_by_time", "treatments")
