"""Run by Alembic for each command of ``starpost.db.migrate``."""

from alembic import context

from tests.specimen.domains.authors.models import SpecimenAuthor

config = context.config
context.configure(
    connection=config.attributes["connection"],
    target_metadata=SpecimenAuthor.metadata,
    version_table=config.version_table_name,  # type: ignore[attr-defined]  # advanced-alchemy's config
    compare_type=True,
    compare_server_default=True,
    transaction_per_migration=True,
)
with context.begin_transaction():
    context.run_migrations()
