"""Alembic's entry: `citydata.deploy` passes an open connection and commits by itself."""

from alembic import context

connection = context.config.attributes["connection"]
context.configure(
    connection=connection, version_table="schema_version", version_table_schema="ops", include_schemas=True
)
context.run_migrations()
