"""The handshake of a socket: what is none, and the ASGI scope of the rest (RFC 6455, section 4.2)."""

from base64 import b64decode
from http import HTTPStatus
from typing import Any, Final

from picows import WSUpgradeRequest, WSUpgradeResponse

VERSION: Final = "13"
"""The only version of the protocol; picows would take drafts of it, too."""

HANDSHAKE_RESPONSE: Final = "websocket.http.response"
"""The ASGI extension by which the application refuses a handshake with any HTTP status and body."""

Address = tuple[str, int]


def refusal_of(request: WSUpgradeRequest, path: str) -> WSUpgradeResponse | None:
    """The answer to what is no handshake for this path; ``None`` for one that is.

    Args:
        request: As picows has read it: HTTP/1.1, GET, no body.
        path: The only one that is served.
    """
    target, _, _ = request.path.partition(b"?")
    if target != path.encode():
        return _answer(HTTPStatus.NOT_FOUND, f"Only {path} is served here")
    if "websocket" not in _listed(request, "upgrade") or "upgrade" not in _listed(request, "connection"):
        return _answer(HTTPStatus.UPGRADE_REQUIRED, "A socket is served here", upgrade="websocket")
    if request.headers.getall("sec-websocket-version", []) != [VERSION]:
        return _answer(
            HTTPStatus.UPGRADE_REQUIRED,
            f"Version {VERSION} is served here",
            upgrade="websocket",
            sec_websocket_version=VERSION,
        )
    if not _has_key(request):
        return _answer(HTTPStatus.BAD_REQUEST, "Sec-WebSocket-Key is not 16 bytes in Base64")
    # Firefox writes `Connection: keep-alive, Upgrade`. picows looks at the fields after us, and takes one word alone.
    request.headers["Connection"] = "upgrade"
    request.headers["Upgrade"] = "websocket"
    return None


def scope_of(request: WSUpgradeRequest, *, local: Address, peer: Address) -> dict[str, Any]:
    """The ASGI scope of a handshake.

    Args:
        request: That ``refusal_of`` finds nothing wrong with.
        local: Where the client has come to.
        peer: The client, or the proxy in front of it.
    """
    target, _, query = request.path.partition(b"?")
    return {
        "type": "websocket",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "scheme": "ws",
        "server": local,
        "client": peer,
        "path": target.decode(),
        "raw_path": target,
        "root_path": "",
        "query_string": query,
        # picows keeps the bytes of a field that are no ASCII as surrogates.
        "headers": [
            (name.lower().encode(), value.encode("ascii", "surrogateescape")) for name, value in request.headers.items()
        ],
        "subprotocols": _listed(request, "sec-websocket-protocol", is_lowered=False),
        "extensions": {HANDSHAKE_RESPONSE: {}},
        "state": {},
    }


def _has_key(request: WSUpgradeRequest) -> bool:
    # picows looks at it, too, but when the application has accepted already.
    keys = request.headers.getall("sec-websocket-key", [])
    try:
        return len(keys) == 1 and len(b64decode(keys[0], validate=True)) == 16
    except ValueError:
        return False


def _listed(request: WSUpgradeRequest, name: str, *, is_lowered: bool = True) -> list[str]:
    """The members of a field that is a list, of all its lines."""
    lines = ",".join(request.headers.getall(name, []))
    return [member for part in (lines.lower() if is_lowered else lines).split(",") if (member := part.strip())]


def _answer(status: HTTPStatus, text: str, **headers: str) -> WSUpgradeResponse:
    response: WSUpgradeResponse = WSUpgradeResponse.create_error_response(
        status,
        f"{text}\n".encode(),
        {"X-Content-Type-Options": "nosniff"}
        | {name.replace("_", "-").title(): text for name, text in headers.items()},
    )
    return response
