"""The list can be filtered by loyalty, persona, journey and open issue."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

BEFORE = ["churn_probability", "risk_tier", "clv_expected", "value_at_risk", "held_out"]
ADDED: dict[str, sa.types.TypeEngine[Any]] = {
    "loyalty_class": sa.String(16),
    "persona": sa.String(),
    "journey": sa.String(16),
    "journey_stage": sa.String(16),
    "open_issue": sa.Boolean(),
}
INDEXES = {"scores_by_value": "rank_by_value", "scores_by_probability": "rank_by_probability"}


def upgrade() -> None:
    for name, kind in ADDED.items():
        op.add_column("scores", sa.Column(name, kind))
    if op.get_context().dialect.name == "sqlite":  # elsewhere no run was ever published before this
        _fill()
    _index([*BEFORE, *ADDED])


def _fill() -> None:
    scores = sa.table("scores", sa.column("body"), sa.column("rank_by_value"), *(sa.column(name) for name in ADDED))
    document = sa.cast(scores.c.body, sa.Text)
    held = {name: sa.func.json_extract(document, f"$.{name}") for name in ADDED}
    op.execute(scores.update().where(scores.c.rank_by_value.is_not(None)).values(held))  # only they are listed


def downgrade() -> None:
    _index(BEFORE)
    for name in ADDED:
        op.drop_column("scores", name)


def _index(filtered: list[str]) -> None:
    for name, rank in INDEXES.items():
        op.drop_index(name, "scores")
        op.create_index(name, "scores", ["snapshot_number", rank, *filtered])
