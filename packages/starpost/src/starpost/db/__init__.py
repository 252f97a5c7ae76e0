"""PostgreSQL: models, single statements, pages, units of work, errors and migrations.

A model is a table, a view is the struct that a row becomes, a statement is declared once, in a module::

    from starpost.db import BaseModel, Statement, Statements, columns

    class Author(BaseModel):
        name: Mapped[str]

    class AuthorView(Struct):
        id: int
        name: str

    BY_ID = Statement(select(*columns(Author, AuthorView)).where(Author.id == bindparam("id")), AuthorView)

    async def author(statements: Statements, author_id: int) -> AuthorView:
        return await statements.one(BY_ID, id=author_id)

Handlers depend on ``statements`` for single statements, each of which commits by itself, or on ``unit_of_work`` or
``session`` for several statements in one transaction. That commits after the handler and before the reply, and rolls
back if the handler raises. ``translate`` turns exceptions of the database into errors for the client.
"""

from starpost.db.database import Database, DatabaseStartError
from starpost.db.dependencies import database_dependencies
from starpost.db.errors import translate
from starpost.db.model import BaseModel, refusal
from starpost.db.search import searchable
from starpost.db.statement import Statement, columns
from starpost.db.statements import Statements
from starpost.db.types import Cursor, Identifier, Line, Name, PageNumber, PageSize, SearchText
from starpost.db.unit_of_work import UnitOfWork

__all__ = [
    "BaseModel",
    "Cursor",
    "Database",
    "DatabaseStartError",
    "Identifier",
    "Line",
    "Name",
    "PageNumber",
    "PageSize",
    "SearchText",
    "Statement",
    "Statements",
    "UnitOfWork",
    "columns",
    "database_dependencies",
    "refusal",
    "searchable",
    "translate",
]
