"""``ALLOWED_ORIGINS``: the origins whose pages may open a socket (RFC 6455, 10.2).

Browsers send no preflight request (CORS) before a handshake, and a page that opens a socket can read its frames.
"""

from collections.abc import Awaitable, Collection

from litestar.types import ASGIApp, Receive, Scope, Send

from starpost.auth.handshake import is_origin_allowed
from starpost.errors import PermissionDeniedError
from starpost.header_fields import HTTP, client_address
from starpost.http.refusal import refuse
from starpost.observability.security_log import SecurityLog


class AllowedOrigins:
    """Middleware that refuses handshakes of other origins, with 403.

    Args:
        app: The next ASGI application.
        allowed: Origins, in addition to that of the called host.
        security: Security log of the worker.
    """

    def __init__(self, app: ASGIApp, allowed: Collection[str], security: SecurityLog) -> None:
        self._app = app
        self._allowed = allowed
        self._security = security

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Handle one connection, as the ASGI specification says."""
        if scope["type"] == HTTP or is_origin_allowed(scope, self._allowed):
            return self._app(scope, receive, send)
        self._security.record("handshake_refused", reason="origin", address=client_address(scope))
        return refuse(scope, send, PermissionDeniedError("Pages of this origin may not connect"))
