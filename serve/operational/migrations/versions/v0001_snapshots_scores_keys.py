"""Snapshots, their scores, and API keys."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

FILTERED = ["churn_probability", "risk_tier", "clv_expected", "value_at_risk", "held_out"]


def upgrade() -> None:
    op.create_table(
        "snapshots",
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("snapshot_id", sa.String(64), nullable=False, unique=True),
        sa.Column("turn", sa.Integer, unique=True),
        sa.Column("as_of", sa.String(40)),
        sa.Column("published_at", sa.String(40)),
        sa.Column("customers", sa.Integer, nullable=False),
        sa.Column("about", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "scores",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("snapshot_number", sa.Integer, sa.ForeignKey("snapshots.number"), nullable=False),
        sa.Column("customer_id", sa.String, nullable=False),
        sa.Column("churn_probability", sa.Float),
        sa.Column("risk_tier", sa.String(16)),
        sa.Column("clv_expected", sa.Float),
        sa.Column("value_at_risk", sa.Float),
        sa.Column("held_out", sa.Boolean),
        sa.Column("rank_by_value", sa.Integer),
        sa.Column("rank_by_probability", sa.Integer),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    op.create_index("scores_by_customer", "scores", ["snapshot_number", "customer_id"], unique=True)
    op.create_index("scores_by_value", "scores", ["snapshot_number", "rank_by_value", *FILTERED])
    op.create_index("scores_by_probability", "scores", ["snapshot_number", "rank_by_probability", *FILTERED])
    op.create_table(
        "api_keys",
        sa.Column("prefix", sa.String(16), primary_key=True),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("digest", sa.LargeBinary(32), nullable=False),
        sa.Column("scopes", sa.String(200), nullable=False),
        sa.Column("created_at", sa.String(40), nullable=False),
        sa.Column("revoked_at", sa.String(40)),
    )


def downgrade() -> None:
    for table in ("api_keys", "scores", "snapshots"):
        op.drop_table(table)
