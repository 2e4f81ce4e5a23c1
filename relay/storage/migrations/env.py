"""Alembic's entry: run the migrations on the connection that `relay.storage.schema` hands over, inside its transaction."""

from alembic import context

from relay.storage.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
