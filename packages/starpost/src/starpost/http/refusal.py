"""Refusals that are sent before the routing: the same problem documents, for requests and handshakes."""

from typing import Any, Final

import msgspec
from litestar.enums import ScopeType
from litestar.types import Scope, Send

from starpost.errors import AppError
from starpost.http.problems import refusal

HANDSHAKE_RESPONSE: Final = "websocket.http.response"
"""ASGI extension that allows any HTTP status and body as the answer to a handshake. Granian has it."""


async def refuse(scope: Scope, send: Send, error: AppError) -> None:
    """Answer a request, or a handshake before it is accepted, with the problem document of this error.

    Args:
        scope: The ASGI scope.
        send: ``send`` of the middleware, so that outer ones see the answer and add their headers.
        error: Gives the HTTP status. A server without the extension refuses every handshake with 403 and no body.
    """
    kind = "http.response"
    if scope["type"] != ScopeType.HTTP:
        if HANDSHAKE_RESPONSE not in (scope.get("extensions") or {}):
            await _send(send, {"type": "websocket.close", "code": 1008, "reason": error.code})
            return
        kind = HANDSHAKE_RESPONSE
    response = refusal(error)
    body = msgspec.json.encode(response.content)
    headers = [
        (b"content-type", str(response.media_type).encode()),
        (b"content-length", b"%d" % len(body)),
        *((name.lower().encode(), value.encode("latin-1")) for name, value in response.headers.items()),
    ]
    await _send(send, {"type": f"{kind}.start", "status": response.status_code, "headers": headers})
    await _send(send, {"type": f"{kind}.body", "body": body, "more_body": False})


async def _send(send: Send, message: Any) -> None:
    await send(message)
