"""Path and query parameter types.

They mirror ``db/types.py``, because Litestar checks only ``PathParameter`` and ``QueryParameter``, and ignores
``msgspec.Meta`` there. Bodies and the data of packets use ``db/types.py``.
"""

from typing import Annotated, TypeVar

from litestar.params import PathParameter, QueryParameter
from msgspec import UNSET, UnsetType

from starpost.db.types import (
    LINE_PATTERN,
    MAX_BIGINT,
    MAX_CURSOR,
    MAX_PAGE,
    MAX_PAGE_SIZE,
    MAX_SEARCH_TEXT,
    SEARCH_TEXT,
)

T = TypeVar("T")

IdentifierInPath = Annotated[int, PathParameter(ge=1, le=MAX_BIGINT, description="identifies one row")]

PageInQuery = Annotated[
    int | None,
    QueryParameter(
        ge=1,
        le=MAX_PAGE,
        description="counts from 1; 1 by default; a page too far behind is refused, by `cursor` none is",
    ),
]
PageSizeInQuery = Annotated[int | None, QueryParameter(ge=1, le=MAX_PAGE_SIZE, description="items of one page")]
CursorInQuery = Annotated[
    str | None,
    QueryParameter(
        max_length=MAX_CURSOR,
        description="instead of `page`: `next` of the page before; empty: the first page by cursor",
    ),
]
SearchTextInQuery = Annotated[
    str | None,
    QueryParameter(max_length=MAX_SEARCH_TEXT, pattern=LINE_PATTERN, description=SEARCH_TEXT),
]


def or_unset(parameter: T | None) -> T | UnsetType:
    """Convert a query parameter for a payload: an absent one is ``None`` for Litestar, ``UNSET`` in decoded data.

    Called at the start of a route, it gives the service the same form over HTTP and over the socket.
    """
    return UNSET if parameter is None else parameter
