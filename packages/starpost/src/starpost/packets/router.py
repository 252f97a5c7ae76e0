"""Declaration of packets. A router only collects, so importing a module of handlers has no effect."""

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from starpost.source_location import location_of

Handler = Callable[..., Awaitable[Any]]
H = TypeVar("H", bound=Handler)


@dataclass(frozen=True, slots=True)
class Declaration:
    """Declaration of a handler by ``register``; checked when the application starts."""

    pkg_ids: tuple[int, ...]
    handler: Handler
    json_schema: Any
    summary: str
    is_deprecated: bool
    lane: str | None
    location: str

    @property
    def description(self) -> str:
        """Docstring of the handler."""
        return inspect.getdoc(self.handler) or ""


class PackageRouter:
    """Router that collects the packets of a domain.

        pkg_router = PackageRouter()

        @pkg_router.register(PkgID.CREATE_AUTHOR)
        async def create_author(request: RequestModel[AuthorCreate], authors: AuthorService) -> AuthorView:
            \"\"\"Add an author.\"\"\"
            return await authors.create(request.data)

    Payload type, reply type and dependencies come from the annotations, read once, at start.
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
            deprecated: Mark the packet in the documents, and count its uses.
            lane: Template over the payload's members: ``"author:{id}"``. With ``WS_MAX_PARALLEL`` above 1, packets of
                one connection with the same lane keep their order.
        """

        def declare(handler: H) -> H:
            described = summary or next(iter((inspect.getdoc(handler) or "").splitlines()), "")
            self.declarations.append(
                Declaration(pkg_ids, handler, json_schema, described, deprecated, lane, location_of(handler))
            )
            return handler

        return declare
