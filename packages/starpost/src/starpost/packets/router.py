"""Declaring packets. A router only collects: importing a module of handlers has no effect."""

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from starpost.source_location import location_of

Handler = Callable[..., Awaitable[Any]]
H = TypeVar("H", bound=Handler)


@dataclass(frozen=True, slots=True)
class Declaration:
    """One use of ``register``, as it stands in the source; judged when the application starts."""

    pkg_ids: tuple[int, ...]
    handler: Handler
    json_schema: Any
    summary: str
    is_deprecated: bool
    lane: str | None
    location: str

    @property
    def description(self) -> str:
        """The handler's docstring."""
        return inspect.getdoc(self.handler) or ""


class PackageRouter:
    """Collects the packets of a domain.

        pkg_router = PackageRouter()

        @pkg_router.register(PkgID.CREATE_AUTHOR)
        async def create_author(request: RequestModel[AuthorCreate], authors: AuthorService) -> AuthorView:
            \"\"\"Add an author.\"\"\"
            return await authors.create(request.data)

    The payload type, the reply type and the dependencies are taken from the annotations, once, at start.
    """

    def __init__(self) -> None:
        self.declarations: list[Declaration] = []

    def register(
        self,
        *pkg_ids: int,
        json_schema: Any = None,
        summary: str | None = None,
        deprecated: bool = False,
        lane: str | None = None,
    ) -> Callable[[H], H]:
        """Declare the decorated coroutine function as the handler of one or more packets.

        Args:
            *pkg_ids: The packet numbers that it answers.
            json_schema: The payload type, where the annotation of ``request`` does not name it.
            summary: One line for the documents; by default the docstring's first.
            deprecated: Marked so in the documents, and counted when used.
            lane: With ``WS_MAX_PARALLEL`` above 1: packets of one connection with the same lane keep their order.
                A template over the payload's members: ``"author:{id}"``.
        """

        def declare(handler: H) -> H:
            described = summary or next(iter((inspect.getdoc(handler) or "").splitlines()), "")
            self.declarations.append(
                Declaration(pkg_ids, handler, json_schema, described, deprecated, lane, location_of(handler))
            )
            return handler

        return declare
