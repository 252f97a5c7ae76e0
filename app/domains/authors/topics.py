"""Topics of the domain."""

from typing import Literal

from msgspec import Struct

from app.domains.authors.schemas import AuthorView
from app.pkg_ids import PkgID
from starpost import Topic


class AuthorEvent(Struct, frozen=True):
    """Event about an author, with the author as it is now, or was before its deletion."""

    event: Literal["created", "updated", "deleted"]
    author: AuthorView


AUTHORS = Topic(
    "authors", event=AuthorEvent, pkg_id=PkgID.AUTHOR_EVENT, summary="Authors are created, updated and deleted."
)
