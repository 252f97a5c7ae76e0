"""What the domain pushes."""

from typing import Literal

from msgspec import Struct

from app.domains.authors.schemas import AuthorView
from app.pkg_ids import PkgID
from starpost import Topic


class AuthorEvent(Struct, frozen=True):
    """What happened to an author, who is shown as they are now, or were before they were deleted."""

    event: Literal["created", "updated", "deleted"]
    author: AuthorView


AUTHORS = Topic(
    "authors", event=AuthorEvent, pkg_id=PkgID.AUTHOR_EVENT, summary="Authors are created, updated and deleted."
)
