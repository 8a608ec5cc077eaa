"""Cases, treatments, outcomes and what they need: notes, playbooks, entries, keys of requests, reports, erasures."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def tenant(*, key: bool = False) -> sa.Column[str]:
    return sa.Column("tenant", sa.String(63), sa.ForeignKey("tenants.tenant"), primary_key=key, nullable=False)


def upgrade() -> None:
    op.create_table(
        "cases",
        sa.Column("id", ID, primary_key=True),
        tenant(),
        sa.Column("customer_id", sa.Text, nullable=False),
        sa.Column("reason", sa.String(100), nullable=False),
        sa.Column("status", sa.String(10), nullable=False),
        sa.Column("owner", sa.String(100)),
        sa.Column("due_on", sa.String(10)),
        sa.Column("priority", sa.Float, nullable=False),
        sa.Column("next_action", sa.Text),
        sa.Column("snoozed_until", sa.String(10)),
        sa.Column("snoozed_until_event", sa.String(20)),
        sa.Column("snoozed_facts", sa.Text),
        sa.Column("playbook", sa.String(60)),
        sa.Column("step", sa.Integer),
        sa.Column("started_on", sa.String(10)),
        sa.Column("opened_at", sa.String(40), nullable=False),
        sa.Column("opened_by", sa.String(100), nullable=False),
        sa.Column("opened_in", sa.String(64)),
        sa.Column("updated_at", sa.String(40), nullable=False),
        sa.Column("updated_in", sa.String(64)),
        sa.Column("closed_at", sa.String(40)),
        sa.Column("outcome", sa.String(20)),
        sa.Column("outcome_reason", sa.Text),
        sa.Column("revision", sa.Integer, nullable=False),
    )
    op.create_index(
        "cases_one_at_a_time",
        "cases",
        ["tenant", "customer_id", "reason"],
        unique=True,
        sqlite_where=sa.text("status <> 'done'"),
        postgresql_where=sa.text("status <> 'done'"),
    )
    op.create_index("cases_by_priority", "cases", ["tenant", "status", "priority", "id"])
    op.create_index("cases_by_owner", "cases", ["tenant", "owner", "status"])
    op.create_index("cases_by_customer", "cases", ["tenant", "customer_id"])
    op.create_table(
        "case_notes",
        sa.Column("id", ID, primary_key=True),
        tenant(),
        sa.Column("case_id", ID, sa.ForeignKey("cases.id"), nullable=False),
        sa.Column("customer_id", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("author", sa.String(100), nullable=False),
        sa.Column("created_at", sa.String(40), nullable=False),
        sa.Column("pinned", sa.Boolean, nullable=False),
    )
    op.create_index("case_notes_by_case", "case_notes", ["tenant", "case_id", "id"])
    op.create_table(
        "playbooks",
        tenant(key=True),
        sa.Column("name", sa.String(60), primary_key=True),
        sa.Column("steps", sa.Text, nullable=False),
    )
    op.create_table(
        "entries",
        sa.Column("id", ID, primary_key=True),
        tenant(),
        sa.Column("customer_id", sa.Text, nullable=False),
        sa.Column("entered_at", sa.String(40), nullable=False),
        sa.Column("snapshot_id", sa.String(64), nullable=False),
        sa.Column("campaign", sa.String(100)),
        sa.Column("action", sa.String(100)),
        sa.Column("arm", sa.String(10), nullable=False),
        sa.Column("churn_probability", sa.Float),
        sa.Column("expected_value", sa.Float),
    )
    op.create_index("entries_by_customer", "entries", ["tenant", "customer_id", "entered_at"])
    op.create_table(
        "treatments",
        sa.Column("id", ID, primary_key=True),
        tenant(),
        sa.Column("customer_id", sa.Text, nullable=False),
        sa.Column("treated_at", sa.String(40), nullable=False),
        sa.Column("action", sa.String(100)),
        sa.Column("channel", sa.String(60)),
        sa.Column("campaign", sa.String(100)),
        sa.Column("cost", sa.Float),
        sa.Column("case_id", ID, sa.ForeignKey("cases.id")),
        sa.Column("happened", sa.Boolean, nullable=False),
        sa.Column("churn_probability", sa.Float),
        sa.Column("expected_value", sa.Float),
        sa.Column("recorded_at", sa.String(40), nullable=False),
        sa.Column("recorded_by", sa.String(100), nullable=False),
    )
    op.create_index("treatments_by_customer", "treatments", ["tenant", "customer_id", "treated_at"])
    op.create_index("treatments_by_case", "treatments", ["case_id"])
    op.create_table(
        "outcomes",
        sa.Column("id", ID, primary_key=True),
        tenant(),
        sa.Column("customer_id", sa.Text, nullable=False),
        sa.Column("outcome", sa.String(20), nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("occurred_at", sa.String(40), nullable=False),
        sa.Column("case_id", ID, sa.ForeignKey("cases.id")),
        sa.Column("treatment_id", ID, sa.ForeignKey("treatments.id")),
        sa.Column("recorded_at", sa.String(40), nullable=False),
        sa.Column("recorded_by", sa.String(100), nullable=False),
    )
    op.create_index("outcomes_by_customer", "outcomes", ["tenant", "customer_id", "occurred_at"])
    op.create_index("outcomes_by_treatment", "outcomes", ["treatment_id"])
    op.create_index("outcomes_by_case", "outcomes", ["case_id"])
    op.create_table(
        "idempotency_keys",
        tenant(key=True),
        sa.Column("caller", sa.String(100), primary_key=True),
        sa.Column("operation", sa.String(64), primary_key=True),
        sa.Column("key", sa.String(128), primary_key=True),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("answer", sa.Text, nullable=False),
        sa.Column("created_at", sa.String(40), nullable=False),
    )
    op.create_index("idempotency_keys_by_age", "idempotency_keys", ["created_at"])
    op.create_table(
        "reports",
        tenant(key=True),
        sa.Column("name", sa.String(60), primary_key=True),
        sa.Column("published_at", sa.String(40), nullable=False),
        sa.Column("document", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "erasures",
        tenant(key=True),
        sa.Column("hashed_id", sa.String(64), primary_key=True),
        sa.Column("erased_at", sa.String(40), nullable=False),
        sa.Column("receipt", sa.Text, nullable=False),
    )
    op.create_table(
        "erased_rows",
        tenant(key=True),
        sa.Column("snapshot_id", sa.String(64), primary_key=True),
        sa.Column("row", sa.Integer, primary_key=True),
    )


def downgrade() -> None:
    for table in (
        "erased_rows",
        "erasures",
        "reports",
        "idempotency_keys",
        "outcomes",
        "treatments",
        "entries",
        "playbooks",
        "case_notes",
        "cases",
    ):
        op.drop_table(table)
