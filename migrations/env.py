"""Run by Alembic for each command of ``starpost.db.migrate``, which holds the lock and gives the connection."""

from importlib import import_module
from pkgutil import walk_packages

from advanced_alchemy.base import metadata_registry
from alembic import context

import app.domains
from starpost.db.operations import autogenerate_options


def load_models() -> None:
    """Import every domain's ``models``, so that the metadata knows all tables."""
    for module in walk_packages(app.domains.__path__, prefix="app.domains."):
        if module.name.rpartition(".")[2] == "models":
            import_module(module.name)


load_models()
config = context.config
connection = config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=metadata_registry.get(None),
    version_table=config.version_table_name,  # type: ignore[attr-defined]  # advanced-alchemy's config
    **autogenerate_options(connection),
    compare_type=True,
    compare_server_default=True,
    # One migration that fails leaves those before it in place and nothing of itself behind.
    transaction_per_migration=True,
)
with context.begin_transaction():
    context.run_migrations()
