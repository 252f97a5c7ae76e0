"""Cross-origin requests (CORS): pages may use the endpoints if their client's web origins allow it.

As in Keycloak, every preflight request is allowed, since it names no client. The answer to the request itself carries
the permission, or does not.
"""

from __future__ import annotations

from typing import Any

from litestar import Request
from litestar.datastructures import MutableScopeHeaders
from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from starpost_dev.realm.directory import Client
from starpost_dev.realm.tokens import allowed_origins

_STATE_KEY = "allowed_origins"
_PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, POST, OPTIONS",
    "Access-Control-Allow-Headers": "Origin, Accept, X-Requested-With, DPoP, Content-Type, Authorization",
    "Access-Control-Max-Age": "3600",
}


def allow_everyone(request: Request[Any, Any, Any]) -> None:
    """Let pages of every origin read the answer, which is public."""
    request.scope["state"][_STATE_KEY] = ["*"]


def allow_client(request: Request[Any, Any, Any], client: Client) -> None:
    """Let pages of the client's web origins read the answer."""
    request.scope["state"][_STATE_KEY] = allowed_origins(client)


class CrossOrigin(ASGIMiddleware):
    """Middleware that answers preflight requests, and adds the permission that the handler granted."""

    scopes = (ScopeType.HTTP,)

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Record the `Origin`, and pass the request on."""
        headers = MutableScopeHeaders(scope)
        origin = headers.get("origin")
        if origin is None:
            await next_app(scope, receive, send)
            return
        if scope.get("method") == "OPTIONS" and "access-control-request-method" in headers:
            permission = _permission(origin) | _PREFLIGHT
            raw = [(name.lower().encode(), value.encode()) for name, value in permission.items()]
            await send({"type": "http.response.start", "status": 200, "headers": raw})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            return

        async def send_with_permission(message: Message) -> None:
            """Add the permission to the head of the answer."""
            if message["type"] == "http.response.start":
                allowed = scope["state"].get(_STATE_KEY, ())
                if "*" in allowed or origin in allowed:
                    written = MutableScopeHeaders.from_message(message)
                    for name, value in _permission(origin).items():
                        written[name] = value
                    written["Access-Control-Expose-Headers"] = "Access-Control-Allow-Methods"
            await send(message)

        await next_app(scope, receive, send_with_permission)


def _permission(origin: str) -> dict[str, str]:
    return {"Access-Control-Allow-Origin": origin, "Access-Control-Allow-Credentials": "true", "Vary": "Origin"}
