"""PostgreSQL: models, single statements and pages, units of work, what its faults mean, migrations."""

from app.framework.db.database import Database, DatabaseStartError
from app.framework.db.dependencies import database_dependencies
from app.framework.db.errors import translate
from app.framework.db.model import BaseModel, refusal
from app.framework.db.statement import Statement, columns
from app.framework.db.statements import Statements
from app.framework.db.types import Cursor, Identifier, Line, Name, PageNumber, PageSize, SearchText
from app.framework.db.unit_of_work import UnitOfWork

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
