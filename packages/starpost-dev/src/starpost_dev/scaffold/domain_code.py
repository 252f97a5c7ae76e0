"""The modules of a new domain."""

from __future__ import annotations

from collections.abc import Iterable

from starpost_dev.scaffold.domain import Field, NewDomain, imports_of
from starpost_dev.scaffold.packet import class_of


def code(domain: NewDomain, module: str) -> dict[str, str]:
    """Text of each module, by its name; not yet formatted.

    Args:
        domain: What is asked for.
        module: Package of the application.
    """
    package = f"{module}.domains.{domain.name}"
    return {
        "__init__.py": _init(domain, package),
        "models.py": _models(domain),
        "schemas.py": _schemas(domain),
        "topics.py": _topics(domain, package, module),
        "service.py": _service(domain, package),
        "packets.py": _packets(domain, package, module),
        "routes.py": _routes(domain, package),
        "seed.py": _seed(domain, package),
    }


def article(words: str) -> str:
    """The words with `a` or `an` before them."""
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def title(words: str) -> str:
    """The words as a sentence begins."""
    return words[0].upper() + words[1:]


def _init(domain: NewDomain, package: str) -> str:
    return f'''"""{title(domain.many)}, over the socket and over HTTP, through one service."""

from litestar.di import Provide

from {package}.packets import pkg_router
from {package}.routes import router
from {package}.service import provide_{domain.name}
from {package}.topics import {domain.name.upper()}
from starpost import Domain

domain = Domain(
    name="{domain.name}",
    packets=[pkg_router],
    routes=[router],
    topics=[{domain.name.upper()}],
    dependencies={{"{domain.name}": Provide(provide_{domain.name}, sync_to_thread=False)}},
)
'''


def _models(domain: NewDomain) -> str:
    imports = imports_of(field.kind.imports for field in domain.fields)
    imports += ["from sqlalchemy.orm import Mapped", "from starpost import BaseModel"]
    if any(field.kind.column for field in domain.fields):
        imports.append("from sqlalchemy.orm import mapped_column")
    constraints = ""
    if domain.unique:
        imports += ["from sqlalchemy import UniqueConstraint", "from starpost import refusal"]
        each = "".join(
            f'UniqueConstraint("{field.name}", info=refusal("There is {article(domain.one)} of this {field.words}")),'
            for field in domain.unique
        )
        constraints = f"    __table_args__ = ({each})\n\n"
    searchable = ""
    if domain.searched:
        imports.append("from starpost import searchable")
        searchable = f"@searchable({', '.join(repr(field.name) for field in domain.searched)})\n"
    return f'''"""The table of {domain.many}."""

{_lines(imports)}


{searchable}class {domain.model}(BaseModel):
    """{title(article(domain.one))}."""

{constraints}{_lines(_column(field) for field in domain.fields)}
'''


def _column(field: Field) -> str:
    column = f" = mapped_column({field.kind.column})" if field.kind.column else ""
    return f"    {field.name}: Mapped[{field.stored}]{column}"


def _schemas(domain: NewDomain) -> str:
    imports = imports_of(field.kind.sends for field in domain.fields)
    # The view has the stored types; those that are no classes of SQLAlchemy.
    stored = imports_of(field.kind.imports for field in domain.fields)
    imports += [line for line in stored if "sqlalchemy" not in line]
    imports += [
        "import datetime as dt",
        "from typing import Annotated",
        "from msgspec import UNSET, Meta, Struct, UnsetType",
    ]
    imports += ["from starpost import Cursor, Identifier, PageNumber, PageSize"]
    aliases = {field.kind.sent: field.kind.bounds for field in domain.fields if field.kind.sent}
    searched = "".join(f"    {field.name}: SearchText | UnsetType = UNSET\n" for field in domain.searched)
    if searched:
        imports.append("from starpost import SearchText")
    return f'''"""Payloads and replies, the same over the socket and over HTTP."""

{_lines(dict.fromkeys(imports))}

{_lines(f"{name} = {bounds}" for name, bounds in aliases.items())}
MAX_IDENTIFIERS = 100
Identifiers = Annotated[list[Identifier], Meta(max_length=MAX_IDENTIFIERS, description="one of these")]


class {domain.model}View(Struct, frozen=True):
    """{title(article(domain.one))}, as a client sees it."""

    id: int
{_lines(f"    {field.name}: {field.stored}" for field in domain.fields)}
    created_at: dt.datetime


class {domain.model}Filters(Struct, frozen=True):
    """Filter of {domain.many}; all conditions must hold."""

    id: Identifier | Identifiers | UnsetType = UNSET
{searched}

class {domain.model}Query(Struct, frozen=True):
    """Query for a page of {domain.many}.

    With ``cursor`` (empty for the first page) there is no ``page`` and no total.
    """

    page: PageNumber | UnsetType = UNSET
    per_page: PageSize | UnsetType = UNSET
    cursor: Cursor | UnsetType = UNSET
    filters: {domain.model}Filters = {domain.model}Filters()


class {domain.model}Data(Struct, frozen=True, kw_only=True):
    """{title(article(domain.one))} to add, or all that one is changed to."""

{_lines(f"    {field.name}: {field.sent}" for field in domain.fields)}


class {domain.model}Change({domain.model}Data, frozen=True, kw_only=True):
    """One {domain.one}, and all that it is changed to."""

    id: Identifier


class {domain.model}Key(Struct, frozen=True):
    """One {domain.one}."""

    id: Identifier
'''


def _topics(domain: NewDomain, package: str, module: str) -> str:
    return f'''"""Topics of the domain."""

from typing import Literal

from msgspec import Struct

from {package}.schemas import {domain.model}View
from {module}.pkg_ids import PkgID
from starpost import Topic


class {domain.model}Event(Struct, frozen=True):
    """Event about {article(domain.one)}, which is shown as it is now, or was before its deletion."""

    event: Literal["created", "updated", "deleted"]
    {domain.singular}: {domain.model}View


{domain.name.upper()} = Topic(
    "{domain.name}",
    event={domain.model}Event,
    pkg_id=PkgID.{domain.numbers["event"]},
    summary="{title(domain.many)} are created, updated and deleted.",
)
'''


def _service(domain: NewDomain, package: str) -> str:
    model, one, many, name = domain.model, domain.one, domain.many, domain.singular
    row, rows, constant = f"{name}_id", domain.name.upper(), name.upper()
    added = ", ".join(f'{field.name}=bindparam("{field.name}")' for field in domain.fields)
    changed = ", ".join(f'{field.name}=bindparam("new_{field.name}")' for field in domain.fields)
    values = ", ".join(f"{field.name}=data.{field.name}" for field in domain.fields)
    changes = ", ".join(f"new_{field.name}=data.{field.name}" for field in domain.fields)
    taken = f"The {domain.unique[0].words}" if len(domain.unique) == 1 else "A field that is unique"
    conflict = f"            ConflictError: {taken} is taken.\n" if domain.unique else ""
    raises = f"\n\n        Raises:\n{conflict}        " if conflict else ""
    return f'''"""Service of {many}, which packets and routes share."""

import msgspec
from litestar.di import NamedDependency
from msgspec import UNSET
from sqlalchemy import bindparam, delete, insert, select, update

from {package}.models import {model}
from {package}.schemas import {model}Data, {model}Query, {model}View
from {package}.topics import {rows}, {model}Event
from starpost import FieldError, InvalidDataError, Page, Publisher, Statement, Statements, columns

MISSING = "There is no such {one}"

ADD_{constant} = Statement(
    insert({model}).values({added}).returning(*columns({model}, {model}View)),
    {model}View,
)
CHANGE_{constant} = Statement(
    update({model})
    .where({model}.id == bindparam("{row}"))
    .values({changed})
    .returning(*columns({model}, {model}View)),
    {model}View,
    missing=MISSING,
)
DELETE_{constant} = Statement(
    delete({model}).where({model}.id == bindparam("{row}")).returning(*columns({model}, {model}View)),
    {model}View,
    missing=MISSING,
)
FIND_{constant} = Statement(
    select(*columns({model}, {model}View)).where({model}.id == bindparam("{row}")),
    {model}View,
    missing=MISSING,
)


class {model}Service:
    """{title(many)}.

    One transaction model: every write is one statement. PostgreSQL makes a transaction of it, in one round trip. A
    service whose writes belong together takes ``UnitOfWork`` in place of ``Statements``.

    Every method may raise what the framework makes of the database's faults: ``UnavailableError``,
    ``TimeoutExceededError``.

    Args:
        statements: Runs them.
        events: Tells the subscribers of ``{rows}``.
    """

    def __init__(self, statements: Statements, events: Publisher) -> None:
        self._statements = statements
        self._events = events

    async def page(self, query: {model}Query) -> Page[{model}View]:
        """A page of {many}, oldest first; by cursor if the query has one.

        Raises:
            InvalidDataError: Both a page and a cursor, or a cursor of another list.
        """
        filters = msgspec.structs.asdict(query.filters)
        if query.cursor is UNSET:
            return await self._statements.get_paginated_results(
                {model}, view={model}View, page=query.page, per_page=query.per_page, filters=filters
            )
        if query.page is not UNSET:
            raise InvalidDataError.of([FieldError("$.page", "Give either `page` or `cursor`")])
        return await self._statements.get_cursor_results(
            {model}, view={model}View, cursor=query.cursor, per_page=query.per_page, filters=filters
        )

    async def get(self, {row}: int) -> {model}View:
        """One {one}.

        Raises:
            NotFoundError: There is none.
        """
        return await self._statements.one(FIND_{constant}, {row}={row})

    async def create(self, data: {model}Data) -> {model}View:
        """Add {article(one)}.{raises}"""
        created = await self._statements.one(ADD_{constant}, {values})
        self._events.publish({rows}, {model}Event("created", created))
        return created

    async def update(self, {row}: int, data: {model}Data) -> {model}View:
        """Change all of {article(one)}.

        Raises:
            NotFoundError: There is no such {one}.
{conflict}        """
        updated = await self._statements.one(CHANGE_{constant}, {row}={row}, {changes})
        self._events.publish({rows}, {model}Event("updated", updated))
        return updated

    async def delete(self, {row}: int) -> None:
        """Remove {article(one)}.

        Raises:
            NotFoundError: There is no such {one}.
        """
        deleted = await self._statements.one(DELETE_{constant}, {row}={row})
        self._events.publish({rows}, {model}Event("deleted", deleted))


def provide_{domain.name}(
    statements: NamedDependency[Statements], events: NamedDependency[Publisher]
) -> {model}Service:
    """The service for one packet or request."""
    return {model}Service(statements, events)
'''


def _packets(domain: NewDomain, package: str, module: str) -> str:
    model, one, many, name, service = domain.model, domain.one, domain.many, domain.name, f"{domain.model}Service"
    numbers = domain.numbers

    def handler(does: str, request: str, reply: str, docstring: str, *body: str) -> str:
        lines = "\n    ".join(body)
        return f'''

@pkg_router.register(PkgID.{numbers[does]})
async def {numbers[does].lower()}(request: RequestModel[{model}{request}], {name}: {service}) -> {reply}:
    """{docstring}."""
    {lines}
'''

    view, its_id = f"{model}View", "request.data.id"
    handlers = [
        handler("list", "Query", f"Page[{view}]", f"A page of {many}", f"return await {name}.page(request.data)"),
        handler("create", "Data", view, f"Add {article(one)}", f"return await {name}.create(request.data)"),
        handler("get", "Key", view, f"One {one}", f"return await {name}.get({its_id})"),
        handler(
            "update",
            "Change",
            view,
            f"Change all of {article(one)}",
            f"return await {name}.update({its_id}, request.data)",
        ),
        handler(
            "delete", "Key", "NoData", f"Remove {article(one)}", f"await {name}.delete({its_id})", "return NoData()"
        ),
    ]
    return f'''"""{title(many)} over the socket."""

from {package}.schemas import {model}Change, {model}Data, {model}Key, {model}Query, {model}View
from {package}.service import {service}
from {module}.pkg_ids import PkgID
from starpost import NoData, PackageRouter, Page, RequestModel

pkg_router = PackageRouter()
{"".join(handlers)}'''


def _routes(domain: NewDomain, package: str) -> str:
    model, one, many, name = domain.model, domain.one, domain.many, domain.name
    row, service, given = f"{domain.singular}_id", f"{model}Service", class_of(name)
    parameters = "".join(f"    {field.name}: SearchTextInQuery = None,\n" for field in domain.searched)
    filters = ", ".join(["id=or_unset(ids)", *(f"{field.name}=or_unset({field.name})" for field in domain.searched)])
    searched = ", SearchTextInQuery" if domain.searched else ""
    list_name, get, update = f"list_{name}", f"get_{domain.singular}", f"update_{domain.singular}"
    create, remove = f"create_{domain.singular}", f"delete_{domain.singular}"
    return f'''"""{title(many)} over HTTP."""

from typing import Annotated

from litestar import Router, delete, get, post, put
from litestar.di import NamedDependency
from litestar.params import JSONBody, QueryParameter

from {package}.schemas import MAX_IDENTIFIERS, {model}Data, {model}Filters, {model}Query, {model}View
from {package}.service import {service}
from starpost import CursorInQuery, Identifier, IdentifierInPath, Page, PageInQuery, PageSizeInQuery, or_unset{searched}

{given} = NamedDependency[{service}]


@get("{domain.path}")
async def {list_name}(
    {name}: {given},
    page: PageInQuery = None,
    per_page: PageSizeInQuery = None,
    cursor: CursorInQuery = None,
{parameters}    ids: Annotated[list[Identifier] | None, QueryParameter(name="id", max_items=MAX_IDENTIFIERS)] = None,
) -> Page[{model}View]:
    """A page of {many}."""
    filters = {model}Filters({filters})
    return await {name}.page({model}Query(or_unset(page), or_unset(per_page), or_unset(cursor), filters))


@post("{domain.path}")
async def {create}(data: JSONBody[{model}Data], {name}: {given}) -> {model}View:
    """Add {article(one)}."""
    return await {name}.create(data)


@get("{domain.path}/{{{row}:int}}")
async def {get}({row}: IdentifierInPath, {name}: {given}) -> {model}View:
    """One {one}."""
    return await {name}.get({row})


@put("{domain.path}/{{{row}:int}}")
async def {update}({row}: IdentifierInPath, data: JSONBody[{model}Data], {name}: {given}) -> {model}View:
    """Change all of {article(one)}."""
    return await {name}.update({row}, data)


@delete("{domain.path}/{{{row}:int}}")
async def {remove}({row}: IdentifierInPath, {name}: {given}) -> None:
    """Remove {article(one)}."""
    await {name}.delete({row})


router = Router("/", route_handlers=[{list_name}, {create}, {get}, {update}, {remove}], tags=["{name}"])
'''


def _seed(domain: NewDomain, package: str) -> str:
    imports = [line for line in imports_of(field.kind.imports for field in domain.fields) if "sqlalchemy" not in line]
    rows = "".join(f"    {{{', '.join(_seeded(field, number) for field in domain.fields)}}},\n" for number in (1, 2, 3))
    constant = domain.name.upper()
    if domain.unique:
        imports += ["from sqlalchemy.dialects.postgresql import insert"]
        body = f"await session.execute(insert({domain.model}).on_conflict_do_nothing(), {constant})"
        docstring = f"Add the {domain.many} that are missing; whatever else is there stays."
    else:
        imports += ["from sqlalchemy import insert, select"]
        body = f"""if await session.scalar(select({domain.model}.id).limit(1)) is None:
        await session.execute(insert({domain.model}), {constant})"""
        docstring = f"Add {domain.many} where there are none."
    return f'''"""Example data of this domain."""

{_lines(imports)}
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from {package}.models import {domain.model}

{constant}: list[dict[str, Any]] = [
{rows}]


async def seed(session: AsyncSession) -> None:
    """{docstring}"""
    {body}
'''


def _seeded(field: Field, number: int) -> str:
    value = field.kind.seed.format(words=title(field.words), number=number, is_odd=number % 2 == 1)
    return f'"{field.name}": {value}'


def _lines(lines: Iterable[str]) -> str:
    return "\n".join(lines)
