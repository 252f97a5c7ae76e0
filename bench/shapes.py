"""The payloads of the bench's own packets and routes."""

import datetime as dt
from typing import Annotated

from msgspec import Meta, Struct


class Small(Struct, frozen=True):
    """Two members."""

    state: str
    number: int


class Announcement(Struct, frozen=True):
    """An event for everybody who subscribed."""

    number: int
    text: str


class Announcements(Struct, frozen=True):
    """Events that are published in one go."""

    events: list[Announcement]


class Size(Struct, frozen=True):
    """Millimetres."""

    width: Annotated[int, Meta(ge=0)]
    height: Annotated[int, Meta(ge=0)]


class Typed(Struct, frozen=True):
    """Ten fields, most of them with a condition."""

    title: Annotated[str, Meta(min_length=1, max_length=200)]
    author_id: Annotated[int, Meta(ge=1)]
    pages: Annotated[int, Meta(ge=1, le=100_000)]
    price: Annotated[float, Meta(ge=0)]
    is_available: bool
    isbn: Annotated[str, Meta(pattern="^[0-9-]{10,17}$")]
    published_at: dt.datetime
    tags: Annotated[list[str], Meta(max_length=20)]
    size: Size
    note: str | None = None
