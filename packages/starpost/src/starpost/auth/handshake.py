"""Handshake of a WebSocket: codec, token and origin. Pure functions on an ASGI scope.

A browser cannot set headers on a handshake. It sends the token as an offered subprotocol, or in the query.
"""

from collections.abc import Collection
from typing import Any, Literal
from urllib.parse import parse_qsl, urlsplit

from starpost.auth.credentials import bearer_token, parse_bearer
from starpost.errors import UnauthenticatedError

Subprotocol = Literal["json", "msgpack"]
ScopeLike = Any
"""An ASGI scope. Each framework declares a ``TypedDict`` of its own for it."""

_BEARER_PREFIX = "bearer."
_QUERY_NAME = "authorization"
_OWN_SITE = (b"same-origin", b"none")
"""``Sec-Fetch-Site`` of our own pages, and of navigation by the user (Fetch Metadata, section 2.1)."""
_DEFAULT_PORTS = {"http": 80, "https": 443}


def chosen_subprotocol(scope: ScopeLike) -> Subprotocol | None:
    """Return the first codec among the offered subprotocols; ``None`` if none is offered, which means JSON.

    A subprotocol that carries a token is never chosen: the server echoes the chosen one, and proxies log it.
    """
    for offered in scope.get("subprotocols", ()):
        if offered == "json":
            return "json"
        if offered == "msgpack":
            return "msgpack"
    return None


def handshake_token(scope: ScopeLike, *, is_query_accepted: bool) -> str | None:
    """Return the token of the handshake; ``None`` if there is none, so that an AUTH packet must follow.

    Args:
        scope: The ASGI scope of the WebSocket.
        is_query_accepted: Accept ``?Authorization=Bearer%20<jwt>``; if false, the query is ignored.

    Raises:
        UnauthenticatedError: A place for the token holds something else, or two places hold different tokens.
    """
    tokens = set()
    if (token := bearer_token(scope["headers"])) is not None:
        tokens.add(token)
    for offered in scope.get("subprotocols", ()):
        if offered.startswith(_BEARER_PREFIX):
            tokens.add(parse_bearer(f"Bearer {offered.removeprefix(_BEARER_PREFIX)}"))
    if is_query_accepted:
        tokens.update(_query_tokens(scope.get("query_string", b"")))
    if len(tokens) > 1:
        raise UnauthenticatedError("The handshake contains different tokens")
    return tokens.pop() if tokens else None


def _query_tokens(query_string: bytes) -> list[str]:
    try:
        pairs = parse_qsl(query_string.decode("latin-1"), keep_blank_values=True, max_num_fields=100)
    except ValueError as error:
        raise UnauthenticatedError("The query is malformed") from error
    return [parse_bearer(value) for name, value in pairs if name.lower() == _QUERY_NAME]


def is_origin_allowed(scope: ScopeLike, allowed_origins: Collection[str]) -> bool:
    """Return whether the page that opens this socket, or sends this request, is allowed to (RFC 6455, 10.2).

    Allowed are programs, which send no ``Origin``; pages of the host that is called; and the listed origins
    (``scheme://host[:port]``; ``*`` means all). Hosts are compared with their ports, where the origin's scheme gives
    the default: behind a proxy that ends TLS, the scheme of the scope is not the browser's. If a browser omits
    ``Origin``, its ``Sec-Fetch-Site`` must not name another site.
    """
    if "*" in allowed_origins:
        return True
    origins = [value.decode("latin-1") for name, value in scope["headers"] if name == b"origin"]
    if not origins:
        return all(value in _OWN_SITE for name, value in scope["headers"] if name == b"sec-fetch-site")
    if len(origins) > 1:
        return False
    origin = origins[0].lower()
    return origin in {allowed.rstrip("/").lower() for allowed in allowed_origins} or _is_same_origin(origin, scope)


def _is_same_origin(origin: str, scope: ScopeLike) -> bool:
    hosts = [value.decode("latin-1").lower() for name, value in scope["headers"] if name == b"host"]
    if len(hosts) != 1:
        return False
    try:
        page = urlsplit(origin)
        port = page.port
        called = urlsplit(f"//{hosts[0]}")
        called_port = called.port
    except ValueError:
        return False
    default = _DEFAULT_PORTS.get(page.scheme)
    if default is None or not page.hostname or (scope.get("scheme") == "wss" and page.scheme != "https"):
        return False
    # A socket's own port has no pages: they are those of the first port.
    return page.hostname == called.hostname and (port or default) in {called_port or default, scope.get("page_port")}
