"""Bearer token in the ``Authorization`` header (RFC 6750, section 2.1) of an ASGI scope."""

from collections.abc import Iterable

from starpost.errors import UnauthenticatedError


def parse_bearer(credentials: str) -> str:
    """Return the token in ``Bearer <token>``; the scheme's case does not matter (RFC 9110, 11.1).

    Raises:
        UnauthenticatedError: Another scheme, no token, or more than one word after the scheme.
    """
    scheme, _, token = credentials.strip(" ").partition(" ")
    token = token.strip(" ")
    if scheme.lower() != "bearer":
        raise UnauthenticatedError("The Authorization scheme must be Bearer")
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise UnauthenticatedError("The Authorization header holds no well-formed token")
    return token


def authorization(headers: Iterable[tuple[bytes, bytes]]) -> bytes | None:
    """Return the value of the ``Authorization`` header; ``None`` if there is none.

    Raises:
        UnauthenticatedError: There are several, and a proxy in front of us may have checked another one than we do.
    """
    found = None
    for name, value in headers:
        if name == b"authorization":
            if found is not None:
                raise UnauthenticatedError("There is more than one Authorization header")
            found = value
    return found


def bearer_token(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """Return the token in the ``Authorization`` header; ``None`` if there is no such header.

    Raises:
        UnauthenticatedError: The header is not ``Bearer <token>``, or there are several.
    """
    credentials = authorization(headers)
    return None if credentials is None else parse_bearer(credentials.decode("latin-1"))
