"""What happens to customers is received, and their scores are made anew."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    number = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    op.create_table(
        "received_interactions",
        sa.Column("id", number, primary_key=True),
        sa.Column("tenant", sa.String(63), sa.ForeignKey("tenants.tenant"), nullable=False),
        sa.Column("interaction_id", sa.String(200), nullable=False),
        sa.Column("customer_id", sa.String(200), nullable=False),
        sa.Column("counts_from", sa.String(40), nullable=False),
        sa.Column("received_at", sa.String(40), nullable=False),
        sa.Column("row", sa.Text, nullable=False),
        sa.Column("export", sa.Integer),
        sa.UniqueConstraint("tenant", "interaction_id", name="received_by_id"),
    )
    op.create_index("received_by_customer", "received_interactions", ["tenant", "customer_id", "id"])
    op.create_index("received_by_time", "received_interactions", ["tenant", "counts_from"])
    op.create_index("received_by_receipt", "received_interactions", ["tenant", "received_at"])
    op.create_index("received_by_export", "received_interactions", ["tenant", "export", "id"])
    op.create_table(
        "live_scores",
        sa.Column("tenant", sa.String(63), sa.ForeignKey("tenants.tenant"), primary_key=True),
        sa.Column("customer_id", sa.String(200), primary_key=True),
        sa.Column("snapshot_id", sa.String(64), nullable=False),
        sa.Column("interactions", sa.Integer, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("changed_at", sa.String(40), nullable=False),
        sa.Column("document", sa.LargeBinary, nullable=False),
    )
    op.create_index("live_scores_by_change", "live_scores", ["tenant", "snapshot_id", "changed_at"])


def downgrade() -> None:
    op.drop_table("live_scores")
    op.drop_table("received_interactions")
