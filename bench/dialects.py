"""Protocols of the servers that are measured, as far as the loads speak them."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import repeat
from typing import Final

from bench.packets import CodecName, Frames, encode


@dataclass(frozen=True, slots=True)
class Exchange:
    """Frame that a client sends, and bytes that only the good answer to it contains."""

    said: bytes
    answer: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """Way to a server, and what a client says first."""

    path: str = "/web"
    greeting: Callable[[str], Exchange] | None = None
    """First exchange of a client with this token, after the upgrade; without it, the token is in the handshake."""
    is_echo: bool = False
    """True if the server repeats each frame, so that no answer can be wrong."""

    def headers(self, token: str, codec: CodecName) -> list[tuple[str, str]]:
        """Return the headers of the handshake."""
        if self.greeting is not None:
            return []
        return [("Authorization", f"Bearer {token}"), ("Sec-WebSocket-Protocol", codec)]


CENTRIFUGO_KEY: Final = "bench"
"""Key of its server API, which listens on the loopback address."""

CENTRIFUGO_PING: Final = b"{}"
"""Ping of its server, and the client's answer; without it, it closes the connection."""

PACKETS: Final = Dialect()
ECHO: Final = Dialect(is_echo=True)
SOCKET_IO: Final = Dialect(
    path="/socket.io/?EIO=4&transport=websocket",
    # Engine.IO 4: a message (4) that connects to the default namespace (0).
    greeting=lambda _: Exchange(b"40", b"40{"),
)
CENTRIFUGO: Final = Dialect(
    path="/connection/websocket",
    greeting=lambda token: Exchange(encode("json", {"id": 1, "connect": {"token": token}}), b'"connect":'),
)


def socket_io_event(_: int) -> Frames:
    """Make Socket.IO events that ask for an acknowledgement."""
    # A message (4) with an event (2), whose acknowledgement (3) has the number 0.
    return Frames("json", repeat(b'420["trivial",{}]'), good=b"430[")


def centrifugo_rpc(_: int) -> Frames:
    """Make calls that Centrifugo answers by itself, with an error: no backend takes them."""
    call = {"id": 2, "rpc": {"method": "trivial", "data": {}}}
    return Frames("json", repeat(encode("json", call)), good=b'"id":2,')


def centrifugo_subscription(channel: str) -> Exchange:
    """Make the subscription to a channel."""
    return Exchange(encode("json", {"id": 3, "subscribe": {"channel": channel}}), b'"subscribe":')


def centrifugo_publication(channel: str, data: object) -> bytes:
    """Make a frame that publishes an event."""
    return encode("json", {"id": 4, "publish": {"channel": channel, "data": data}})


def centrifugo_batch(channel: str, data: object, count: int) -> bytes:
    """Make a request of the server API that publishes ``count`` events side by side, the quickest way for many."""
    publish = {"publish": {"channel": channel, "data": data}}
    body = encode("json", {"commands": [publish] * count, "parallel": True})
    head = (
        "POST /api/batch HTTP/1.1",
        "Host: 127.0.0.1",
        f"X-API-Key: {CENTRIFUGO_KEY}",
        f"Content-Length: {len(body)}",
    )
    return "\r\n".join((*head, "", "")).encode() + body
