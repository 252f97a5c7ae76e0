"""Header fields of a request by name, made once for all middleware."""

from collections.abc import Collection
from typing import Any, Final

Fields = dict[bytes, bytes]

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
