"""Header fields: a request's by name, made once for all middleware, and those that middleware adds to its answer."""

from collections.abc import Callable, Collection, Iterable
from typing import Any, Final

from litestar.enums import ScopeType

HTTP: Final = ScopeType.HTTP
"""A scope's type, for what every request passes: Python 3.11 takes twice as long to find an enum's member as to compare
it, and there are seven such places."""

Fields = dict[bytes, bytes]

AnswerFields = Callable[[], Iterable[tuple[bytes, bytes]]]

ANSWER_FIELDS: Final = "answer_fields"
"""Member of a scope: ``AnswerFields``, called when its answer begins. The observer wraps ``send`` for everybody; to
wrap it once more for two fields costs a request four calls and another list of all fields."""

_KEY: Final = "header_fields"


def fields_of(scope: Any) -> Fields:
    """Fields by lower-case name; those of one name are joined with a comma (RFC 9110, section 5.2).

    A field that may come only once (``Host``, ``Authorization``, ``Origin``) is malformed when it came twice, so that
    nobody has to ask which of two values a proxy in front of us looked at.

    Args:
        scope: The ASGI scope. It keeps the result for the next caller.
    """
    fields: Fields | None = scope.get(_KEY)
    if fields is None:
        fields = scope[_KEY] = combined(scope["headers"])
    return fields


def combined(headers: Collection[tuple[bytes, bytes]]) -> Fields:
    """The fields of these headers."""
    # `dict` makes it in C; only a repeated name, which is rare, needs more.
    fields = dict(headers)
    if len(fields) != len(headers):
        fields = {}
        for name, value in headers:
            fields[name] = fields[name] + b", " + value if name in fields else value
    return fields


def client_address(scope: Any) -> str | None:
    """Address of the client in an ASGI scope; ``None`` where the server knows none, as behind a Unix socket."""
    client = scope.get("client")
    return client[0] if client else None
