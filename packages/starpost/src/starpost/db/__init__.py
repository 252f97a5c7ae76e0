"""PostgreSQL: models, single statements and pages, units of work, what its faults mean, migrations."""

from starpost.db.database import Database, DatabaseStartError
from starpost.db.dependencies import database_dependencies
from starpost.db.errors import translate
from starpost.db.model import BaseModel, refusal
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
    "translate",
]
