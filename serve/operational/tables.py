"""The tables of the operational database, the same in SQLite and PostgreSQL. Times are ISO 8601 in UTC, as text."""

from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

DEFAULT_TENANT = "default"

metadata = sa.MetaData()

_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")  # only INTEGER counts up by itself in SQLite


def _tenant() -> sa.Column[str]:
    return sa.Column("tenant", sa.String(63), sa.ForeignKey("tenants.tenant"), nullable=False)


# Whose customers they are. No row of another table is without one.
tenants = sa.Table(
    "tenants",
    metadata,
    sa.Column("tenant", sa.String(63), primary_key=True),
    sa.Column("created_at", sa.String(40), nullable=False),
)

# One row per snapshot file that is kept. ``turn`` counts the times a run became current within its tenant: the highest
# one is served. So one transaction switches the service to a new run.
snapshots = sa.Table(
    "snapshots",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True),
    _tenant(),
    sa.Column("snapshot_id", sa.String(64), nullable=False),
    sa.Column("turn", sa.Integer, nullable=False),
    sa.Column("as_of", sa.String(40)),
    sa.Column("published_at", sa.String(40), nullable=False),
    sa.Column("customers", sa.Integer, nullable=False),
    sa.Column("about", sa.LargeBinary, nullable=False),  # JSON: model, metrics, thresholds
    sa.Column("about_digest", sa.String(16), nullable=False),
    sa.Column("scoring", sa.Text),  # JSON: names of serve.snapshots.parts; null: nothing to score by
    sa.UniqueConstraint("tenant", "snapshot_id", name="snapshots_by_id"),
    sa.UniqueConstraint("tenant", "turn", name="snapshots_by_turn"),
)

api_keys = sa.Table(
    "api_keys",
    metadata,
    sa.Column("prefix", sa.String(16), primary_key=True),
    sa.Column("name", sa.String(100), nullable=False),
    sa.Column("digest", sa.LargeBinary(32), nullable=False),  # SHA-256 of the whole key
    sa.Column("scopes", sa.String(200), nullable=False),  # separated by spaces
    sa.Column("created_at", sa.String(40), nullable=False),
    sa.Column("revoked_at", sa.String(40)),
    _tenant(),
    sa.Column("expires_at", sa.String(40)),
    sa.Column("last_used_at", sa.String(40)),  # to the hour
    sa.Column("rate_per_second", sa.Float),  # null: as the service has it; 0: none
)

# Who changed what. ``details`` is a JSON object.
audit = sa.Table(
    "audit",
    metadata,
    sa.Column("id", _ID, primary_key=True),
    _tenant(),
    sa.Column("at", sa.String(40), nullable=False),
    sa.Column("actor", sa.String(100), nullable=False),
    sa.Column("action", sa.String(64), nullable=False),
    sa.Column("subject", sa.String(200), nullable=False),
    sa.Column("details", sa.Text, nullable=False),
    sa.Index("audit_by_tenant", "tenant", "id"),
)

# Messages to others: written in the transaction of the change, delivered afterwards. ``payload`` is JSON.
outbox = sa.Table(
    "outbox",
    metadata,
    sa.Column("id", _ID, primary_key=True),
    _tenant(),
    sa.Column("event_id", sa.String(64), nullable=False, unique=True),
    sa.Column("type", sa.String(64), nullable=False),
    sa.Column("created_at", sa.String(40), nullable=False),
    sa.Column("payload", sa.Text, nullable=False),
    sa.Index("outbox_by_tenant", "tenant", "id"),
)

# Who signs in to the desk. An e-mail address is of one person, whatever the tenant.
users = sa.Table(
    "users",
    metadata,
    sa.Column("user_id", _ID, primary_key=True),
    _tenant(),
    sa.Column("email", sa.String(200), nullable=False, unique=True),  # in lower case
    sa.Column("name", sa.String(100), nullable=False),
    sa.Column("role", sa.String(16), nullable=False),
    sa.Column("password", sa.String(200)),  # Argon2id; null: signs in elsewhere
    sa.Column("language", sa.String(8)),  # null: as the browser has it
    sa.Column("shortcuts", sa.Boolean, nullable=False),
    sa.Column("created_at", sa.String(40), nullable=False),
    sa.Column("disabled_at", sa.String(40)),
)

# Who is signed in. The browser holds the secret of which ``digest`` is the SHA-256.
sessions = sa.Table(
    "sessions",
    metadata,
    sa.Column("digest", sa.LargeBinary(32), primary_key=True),
    _tenant(),
    sa.Column("user_id", _ID, sa.ForeignKey("users.user_id"), nullable=False),
    sa.Column("created_at", sa.String(40), nullable=False),
    sa.Column("expires_at", sa.String(40), nullable=False),
    sa.Index("sessions_by_user", "user_id"),
)

# Lists that somebody gave a name: ``query`` is that of the list's address.
views = sa.Table(
    "views",
    metadata,
    sa.Column("view_id", _ID, primary_key=True),
    _tenant(),
    sa.Column("user_id", _ID, sa.ForeignKey("users.user_id"), nullable=False),
    sa.Column("name", sa.String(100), nullable=False),
    sa.Column("query", sa.Text, nullable=False),
    sa.Column("shared", sa.Boolean, nullable=False),
    sa.Column("created_at", sa.String(40), nullable=False),
    sa.Index("views_by_tenant", "tenant", "view_id"),
)


# One matter of one customer: at most one that is not done per customer and reason. Dates are ISO 8601, in UTC.
cases = sa.Table(
    "cases",
    metadata,
    sa.Column("id", _ID, primary_key=True),
    _tenant(),
    sa.Column("customer_id", sa.Text, nullable=False),
    sa.Column("reason", sa.String(100), nullable=False),
    sa.Column("status", sa.String(10), nullable=False),  # open, snoozed, done
    sa.Column("owner", sa.String(100)),
    sa.Column("due_on", sa.String(10)),
    sa.Column("priority", sa.Float, nullable=False),  # value at risk in the run that was looked at last
    sa.Column("next_action", sa.Text),
    sa.Column("snoozed_until", sa.String(10)),
    sa.Column("snoozed_until_event", sa.String(20)),
    sa.Column("snoozed_facts", sa.Text),  # JSON: what an event is recognised by
    sa.Column("playbook", sa.String(60)),
    sa.Column("step", sa.Integer),  # 0: the first
    sa.Column("started_on", sa.String(10)),  # the playbook
    sa.Column("opened_at", sa.String(40), nullable=False),
    sa.Column("opened_by", sa.String(100), nullable=False),
    sa.Column("opened_in", sa.String(64)),  # the run that opened it; null: somebody did
    sa.Column("updated_at", sa.String(40), nullable=False),
    sa.Column("updated_in", sa.String(64)),  # the run that last set its priority
    sa.Column("closed_at", sa.String(40)),
    sa.Column("outcome", sa.String(20)),
    sa.Column("outcome_reason", sa.Text),
    sa.Column("revision", sa.Integer, nullable=False),
    sa.Index(
        "cases_one_at_a_time",
        "tenant",
        "customer_id",
        "reason",
        unique=True,
        sqlite_where=sa.text("status <> 'done'"),
        postgresql_where=sa.text("status <> 'done'"),
    ),
    sa.Index("cases_by_priority", "tenant", "status", "priority", "id"),
    sa.Index("cases_by_owner", "tenant", "owner", "status"),
    sa.Index("cases_by_customer", "tenant", "customer_id"),
)

case_notes = sa.Table(
    "case_notes",
    metadata,
    sa.Column("id", _ID, primary_key=True),
    _tenant(),
    sa.Column("case_id", _ID, sa.ForeignKey("cases.id"), nullable=False),
    sa.Column("customer_id", sa.Text, nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("author", sa.String(100), nullable=False),
    sa.Column("created_at", sa.String(40), nullable=False),
    sa.Column("pinned", sa.Boolean, nullable=False),  # one of a case at most
    sa.Index("case_notes_by_case", "tenant", "case_id", "id"),
)

# Named steps, a JSON list of {"name", "after_days"}.
playbooks = sa.Table(
    "playbooks",
    metadata,
    sa.Column("tenant", sa.String(63), sa.ForeignKey("tenants.tenant"), primary_key=True),
    sa.Column("name", sa.String(60), primary_key=True),
    sa.Column("steps", sa.Text, nullable=False),
)

# Who came onto the list, or would have but for being in the control group, by one rule at one moment.
entries = sa.Table(
    "entries",
    metadata,
    sa.Column("id", _ID, primary_key=True),
    _tenant(),
    sa.Column("customer_id", sa.Text, nullable=False),
    sa.Column("entered_at", sa.String(40), nullable=False),
    sa.Column("snapshot_id", sa.String(64), nullable=False),
    sa.Column("campaign", sa.String(100)),
    sa.Column("action", sa.String(100)),
    sa.Column("arm", sa.String(10), nullable=False),  # treated, held_out
    sa.Column("churn_probability", sa.Float),
    sa.Column("expected_value", sa.Float),
    sa.Index("entries_by_customer", "tenant", "customer_id", "entered_at"),
)

# Contacts that were made.
treatments = sa.Table(
    "treatments",
    metadata,
    sa.Column("id", _ID, primary_key=True),
    _tenant(),
    sa.Column("customer_id", sa.Text, nullable=False),
    sa.Column("treated_at", sa.String(40), nullable=False),
    sa.Column("action", sa.String(100)),
    sa.Column("channel", sa.String(60)),
    sa.Column("campaign", sa.String(100)),
    sa.Column("cost", sa.Float),
    sa.Column("case_id", _ID, sa.ForeignKey("cases.id")),
    sa.Column("happened", sa.Boolean, nullable=False),  # recorded though the customer must not be contacted
    sa.Column("churn_probability", sa.Float),  # as it was known when it was recorded
    sa.Column("expected_value", sa.Float),
    sa.Column("recorded_at", sa.String(40), nullable=False),
    sa.Column("recorded_by", sa.String(100), nullable=False),
    sa.Index("treatments_by_customer", "tenant", "customer_id", "treated_at"),
    sa.Index("treatments_by_case", "case_id"),
    sa.Index("treatments_by_time", "tenant", "treated_at"),
)

# What came of contacts.
outcomes = sa.Table(
    "outcomes",
    metadata,
    sa.Column("id", _ID, primary_key=True),
    _tenant(),
    sa.Column("customer_id", sa.Text, nullable=False),
    sa.Column("outcome", sa.String(20), nullable=False),
    sa.Column("reason", sa.Text),
    sa.Column("occurred_at", sa.String(40), nullable=False),
    sa.Column("case_id", _ID, sa.ForeignKey("cases.id")),
    sa.Column("treatment_id", _ID, sa.ForeignKey("treatments.id")),
    sa.Column("recorded_at", sa.String(40), nullable=False),
    sa.Column("recorded_by", sa.String(100), nullable=False),
    sa.Index("outcomes_by_customer", "tenant", "customer_id", "occurred_at"),
    sa.Index("outcomes_by_treatment", "treatment_id"),
    sa.Index("outcomes_by_case", "case_id"),
)

# Requests that must not be carried out twice, and what was answered.
idempotency_keys = sa.Table(
    "idempotency_keys",
    metadata,
    sa.Column("tenant", sa.String(63), sa.ForeignKey("tenants.tenant"), primary_key=True),
    sa.Column("caller", sa.String(100), primary_key=True),
    sa.Column("operation", sa.String(64), primary_key=True),
    sa.Column("key", sa.String(128), primary_key=True),
    sa.Column("digest", sa.String(64), nullable=False),  # of the request
    sa.Column("answer", sa.Text, nullable=False),
    sa.Column("created_at", sa.String(40), nullable=False),
    sa.Index("idempotency_keys_by_age", "created_at"),
)

# Documents that go with a run that is kept: reports/saves.json as ``saves``.
reports = sa.Table(
    "reports",
    metadata,
    sa.Column("tenant", sa.String(63), sa.ForeignKey("tenants.tenant"), primary_key=True),
    sa.Column("snapshot_id", sa.String(64), primary_key=True),
    sa.Column("name", sa.String(60), primary_key=True),
    sa.Column("document", sa.LargeBinary, nullable=False),
)

# What a tenant has set for all its people: ``document`` is JSON.
tenant_settings = sa.Table(
    "tenant_settings",
    metadata,
    sa.Column("tenant", sa.String(63), sa.ForeignKey("tenants.tenant"), primary_key=True),
    sa.Column("name", sa.String(60), primary_key=True),
    sa.Column("document", sa.Text, nullable=False),
)

# Files of outcomes that somebody sent, for a day.
imports = sa.Table(
    "imports",
    metadata,
    sa.Column("import_id", sa.String(32), primary_key=True),
    _tenant(),
    sa.Column("user_id", _ID, sa.ForeignKey("users.user_id"), nullable=False),
    sa.Column("file_name", sa.String(200), nullable=False),
    sa.Column("content", sa.LargeBinary, nullable=False),
    sa.Column("created_at", sa.String(40), nullable=False),
    sa.Index("imports_by_age", "created_at"),
)

# Views that somebody wants to hear of: the whole list (``digest``) or who entered it (``entered``), at an hour of days
# in a time zone. ``reported_in`` is the run that was reported last.
subscriptions = sa.Table(
    "subscriptions",
    metadata,
    sa.Column("subscription_id", _ID, primary_key=True),
    _tenant(),
    sa.Column("user_id", _ID, sa.ForeignKey("users.user_id"), nullable=False),
    sa.Column("view_id", _ID, sa.ForeignKey("views.view_id", ondelete="CASCADE"), nullable=False),
    sa.Column("kind", sa.String(10), nullable=False),
    sa.Column("days", sa.String(7), nullable=False),  # of the week, 1 for Monday: 12345
    sa.Column("hour", sa.Integer, nullable=False),
    sa.Column("time_zone", sa.String(60), nullable=False),
    sa.Column("reported_at", sa.String(40)),
    sa.Column("reported_in", sa.String(64)),
    sa.Column("created_at", sa.String(40), nullable=False),
    sa.UniqueConstraint("user_id", "view_id", "kind", name="subscriptions_once"),
)

# Who was erased: a keyed hash of the id, never the id.
erasures = sa.Table(
    "erasures",
    metadata,
    sa.Column("tenant", sa.String(63), sa.ForeignKey("tenants.tenant"), primary_key=True),
    sa.Column("hashed_id", sa.String(64), primary_key=True),
    sa.Column("erased_at", sa.String(40), nullable=False),
    sa.Column("receipt", sa.Text, nullable=False),  # JSON: what was removed where
)

# Where kept snapshots still hold somebody who was erased: the row of the scores file.
erased_rows = sa.Table(
    "erased_rows",
    metadata,
    sa.Column("tenant", sa.String(63), sa.ForeignKey("tenants.tenant"), primary_key=True),
    sa.Column("snapshot_id", sa.String(64), primary_key=True),
    sa.Column("row", sa.Integer, primary_key=True),
)

# Where messages are sent. ``types`` has blanks around every type. Endpoints that failed for long are disabled.
webhooks = sa.Table(
    "webhooks",
    metadata,
    sa.Column("id", sa.String(40), primary_key=True),
    _tenant(),
    sa.Column("url", sa.Text, nullable=False),
    sa.Column("types", sa.Text, nullable=False),
    sa.Column("description", sa.Text),
    sa.Column("secret", sa.Text, nullable=False),
    sa.Column("previous_secret", sa.Text),  # signs too, until then
    sa.Column("previous_until", sa.String(40)),
    sa.Column("created_at", sa.String(40), nullable=False),
    sa.Column("created_by", sa.String(100), nullable=False),
    sa.Column("failures", sa.Integer, nullable=False),  # since it last took a message
    sa.Column("failing_since", sa.String(40)),
    sa.Column("paused_until", sa.String(40)),
    sa.Column("disabled_at", sa.String(40)),
    sa.Column("disabled_because", sa.Text),
    sa.Index("webhooks_by_tenant", "tenant", "id"),
)

# A message of the outbox for one endpoint. Who holds the lease may send it; a lease ends by itself.
deliveries = sa.Table(
    "deliveries",
    metadata,
    sa.Column("id", _ID, primary_key=True),
    _tenant(),
    sa.Column("webhook_id", sa.String(40), sa.ForeignKey("webhooks.id"), nullable=False),
    sa.Column("event_id", sa.String(64), sa.ForeignKey("outbox.event_id"), nullable=False),
    sa.Column("state", sa.String(10), nullable=False),  # pending, delivered, failed
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("queued_at", sa.String(40), nullable=False),
    sa.Column("due_at", sa.String(40), nullable=False),
    sa.Column("lease", sa.String(32)),
    sa.Column("lease_until", sa.String(40)),
    sa.Column("tried_at", sa.String(40)),
    sa.Column("status", sa.Integer),  # of the last answer
    sa.Column("error", sa.Text),  # why there was none
    sa.UniqueConstraint("webhook_id", "event_id", name="deliveries_once"),
    sa.Index("deliveries_due", "state", "due_at"),
    sa.Index("deliveries_by_event", "event_id"),
)


# What happened to customers, as it was received: rows of the contract of interactions. ``counts_from`` is the later of
# when it happened and when it was known. Times of this table and the next are to the microsecond.
received_interactions = sa.Table(
    "received_interactions",
    metadata,
    sa.Column("id", _ID, primary_key=True),
    _tenant(),
    sa.Column("interaction_id", sa.String(200), nullable=False),
    sa.Column("customer_id", sa.String(200), nullable=False),
    sa.Column("counts_from", sa.String(40), nullable=False),
    sa.Column("received_at", sa.String(40), nullable=False),
    sa.Column("row", sa.Text, nullable=False),  # JSON: all columns that came
    sa.Column("export", sa.Integer),  # the number of the export that has it; null: none yet
    sa.UniqueConstraint("tenant", "interaction_id", name="received_by_id"),
    sa.Index("received_by_customer", "tenant", "customer_id", "id"),
    sa.Index("received_by_time", "tenant", "counts_from"),
    sa.Index("received_by_receipt", "tenant", "received_at"),
    sa.Index("received_by_export", "tenant", "export", "id"),
)

# Exports of which interactions were taken out here, as files and kept runs hold them (`serve.prune_interactions`).
received_exports = sa.Table(
    "received_exports",
    metadata,
    sa.Column("tenant", sa.String(63), sa.ForeignKey("tenants.tenant"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("pruned", sa.Integer, nullable=False),
)

# The latest score that was made anew for a customer, upon a snapshot and so many received interactions.
live_scores = sa.Table(
    "live_scores",
    metadata,
    sa.Column("tenant", sa.String(63), sa.ForeignKey("tenants.tenant"), primary_key=True),
    sa.Column("customer_id", sa.String(200), primary_key=True),
    sa.Column("snapshot_id", sa.String(64), nullable=False),
    sa.Column("interactions", sa.Integer, nullable=False),
    sa.Column("revision", sa.Integer, nullable=False),
    sa.Column("changed_at", sa.String(40), nullable=False),
    sa.Column("document", sa.LargeBinary, nullable=False),
    sa.Index("live_scores_by_change", "tenant", "snapshot_id", "changed_at"),
)


def now() -> str:
    """The present time, as it is stored."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def precisely(at: datetime) -> str:
    """A time to the microsecond, as it is stored where order counts."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def from_now(*, days: float = 0, hours: float = 0) -> str:
    """A later time, or an earlier one, as it is stored."""
    return (datetime.now(UTC) + timedelta(days=days, hours=hours)).strftime("%Y-%m-%dT%H:%M:%SZ")
