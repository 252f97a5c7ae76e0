"""Declaring packets. A router only collects: importing a module of handlers has no effect."""

import inspect
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any, TypeVar

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


def location_of(function: Any) -> str:
    """``file:line`` of a function, relative to the working directory where it can be."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    if code is None:
        return getattr(function, "__qualname__", repr(function))
    return f"{_shown(code.co_filename)}:{code.co_firstlineno}"


def location_of_number(number: IntEnum, name: str | None = None) -> str:
    """``file:line`` where a packet's number is written; the enumeration's name if its source cannot be found.

    Args:
        number: The number.
        name: The name, if it is not the number's first.
    """
    enumeration = type(number)
    try:
        lines, first = inspect.getsourcelines(enumeration)
        file = inspect.getfile(enumeration)
    except (OSError, TypeError):
        return f"{enumeration.__module__}.{enumeration.__qualname__}"
    written = re.compile(rf"\s*{name or number.name}\s*[:=]")
    offset = next((offset for offset, line in enumerate(lines) if written.match(line)), 0)
    return f"{_shown(file)}:{max(first, 1) + offset}"


def _shown(file: str) -> Path:
    path = Path(file)
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
