"""The list leaves out customers who must not be contacted; null for runs published before, which lack the reason."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

BEFORE = [
    "churn_probability", "risk_tier", "clv_expected", "value_at_risk", "held_out",
    "loyalty_class", "persona", "journey", "journey_stage", "open_issue",
]  # fmt: skip
AFTER = [*BEFORE[:5], "suppression_reason", *BEFORE[5:]]
INDEXES = {"scores_by_value": "rank_by_value", "scores_by_probability": "rank_by_probability"}


def upgrade() -> None:
    op.add_column("scores", sa.Column("suppression_reason", sa.String(32)))
    _index(AFTER)


def downgrade() -> None:
    _index(BEFORE)
    op.drop_column("scores", "suppression_reason")


def _index(filtered: list[str]) -> None:
    for name, rank in INDEXES.items():
        op.drop_index(name, "scores")
        op.create_index(name, "scores", ["snapshot_number", rank, *filtered])
