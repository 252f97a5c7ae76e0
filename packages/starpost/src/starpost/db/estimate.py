"""Number of rows as the planner estimates it, which costs the same for every size of a table."""

from typing import Any

import msgspec
from sqlalchemy import BigInteger, Executable, Integer, case, cast, column, func, literal_column, select, table
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql import ClauseElement
from sqlalchemy.sql.compiler import SQLCompiler

from starpost.db.model import BaseModel
from starpost.db.statement import AnySelect

EXPLAIN = "EXPLAIN (FORMAT JSON) "
"""Before a statement: PostgreSQL answers with its plan, and does not run it."""

_quote = postgresql.dialect().identifier_preparer.format_table  # type: ignore[no-untyped-call]
_pg_class: Any = table("pg_class", column("oid"), column("reltuples"), column("relpages"))


class _Plan(msgspec.Struct, rename={"rows": "Plan Rows"}):
    rows: int


class _Explained(msgspec.Struct, rename={"plan": "Plan"}):
    plan: _Plan


class Explain(Executable, ClauseElement):
    """Statement that is explained, in SQLAlchemy's way. Its one column goes to ``planned_rows``."""

    # Compiled for each call.
    inherit_cache = False

    def __init__(self, clause: AnySelect) -> None:
        self.clause = clause


@compiles(Explain)
def _compile_explain(explain: Explain, compiler: SQLCompiler, **options: Any) -> str:
    return EXPLAIN + compiler.process(explain.clause, **options)


def planned_rows(plan: Any) -> int:
    """Return the number of rows that the explained statement is expected to have."""
    (explained,) = msgspec.convert(plan, tuple[_Explained])
    return explained.plan.rows


def size_clause(model: type[BaseModel]) -> AnySelect:
    """Select the number of rows of a table: that of the last VACUUM or ANALYZE, scaled to the present size.

    NULL for a table that was never analyzed, and for one with partitions.
    Source: ``estimate_rel_size`` in ``src/backend/optimizer/util/plancat.c``.
    """
    name = _quote(model.__table__).replace("'", "''")
    # Literals: each page would have to send parameters.
    block_size = cast(func.current_setting(literal_column("'block_size'")), Integer)
    pages = func.pg_relation_size(_pg_class.c.oid) / block_size
    rows = cast(_pg_class.c.reltuples / _pg_class.c.relpages * pages, BigInteger)
    is_analyzed = (_pg_class.c.relpages > literal_column("0")) & (_pg_class.c.reltuples >= literal_column("0"))
    return select(case((is_analyzed, rows))).where(_pg_class.c.oid == literal_column(f"'{name}'::regclass"))
