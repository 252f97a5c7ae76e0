"""Header fields: those of a request, parsed once for all middleware, and those that middleware adds to its answer."""

from collections.abc import Callable, Collection, Iterable
from typing import Any, Final

from litestar.enums import ScopeType

HTTP: Final = ScopeType.HTTP
"""Type of a scope, bound once: every request is compared with it in seven places, and Python 3.11 takes twice as long
to look up the member of an enum as to compare it."""

Fields = dict[bytes, bytes]

AnswerFields = Callable[[], Iterable[tuple[bytes, bytes]]]

ANSWER_FIELDS: Final = "answer_fields"
"""Member of a scope: ``AnswerFields``, which the observer calls when the answer begins. Wrapping ``send`` once more for
two fields would cost a request four calls and another list of all fields."""

_KEY: Final = "header_fields"


def fields_of(scope: Any) -> Fields:
    """Return the fields by lower-case name. Fields of one name are joined with a comma (RFC 9110, section 5.2).

    So a field that must be single (``Host``, ``Authorization``, ``Origin``) is malformed if it was sent twice.
    Otherwise a proxy in front of us might have checked one value, and we use the other.

    Args:
        scope: The ASGI scope. The result is stored in it for the next caller.
    """
    fields: Fields | None = scope.get(_KEY)
    if fields is None:
        fields = scope[_KEY] = combined(scope["headers"])
    return fields


def forget_fields(scope: Any) -> None:
    """Drop the stored result of ``fields_of``."""
    scope.pop(_KEY, None)


def combined(headers: Collection[tuple[bytes, bytes]]) -> Fields:
    """Return these headers as fields."""
    # `dict` does it in C. Only a repeated name, which is rare, needs the loop.
    fields = dict(headers)
    if len(fields) != len(headers):
        fields = {}
        for name, value in headers:
            fields[name] = fields[name] + b", " + value if name in fields else value
    return fields


def client_address(scope: Any) -> str | None:
    """Return the address of the client; ``None`` where the server knows none, as behind a Unix socket."""
    client = scope.get("client")
    return client[0] if client else None
