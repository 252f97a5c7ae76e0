"""Execution of single statements and pages: no transaction, no ORM objects, one round trip.

PostgreSQL runs a single statement as a transaction of its own, so it takes one round trip in place of three for
``BEGIN``, statement and ``COMMIT``. Several statements that belong together need a ``UnitOfWork``.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import msgspec
from msgspec import UNSET, UnsetType

from starpost.db import cursor as cursors
from starpost.db.database import Database
from starpost.db.estimate import EXPLAIN, Explain, planned_rows
from starpost.db.filters import IS_PLANNED, Condition, parse, words_of
from starpost.db.model import BaseModel
from starpost.db.pagination import (
    COUNT_LIMIT,
    MAX_OFFSET,
    ApplyFilters,
    Ordering,
    Shape,
    count_clause,
    count_statement,
    keyset_clause,
    keyset_statement,
    matching_clause,
    matching_statement,
    offset_clause,
    offset_statement,
    require_page,
    search_statement,
)
from starpost.db.statement import AnySelect, CompiledStatement, Statement
from starpost.errors import NotFoundError
from starpost.protocol.pages import CursorMeta, OffsetMeta, Page

FEW = 20_000
"""Rows with a word, all of which a list may read for a page of those that have the other words, too: in some 20 ms."""
MUCH_RARER = 10
"""Ratio of two words' rows from which a search by the rarer one alone pays for the question which one it is."""

T = TypeVar("T")
S = TypeVar("S", bound=msgspec.Struct)


class Statements:
    """Executor of single statements. Each is committed when its call returns, before the reply is sent.

    May be shared, since it holds no connection between calls. ``translate`` knows every database error that calls
    raise.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._compiled: WeakKeyDictionary[Statement[Any], CompiledStatement[Any]] = WeakKeyDictionary()

    async def all(self, statement: Statement[T], /, **parameters: Any) -> list[T]:
        """Return every row.

        Raises:
            TypeError: A parameter is missing or unknown.
        """
        compiled = self._compile(statement)
        return compiled.rows(await self._database.fetch(compiled.sql, *compiled.arguments(parameters)))

    async def one_or_none(self, statement: Statement[T], /, **parameters: Any) -> T | None:
        """Return the first row; ``None`` if there is none.

        Raises:
            TypeError: A parameter is missing or unknown.
        """
        rows = await self.all(statement, **parameters)
        return rows[0] if rows else None

    async def one(self, statement: Statement[T], /, **parameters: Any) -> T:
        """Return the first row.

        Raises:
            NotFoundError: There is none; the message is the statement's ``missing``.
            TypeError: A parameter is missing or unknown.
        """
        rows = await self.all(statement, **parameters)
        if not rows:
            raise NotFoundError(statement.missing)
        return rows[0]

    async def get_paginated_results(
        self,
        model: type[BaseModel],
        *,
        view: type[S],
        page: int | UnsetType = UNSET,
        per_page: int | UnsetType = UNSET,
        filters: Mapping[str, Any] | None = None,
        apply_filters: ApplyFilters | None = None,
        order_by: Sequence[str] = (),
        count_limit: int | None = COUNT_LIMIT,
        max_offset: int | None = MAX_OFFSET,
    ) -> Page[S]:
        """Return one page of a table and the number of all rows, in one statement.

        The total is exact up to ``count_limit``, then the planner's estimate, and ``total_is_exact`` is false. A second
        statement is needed for the estimate if there are filters, and for the total of a page after the last, which is
        empty.

        Args:
            model: The table.
            view: The struct that a row becomes; its fields are the columns that are read.
            page: Counts from 1, which is also the default.
            per_page: 1 to 100; the default is ``DEFAULT_PAGE_SIZE``. ``msgspec.UNSET`` means the default, here as for
                ``page``, so that members of a payload can be passed on.
            filters: By column: a string means contained, ignoring case (``%`` and ``_`` are literal), a list IN,
                ``None`` IS NULL, any other value equality; ``msgspec.UNSET`` means no filter.
            apply_filters: Adds conditions or joins to the ``select``. SQLAlchemy then compiles the statement, or takes
                it from its cache.
            order_by: Column names, descending with a ``-``. The primary key is always added, which makes the order
                stable.
            count_limit: Number of rows that are counted; ``None`` counts all, in a time that grows with the table.
            max_offset: Number of rows that a page may skip; ``None`` for any, in a time that grows with the offset.

        Raises:
            InvalidDataError: ``page`` or ``per_page`` is out of bounds, the page skips too many rows, or ``filters``
                has an unknown column or a value of another type; the error names every one.
        """
        page = 1 if page is UNSET else page
        per_page = self._database.default_page_size if per_page is UNSET else per_page
        require_page(page, per_page, max_offset)
        offset = (page - 1) * per_page
        ordering = Ordering.of(model, tuple(order_by))
        shape, parameters = parse(model, filters)
        # One row more than is counted tells that there are more.
        counting = {**parameters, "count_limit": None if count_limit is None else count_limit + 1}
        limits = {**counting, "row_limit": per_page, "row_offset": offset}
        if apply_filters is None:
            if count_limit is not None and any(condition.is_search for condition in shape):
                narrowed, words = await self._narrow(model, shape, parameters)
                rows = await self._values(search_statement(model, view, ordering, shape, narrowed), {**limits, **words})
            else:
                rows = await self._values(offset_statement(model, view, ordering, shape), limits)
        else:
            rows = await self._select(offset_clause(model, view, ordering, shape, apply_filters), limits)
        items = [view(*row[:-1]) for row in rows]
        total: int | None = rows[0][-1] if rows else 0
        if not rows and page > 1:
            total = await self._count(model, shape, apply_filters, counting)
        if total is not None and total >= 0 and (count_limit is None or total <= count_limit):
            return Page(items, OffsetMeta.of(page, per_page, total))
        if 0 < len(rows) < per_page:
            return Page(items, OffsetMeta.of(page, per_page, offset + len(rows)))
        if total is None or total >= 0:
            estimate = await self._estimate(model, shape, apply_filters, parameters)
        else:
            estimate = -total
        total = max(estimate, (count_limit or 0) + 1, offset + len(rows))
        return Page(items, OffsetMeta.of(page, per_page, total if rows else min(total, offset), total_is_exact=False))

    async def get_cursor_results(
        self,
        model: type[BaseModel],
        *,
        view: type[S],
        cursor: str = "",
        per_page: int | UnsetType = UNSET,
        filters: Mapping[str, Any] | None = None,
        apply_filters: ApplyFilters | None = None,
        order_by: Sequence[str] = (),
    ) -> Page[S]:
        """Return the rows after a cursor. Every page costs the same, however deep, and there is no total.

        Rows that are inserted or deleted meanwhile neither repeat nor hide others.

        Args:
            model: The table.
            view: The struct that a row becomes; its fields are the columns that are read.
            cursor: ``meta.next`` of the page before; empty for the first page.
            per_page: As for ``get_paginated_results``.
            filters: As for ``get_paginated_results``. They may change between pages; the cursor is only a position.
            apply_filters: As for ``get_paginated_results``.
            order_by: Columns that are never NULL, all ascending or all descending, of an index: longer texts than one
                takes make a longer cursor than ``Cursor`` does.

        Raises:
            InvalidDataError: As for ``get_paginated_results``, and for a cursor of another table or order.
        """
        per_page = self._database.default_page_size if per_page is UNSET else per_page
        require_page(1, per_page)
        ordering = Ordering.of(model, tuple(order_by))
        types = ordering.cursor_types(model)
        shape, parameters = parse(model, filters)
        if apply_filters is None:
            shape, words = await self._narrow(model, shape, parameters)
            parameters.update(words)
        # One more row than requested shows whether there is a next page.
        parameters["row_limit"] = per_page + 1
        if cursor:
            position = cursors.decode(cursor, ordering.of_table(model), types)
            parameters.update({f"after_{index}": value for index, value in enumerate(position)})
        if apply_filters is None:
            rows = await self._values(keyset_statement(model, view, ordering, shape, bool(cursor)), parameters)
        else:
            clause = keyset_clause(model, view, ordering, shape, bool(cursor), apply_filters)
            rows = await self._select(clause, parameters)
        has_more = len(rows) > per_page
        rows = rows[:per_page]
        width = len(view.__struct_fields__)
        following = cursors.encode(ordering.of_table(model), rows[-1][width:]) if has_more else None
        return Page([view(*row[:width]) for row in rows], CursorMeta(per_page, following, has_more))

    def _compile(self, statement: Statement[T]) -> CompiledStatement[T]:
        """Return the statement for asyncpg, compiled once."""
        compiled = self._compiled.get(statement)
        if compiled is None:
            compiled = self._compiled[statement] = CompiledStatement(statement, self._database.engine.dialect)
        return compiled

    async def _values(self, statement: Statement[Any], parameters: dict[str, Any]) -> Sequence[Any]:
        """Run a statement that is compiled once, and return the columns of its rows."""
        compiled = self._compile(statement)
        return compiled.values(await self._database.fetch(compiled.sql, *compiled.arguments(parameters)))

    async def _count(
        self, model: type[BaseModel], shape: Shape, apply_filters: ApplyFilters | None, parameters: dict[str, Any]
    ) -> int:
        """Count the rows of a list, of which the page has none."""
        if apply_filters is None:
            return await self.one(count_statement(model, shape), **parameters)
        return int((await self._select(count_clause(model, shape, apply_filters), parameters))[0][0])

    async def _narrow(
        self, model: type[BaseModel], shape: Shape, parameters: dict[str, Any]
    ) -> tuple[Shape, dict[str, Any]]:
        """Let a text of several words be searched by the rarest, if the planner expects few rows of it.

        A trigram index reads the lists of all trigrams of a text, and those of a word that every row has are as long as
        the table.

        Returns:
            The shape, and the parameters that it has beyond the others.
        """
        narrowed: list[Condition] = []
        more: dict[str, Any] = {}
        for condition in shape:
            rarest = await self._rarest_word(model, condition, parameters)
            if rarest is not None:
                more |= {f"word_{condition.column}": rarest, IS_PLANNED: True}
            narrowed.append(condition if rarest is None else Condition(condition.column, "words"))
        return tuple(narrowed), more

    async def _rarest_word(
        self, model: type[BaseModel], condition: Condition, parameters: dict[str, Any]
    ) -> str | None:
        words = words_of(model, condition, parameters)
        if len(words) < 2:
            return None
        column, alone = condition.column, (condition,)
        rows = {word: await self._estimate(model, alone, None, {f"filter_{column}": word}) for word in words}
        rarest = min(words, key=rows.__getitem__)
        return rarest if rows[rarest] <= min(FEW, max(rows.values()) / MUCH_RARER) else None

    async def _estimate(
        self, model: type[BaseModel], shape: Shape, apply_filters: ApplyFilters | None, parameters: dict[str, Any]
    ) -> int:
        """Ask the planner for the number of rows of a list."""
        if apply_filters is None:
            compiled = self._compile(matching_statement(model, shape))
            rows: Any = await self._database.fetch(EXPLAIN + compiled.sql, *compiled.arguments(parameters))
        else:
            rows = await self._select(Explain(matching_clause(model, shape, apply_filters)), parameters)
        return planned_rows(rows[0][0])

    async def _select(self, clause: AnySelect | Explain, parameters: dict[str, Any]) -> Sequence[tuple[Any, ...]]:
        """Run a statement that was built for this call."""
        async with self._database.autocommit.connect() as connection:
            return [tuple(row) for row in await connection.execute(clause, parameters)]
