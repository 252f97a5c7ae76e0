"""The server's own ``receive`` and ``send``, below all that is put around them on the way to a handler.

Litestar and its exception handlers wrap both, each in a coroutine of its own that is entered and resumed for every
frame, and hide that the server begins to write at the call. The wrappers look after a state that a connection keeps
itself.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, NamedTuple

from litestar.types import ASGIApp, Scope

from starpost.connections.received import Link, link_of
from starpost.header_fields import HTTP, forget_fields

Frame = str | bytes
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
SendFrame = Callable[[Frame], "asyncio.Future[None] | None"]
SendMany = Callable[[tuple[str | bytes, ...]], "asyncio.Future[None] | None"]

_KEY: Final = "server_transport"


class Transport(NamedTuple):
    """A socket's ends at the server, and the TCP connection that they are of."""

    receive: Receive
    send: Send
    server: Any = None
    """Address on which the server listens, as it names it."""
    peer: Any = None
    """Other end of the TCP connection: the client, or the proxy in front of it."""
    is_direct: bool = True
    """The server's own ends are used, and not Litestar's around them."""

    @property
    def link(self) -> Link | None:
        """The TCP connection; ``None`` if there is none."""
        return link_of(self.server, self.peer)

    @property
    def is_eager(self) -> bool:
        """True if ``send`` begins at the call, as Granian's and our own listener's do; others return a coroutine.

        Granian returns a ``PyFutureAwaitable``, whose result is ``None`` even if the client did not get the frame. It
        returns a ``PyEmptyAwaitable`` once it knows that the client is gone, and a ``PyErrAwaitable`` for a message
        that it cannot send; neither has the methods of a future.
        Source: https://github.com/emmett-framework/granian/blob/v2.8.7/src/asgi/io.rs, ``ASGIWebsocketProtocol``.
        """
        owner = getattr(self.send, "__self__", None)
        return self.is_direct and (
            getattr(owner, "begins_at_call", False) or type(owner).__module__ == "granian._granian"
        )

    @property
    def send_frame(self) -> SendFrame | None:
        """Function that sends a frame without ASGI's message around it, and returns ``None`` if the kernel has it.

        Our own listener has it; ``None`` if the server has not.
        """
        return self._of_listener("send_frame")  # type: ignore[no-any-return]  # a channel's method

    @property
    def send_many(self) -> SendMany | None:
        """Function that sends frames in one write, and returns ``None`` if the kernel has them all.

        Our own listener has it; ``None`` if the server has not.
        """
        return self._of_listener("send_many")  # type: ignore[no-any-return]  # a channel's method

    @property
    def deliver_to(self) -> Callable[[Callable[[Frame], Any] | None], None]:
        """Function that asks the server to hand frames over where they arrive; see ``Channel.deliver_to``.

        A server that cannot gives every frame to ``receive``.
        """
        return self._of_listener("deliver_to") or to_receive

    def _of_listener(self, name: str) -> Any:
        """Return what our own listener's channel has beyond ASGI; ``None`` if another server is below."""
        return getattr(getattr(self.send, "__self__", None), name, None) if self.is_direct else None


def to_receive(_: Callable[[Frame], Any] | None) -> None:
    """Leave every frame to ``receive``."""


def frame_in(message: Any) -> Frame:
    """Return the frame of an ASGI message, whose other member is absent or ``None``."""
    frame: Frame | None = message.get("text")
    if frame is None:
        frame = message["bytes"]
    return frame


class TransportRecorder:
    """The ASGI middleware: records the transport of every socket. The outermost one: what is outside hides it.

    Args:
        app: The next ASGI application.
        is_direct: Packets use the server's ends; else those that the route is given.
    """

    def __init__(self, app: ASGIApp, *, is_direct: bool = True) -> None:
        self._app = app
        self._is_direct = is_direct

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Handle one connection, as the ASGI specification says."""
        if scope["type"] != HTTP:
            transport = Transport(receive, send, scope.get("server"), scope.get("client"), self._is_direct)
            scope[_KEY] = transport  # type: ignore[typeddict-unknown-key]  # ASGI allows it
        return self._app(scope, receive, send)


def transport_of(scope: Any, receive: Receive, send: Send) -> Transport:
    """Return the server's own transport if the middleware recorded it, else one made from ``receive`` and ``send``."""
    recorded: Transport | None = scope.get(_KEY)
    if recorded is None:
        return Transport(receive, send)
    return recorded if recorded.is_direct else recorded._replace(receive=receive, send=send)


def forget_transport(scope: Any) -> None:
    """Let go of the server's end, when the socket has been served.

    A client that does not read keeps our close frame from being written; its socket is then closed when the last
    reference to the server's end goes. Litestar's socket holds itself in a circle with it, so that this would wait for
    the garbage collector, and a worker could run out of files meanwhile.
    """
    scope.pop(_KEY, None)


def forget_handshake(scope: Any) -> None:
    """Drop what only the handshake needs, once it is answered: header fields, query and subprotocols, with the token.

    The scope lives as long as the socket. They would be 4 KiB of each idle connection.
    """
    scope["headers"] = []
    scope["query_string"] = b""
    scope["subprotocols"] = []
    forget_fields(scope)


async def gone(*_: Any) -> Any:
    """In the place of a server's end that was let go."""
    raise RuntimeError("the socket has been served")
