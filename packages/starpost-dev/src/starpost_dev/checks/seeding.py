"""Rows for every table of an application, which PostgreSQL makes from the columns' types.

The values serve statistics and plans, not readers: each text is another one, and a foreign key has a thousand values.
"""

from collections.abc import Iterator
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

PARENTS: Final = 1_000
"""Rows to which those of another table refer: of a hundred thousand, each has a hundred."""

WORD: Final = "row"
"""Word of every text that is long enough."""

_NONE: Final = "NULL"
_VALUES: Final[tuple[tuple[type[Any], str], ...]] = (
    (sa.Boolean, "{n} % 2 = 0"),
    (sa.SmallInteger, "{n} % 32768"),
    (sa.Integer, "{n}"),
    (sa.Float, "{n} + 0.5"),
    (sa.Uuid, "md5({n}::text)::uuid"),
    (sa.DateTime, "timestamptz '2020-01-01' + {n} * interval '1 minute'"),
    (sa.Date, "date '2020-01-01' + ({n} % 3650)::integer"),
    (sa.Time, "time '00:00' + {n} * interval '1 second'"),
    (sa.LargeBinary, "decode(md5({n}::text), 'hex')"),
    (sa.JSON, "'{}'"),
    (sa.ARRAY, "'{}'"),
)
"""Expressions by type, the first that fits, with the row's number."""

_CONSTRAINTS: Final = sa.text("""
SELECT quote_ident(conname), contype = 'c', pg_get_constraintdef(oid)
FROM pg_constraint WHERE conrelid = CAST(:name AS regclass)
AND (contype = 'c' OR contype IN ('u', 'x') AND condeferrable)
""")
"""Checks, and what is unique at the end of a transaction: each with its definition."""

_INDEXES: Final = sa.text("""
SELECT CAST(CAST(indexrelid AS regclass) AS text), pg_get_indexdef(indexrelid)
FROM pg_index WHERE indrelid = CAST(:name AS regclass)
AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid)
""")
"""Indexes that no constraint needs, each with the statement that makes it."""

_identifiers: Final = postgresql.dialect().identifier_preparer  # type: ignore[no-untyped-call]


async def fill(connection: AsyncConnection, metadata: sa.MetaData, rows: int) -> None:
    """Fill the empty tables, those that others refer to first, and let PostgreSQL analyze them.

    Check constraints are dropped, as they do not say which values are right. A column whose type has no value here is
    NULL. A table has fewer rows where its values have to differ, and cannot.

    Args:
        connection: Commits each statement.
        metadata: The tables.
        rows: Of each table.
    """
    # The references are right by themselves.
    await connection.exec_driver_sql("SET session_replication_role = replica")
    for table in metadata.sorted_tables:
        await _fill_table(connection, table, rows)
    await connection.exec_driver_sql("VACUUM ANALYZE")


async def _fill_table(connection: AsyncConnection, table: sa.Table, rows: int) -> None:
    name = _identifiers.format_table(table)
    for constraint, is_check, definition in await connection.execute(_CONSTRAINTS, {"name": name}):
        await connection.exec_driver_sql(f"ALTER TABLE {name} DROP CONSTRAINT {constraint}")
        if not is_check:
            # `ON CONFLICT` is about constraints that hold at once.
            at_once = definition.partition(" DEFERRABLE")[0]
            await connection.exec_driver_sql(f"ALTER TABLE {name} ADD CONSTRAINT {constraint} {at_once}")
    values = {column: _value(column, "n") for column in _without_default(table)}
    for column in (column for column, value in values.items() if value == _NONE):
        await connection.exec_driver_sql(f"ALTER TABLE {name} ALTER {_identifiers.quote(column.name)} DROP NOT NULL")
    # An index is made of rows in a fraction of the time in which it grows with them.
    indexes = list(await connection.execute(_INDEXES, {"name": name}))
    for index, _ in indexes:
        await connection.exec_driver_sql(f"DROP INDEX {index}")
    made: Any = sa.select(*map(sa.literal_column, values.values())).select_from(
        sa.func.generate_series(1, rows).alias("n")
    )
    await connection.execute(
        insert(table).from_select(list(values), made, include_defaults=False).on_conflict_do_nothing()
    )
    for _, definition in indexes:
        await connection.exec_driver_sql(definition)


def _without_default(table: sa.Table) -> Iterator[sa.Column[Any]]:
    for column in table.columns:
        if column.identity is None and column.server_default is None and column.computed is None:
            yield column


def _value(column: sa.Column[Any], number: str) -> str:
    """Return an expression for the value of a column in the row of a number."""
    kind = column.type
    target = next(iter(column.foreign_keys), None)
    if target is not None:
        return _value(target.column, number if column.unique or column.primary_key else f"(1 + {number} % {PARENTS})")
    if isinstance(kind, sa.Enum):
        labels = ", ".join(f"'{label}'" for label in kind.enums)
        return f"((ARRAY[{labels}])[1 + {number} % {len(kind.enums)}])::{kind.compile(postgresql.dialect())}"  # type: ignore[no-untyped-call]
    if isinstance(kind, sa.Numeric) and not isinstance(kind, sa.Float):
        return f"{number} % {10 ** min((kind.precision or 18) - (kind.scale or 0), 18)}"
    if isinstance(kind, sa.String):
        text = f"md5({number}::text) || ' {WORD} ' || {number}"
        return text if kind.length is None else f"left({text}, {kind.length})"
    template = next((value for known, value in _VALUES if isinstance(kind, known)), _NONE)
    return template.replace("{n}", number)
