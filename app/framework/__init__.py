"""The machine. What a domain needs of it is imported from here; everything else is its own affair.

The names are resolved when they are first used (PEP 562): the launcher, which needs neither ORM nor framework, is below
this package too, and would otherwise take six times as long to start.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from app.framework.auth.principal import Principal
    from app.framework.db import (
        BaseModel,
        Cursor,
        Identifier,
        Line,
        Name,
        PageNumber,
        PageSize,
        SearchText,
        Statement,
        Statements,
        UnitOfWork,
        columns,
        refusal,
    )
    from app.framework.domain import Domain
    from app.framework.errors import (
        AppError,
        ConflictError,
        FieldError,
        InvalidDataError,
        NotFoundError,
        PermissionDeniedError,
        RateLimitedError,
        RSPCode,
        UnavailableError,
    )
    from app.framework.http_parameters import (
        CursorInQuery,
        IdentifierInPath,
        PageInQuery,
        PageSizeInQuery,
        SearchTextInQuery,
    )
    from app.framework.packets.request import NoData, RequestModel
    from app.framework.packets.router import PackageRouter
    from app.framework.protocol.envelope import ResponseModel
    from app.framework.protocol.pages import CursorMeta, OffsetMeta, Page
    from app.framework.tasks.lease import Lease
    from app.framework.tasks.task import BackgroundTask
    from app.framework.topics import Publisher, Push, Topic

__all__ = [
    "AppError",
    "BackgroundTask",
    "BaseModel",
    "ConflictError",
    "Cursor",
    "CursorInQuery",
    "CursorMeta",
    "Domain",
    "FieldError",
    "Identifier",
    "IdentifierInPath",
    "InvalidDataError",
    "Lease",
    "Line",
    "Name",
    "NoData",
    "NotFoundError",
    "OffsetMeta",
    "PackageRouter",
    "Page",
    "PageInQuery",
    "PageNumber",
    "PageSize",
    "PageSizeInQuery",
    "PermissionDeniedError",
    "Principal",
    "Publisher",
    "Push",
    "RSPCode",
    "RateLimitedError",
    "RequestModel",
    "ResponseModel",
    "SearchText",
    "SearchTextInQuery",
    "Statement",
    "Statements",
    "Topic",
    "UnavailableError",
    "UnitOfWork",
    "columns",
    "refusal",
]

_HOMES = {
    "app.framework.auth.principal": ("Principal",),
    "app.framework.db": (
        "BaseModel",
        "Cursor",
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
        "refusal",
    ),
    "app.framework.domain": ("Domain",),
    "app.framework.errors": (
        "AppError",
        "ConflictError",
        "FieldError",
        "InvalidDataError",
        "NotFoundError",
        "PermissionDeniedError",
        "RateLimitedError",
        "RSPCode",
        "UnavailableError",
    ),
    "app.framework.http_parameters": (
        "CursorInQuery",
        "IdentifierInPath",
        "PageInQuery",
        "PageSizeInQuery",
        "SearchTextInQuery",
    ),
    "app.framework.packets.request": (
        "NoData",
        "RequestModel",
    ),
    "app.framework.packets.router": ("PackageRouter",),
    "app.framework.protocol.envelope": ("ResponseModel",),
    "app.framework.protocol.pages": (
        "CursorMeta",
        "OffsetMeta",
        "Page",
    ),
    "app.framework.tasks.lease": ("Lease",),
    "app.framework.tasks.task": ("BackgroundTask",),
    "app.framework.topics": (
        "Publisher",
        "Push",
        "Topic",
    ),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(_HOME_OF[name]), name)
    return value
