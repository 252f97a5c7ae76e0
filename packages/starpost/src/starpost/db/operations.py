"""Operations for migrations: the indexes of ``searchable`` columns.

A migration makes the columns, then their indexes::

    create_search_indexes("review", "title")

``migrations/env.py`` gives ``autogenerate_options(connection)`` to Alembic, which then writes such migrations itself.
"""

from collections.abc import Sequence
from typing import Any, Final

import structlog
from alembic import op
from alembic.autogenerate import renderers
from alembic.autogenerate.api import AutogenContext
from alembic.operations import ops
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from starpost.db.search import (
    BEGINNING,
    BEGINNINGS,
    EXTENSION,
    MIN_PART,
    TRIGRAMS,
    has_extension,
    index_names,
    needed_extension,
)

_log = structlog.get_logger(__name__)

_NOT_POSSIBLE: Final = {
    "0A000",  # feature_not_supported: the server has not the extension
    "58P01",  # undefined_file: the same, before PostgreSQL 16
    "42501",  # insufficient_privilege
}


def create_search_indexes(table: str, column: str) -> None:
    """Make the indexes of a searchable column that are not there.

    Without ``pg_trgm``, and without the right to create the extension, the trigram index is left out and the log says
    so: the search then reads the whole table.
    """
    begins, contains = index_names(table, column)
    beginning = text(f'lower("left"("{column}", {MIN_PART - 1})) {BEGINNINGS}')
    op.create_index(begins, table, [beginning], if_not_exists=True)
    reason = _create_extension(op.get_bind())
    if reason is None:
        op.create_index(
            contains,
            table,
            [column],
            if_not_exists=True,
            postgresql_using="gin",
            postgresql_ops={column: TRIGRAMS},
        )
    else:
        _log.warning("search_index_left_out", index=contains, reason=reason)


def drop_search_indexes(table: str, column: str) -> None:
    """Remove what ``create_search_indexes`` has made. The extension stays: others may use it."""
    for name in index_names(table, column):
        op.drop_index(name, table_name=table, if_exists=True)


def autogenerate_options(connection: Connection) -> dict[str, Any]:
    """Return options of Alembic's ``context.configure``, for ``migrations/env.py``.

    An index whose extension this database does not have is not missing, and a written migration makes the indexes of a
    searchable column by the operations of this module.
    """

    def include(item: Any, _name: str | None, kind: str, is_reflected: bool, _other: Any) -> bool:
        # Asked here, and not before: a query begins a transaction, which Alembic would then not commit.
        needed = None if kind != "index" or is_reflected else needed_extension(item)
        return needed is None or has_extension(connection, needed)

    return {"include_object": include, "process_revision_directives": _rewrite}


class _SearchIndexes(ops.MigrateOperation):
    """Operation of a written migration; only rendered."""

    def __init__(self, function: str, table: str, column: str) -> None:
        self.function = function
        self.call = f'{function}("{table}", "{column}")'


@renderers.dispatch_for(_SearchIndexes)
def _render(context: AutogenContext, operation: _SearchIndexes) -> str:
    context.imports.add(f"from starpost.db.operations import {operation.function}")
    return operation.call


def _rewrite(_context: Any, _revision: Any, scripts: Sequence[ops.MigrationScript]) -> None:
    """Make one operation of the indexes of each searchable column."""
    for script in scripts:
        for operations in (*script.upgrade_ops_list, *script.downgrade_ops_list):
            _merge(operations, set())


def _merge(container: ops.OpContainer, done: set[tuple[str, str]]) -> None:
    merged: list[ops.MigrateOperation] = []
    for operation in container.ops:
        column = _searchable_column(operation)
        if isinstance(operation, ops.OpContainer):
            _merge(operation, done)
        if column is None:
            merged.append(operation)
        elif column not in done:
            done.add(column)
            is_new = isinstance(operation, ops.CreateIndexOp)
            merged.append(_SearchIndexes("create_search_indexes" if is_new else "drop_search_indexes", *column))
    container.ops[:] = merged


def _searchable_column(operation: ops.MigrateOperation) -> tuple[str, str] | None:
    """Return table and column if the operation makes or removes an index of a searchable column."""
    if not isinstance(operation, ops.CreateIndexOp | ops.DropIndexOp):
        return None
    table = str(operation.table_name)
    for key, operator in operation.kw.get("postgresql_ops", {}).items():
        column = str(key).removeprefix(BEGINNING)
        if operator in {BEGINNINGS, TRIGRAMS} and operation.index_name in index_names(table, column):
            return table, column
    return None


def _create_extension(connection: Connection) -> str | None:
    """Create the extension if it is missing; return why that is not possible."""
    if has_extension(connection, EXTENSION):
        return None
    try:
        with connection.begin_nested():
            connection.execute(text(f"CREATE EXTENSION {EXTENSION}"))
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) not in _NOT_POSSIBLE:
            raise
        return str(error.orig)
    return None
