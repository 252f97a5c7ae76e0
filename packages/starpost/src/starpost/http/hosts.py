"""``ALLOWED_HOSTS``: the names under which clients may call.

A page can point its own name at our address (DNS rebinding). Its requests then have "the same origin" for the browser,
and for every check that compares ``Origin`` with ``Host``. Only the name in ``Host`` gives the page away.

Litestar's own check compiles the patterns to one expression, which ignores the port, and leaves out sockets and
repeated headers.
"""

import re
from collections.abc import Awaitable, Iterable
from functools import lru_cache
from typing import Final

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, Scope, Send

from starpost.errors import AppError
from starpost.header_fields import client_address, fields_of
from starpost.http.refusal import refuse
from starpost.observability.security_log import SecurityLog
from starpost.settings import ANY_HOST, HOST_PATTERN

_HOST: Final = re.compile(rb"(?P<name>[a-z0-9_-]+(?:\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\])\.?(?::(?P<port>[0-9]{0,5}))?")
_LONGEST: Final = 262
"""Longest ``Host``, in bytes: a name of 253 characters, a dot and a port."""

_REMEMBERED: Final = 256


class HostNotAllowedError(AppError):
    """The request names another host."""

    code = "host_not_allowed"
    http_status = 400
    default_msg = "The Host header is not one of ALLOWED_HOSTS"


class AllowedHosts:
    """Middleware that refuses other hosts with HTTP 400, for handshakes of sockets too.

    Args:
        app: The next ASGI application.
        patterns: ``example.com`` (any port), ``example.com:8443`` (that one), ``*.example.com`` (any name below it),
            ``[::1]``; ``*`` allows every name.
        security: Security log, for refused handshakes; requests are in the access log.
    """

    def __init__(self, app: ASGIApp, patterns: Iterable[str], security: SecurityLog) -> None:
        self._app = app
        self._security = security
        self._exact: set[tuple[str, str | None]] = set()
        self._below: list[tuple[str, str | None]] = []
        self._is_open = False
        for pattern in patterns:
            if pattern == ANY_HOST:
                self._is_open = True
            elif match := HOST_PATTERN.fullmatch(pattern.lower()):
                name = match["name"]
                if name.startswith("*"):
                    self._below.append((name[1:], match["port"]))
                else:
                    self._exact.add((name, match["port"]))
        self.allows = lru_cache(_REMEMBERED)(self._allows)

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Handle one connection, as the ASGI specification says."""
        if self._is_open:
            return self._app(scope, receive, send)
        host = fields_of(scope).get(b"host", b"")
        if len(host) <= _LONGEST and self.allows(host):
            return self._app(scope, receive, send)
        if scope["type"] != ScopeType.HTTP:
            self._security.record("handshake_refused", reason="host", address=client_address(scope))
        return refuse(scope, send, HostNotAllowedError())

    def _allows(self, host: bytes) -> bool:
        """Return whether a ``Host`` header has one of our names."""
        match = _HOST.fullmatch(host.lower())
        if match is None:
            return False
        name, port = match["name"].decode(), (match["port"] or b"").decode() or None
        return (
            (name, None) in self._exact
            or (name, port) in self._exact
            or any(name.endswith(end) and wanted in (None, port) for end, wanted in self._below)
        )
