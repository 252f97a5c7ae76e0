"""Page of a list, the same over the socket and over HTTP."""

from typing import Generic, TypeVar

from msgspec import Struct

T = TypeVar("T")


class OffsetMeta(Struct, frozen=True, omit_defaults=True):
    """Position of an offset page. ``page`` counts from 1; ``pages`` is 0 if ``total`` is.

    ``total``, and with it ``pages``, is an estimate where ``total_is_exact`` is false; it is absent where it is true.
    """

    page: int
    per_page: int
    total: int
    pages: int
    total_is_exact: bool = True

    @classmethod
    def of(cls, page: int, per_page: int, total: int, total_is_exact: bool = True) -> "OffsetMeta":
        """Make the meta of one page of ``total`` items."""
        return cls(page, per_page, total, -(-total // per_page), total_is_exact)


class CursorMeta(Struct, frozen=True):
    """Position of a cursor page. ``next`` is an opaque string, ``None`` on the last page."""

    per_page: int
    next: str | None
    has_more: bool


class Page(Struct, Generic[T], frozen=True):
    """Page of a list. A packet's reply carries ``items`` as ``data``, and ``meta`` next to it."""

    items: list[T]
    meta: OffsetMeta | CursorMeta
