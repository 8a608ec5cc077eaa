"""How Alembic runs here: inside the transaction that ``Database.migrate`` has begun."""

from alembic import context

from fedelta.serve.operational.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
