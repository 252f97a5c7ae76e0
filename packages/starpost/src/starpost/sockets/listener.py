"""The listener of a worker: accepts sockets on the worker's own loop, and calls the application for each.

picows asks for the answer to a handshake in the middle of reading it, where nothing can be awaited. So the application
is driven by hand to the point where it accepts or refuses; it waits for nothing before. From there its task goes on.
"""

import asyncio
import logging
import socket
from collections.abc import Callable, Coroutine
from contextlib import suppress
from contextvars import copy_context
from http import HTTPStatus
from types import TracebackType
from typing import Any, Final, Self

import aiofastnet
import structlog
from picows import WSAutoPingStrategy, WSUpgradeRequest, WSUpgradeResponse, WSUpgradeResponseWithListener
from picows.picows import WSProtocol  # type: ignore[attr-defined]  # see docs/adr/0026

from starpost.protocol.close_codes import CloseCode
from starpost.sockets.channel import CLOSE_WAIT, Channel
from starpost.sockets.handshake import Address, refusal_of, scope_of
from starpost.sockets.turn import Turn

HANDSHAKES: Final = 2048
"""Sockets that may be without a handshake at once; of more, the one that has waited longest is cut."""

HANDSHAKE_TIMEOUT: Final = 5.0
"""Seconds from the accepted connection to the last byte of the handshake."""

BACKLOG: Final = 2048
"""Connections that wait in the kernel to be accepted, as at the first door."""

PAUSE: Final = 1.0
"""Seconds without accepting anything when there is no file for a connection."""

READ_BYTES: Final = 65_536
"""Bytes that are read at once. picows doubles its buffer whenever a read has filled it, and never gives it back."""

READ_BUFFER: Final = 2048
"""Size of that buffer at first, the least that picows takes; it grows to the size of the handshake or of a frame."""

log = structlog.get_logger(__name__)

Application = Callable[[Any, Any, Any], Coroutine[Any, Any, None]]


class Listener:
    """A context: the socket is open inside.

    Args:
        app: The ASGI application. It must accept or refuse without waiting.
        path: The only path.
        host: Address to listen on.
        port: The port; other workers listen there, too.
        max_message_bytes: A larger frame closes with 1009 before it is read.
        page_port: Port of the pages that count as our own: they are served at the first door.
    """

    def __init__(
        self, app: Application, *, path: str, host: str, port: int, max_message_bytes: int, page_port: int = 0
    ) -> None:
        self.app = app
        self.path = path
        self.max_message_bytes = max_message_bytes
        self._page_port = page_port
        self._host = host
        self._port = port
        self._listening: socket.socket | None = None
        self._pause: asyncio.TimerHandle | None = None
        """Until files are asked for again."""
        self._turn: Turn | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._channels: set[Channel] = set()
        self._emptied = asyncio.Event()
        self._waiting: dict[_Protocol, None] = {}
        self._is_closing = False

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._turn = Turn(loop)
        # At the address that the launcher has reserved. Other workers listen there, too.
        family, *_, address = socket.getaddrinfo(
            self._host, self._port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        self._listening = socket.create_server(
            address,
            family=family,
            backlog=BACKLOG,
            reuse_port=True,
            # As the launcher's reservation: `::` is IPv4, too.
            dualstack_ipv6=family == socket.AF_INET6,
        )
        self._listening.setblocking(False)
        loop.add_reader(self._listening, self._accept, self._listening)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.refuse()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._channels:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._emptied.wait(), CLOSE_WAIT)
        for channel in list(self._channels):
            channel.abort()

    def refuse(self) -> None:
        """Accept nothing more. Sockets that are open stay; a handshake that has begun is answered with 503."""
        self._is_closing = True
        if self._listening is not None:
            # The kernel would reset those that wait, and their clients would not know why.
            listening, self._listening = self._listening, None
            self._accept(listening)
            asyncio.get_running_loop().remove_reader(listening)
            listening.close()
        if self._pause is not None:
            self._pause.cancel()

    def _protocol(self) -> "_Protocol":
        return _Protocol(self)

    # ---- connections -------------------------------------------------------------------------------------------------

    def _accept(self, listening: socket.socket) -> None:
        """Accept the connections that wait. Without a file for one, wait a second.

        aiofastnet's own server would ask again at once, and fill the log (``docs/upstream.md``).
        """
        loop = asyncio.get_running_loop()
        for _ in range(BACKLOG):
            try:
                connection, _ = listening.accept()
            except ConnectionAbortedError:
                continue
            except BlockingIOError:
                return
            except OSError as error:
                log.error("connections_not_accepted", cause=error.strerror)  # noqa: TRY400 - no fault of ours
                loop.remove_reader(listening)
                self._pause = loop.call_later(PAUSE, loop.add_reader, listening, self._accept, listening)
                return
            task = loop.create_task(self._connect(connection))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _connect(self, connection: socket.socket) -> None:
        try:
            await aiofastnet.connect_accepted_socket(asyncio.get_running_loop(), self._protocol, connection)
        except OSError:
            # It is gone already.
            connection.close()

    # ---- handshakes --------------------------------------------------------------------------------------------------

    def began(self, protocol: "_Protocol") -> None:
        """A connection was accepted; its handshake has yet to come."""
        self._waiting[protocol] = None
        if len(self._waiting) > HANDSHAKES:
            oldest = next(iter(self._waiting))
            del self._waiting[oldest]
            oldest.abort()

    def ended(self, protocol: "_Protocol") -> None:
        """The handshake has come, or never will."""
        self._waiting.pop(protocol, None)

    def answer(self, request: WSUpgradeRequest, protocol: "_Protocol") -> WSUpgradeResponseWithListener:
        """Answer a handshake; the application's task is begun for one that is accepted."""
        refusal = refusal_of(request, self.path)
        if refusal is None and self._is_closing:
            refusal = WSUpgradeResponse.create_error_response(HTTPStatus.SERVICE_UNAVAILABLE)
        if refusal is not None:
            return WSUpgradeResponseWithListener(refusal, None)
        scope = scope_of(request, local=protocol.local, peer=protocol.peer)
        scope["page_port"] = self._page_port
        turn = self._running_turn
        loop = turn.loop
        context = copy_context()
        channel = Channel(loop, context, self.max_message_bytes, self._forget, turn)
        serving = self.app(scope, channel.receive, channel.send)
        with suppress(StopIteration):
            context.run(serving.send, None)
        if channel.is_accepted and channel.answer is not None:
            self._channels.add(channel)
            self._emptied.clear()
            task = loop.create_task(serving, context=context)
            self._tasks.add(task)
            task.add_done_callback(lambda task: self._served(task, channel))
            return WSUpgradeResponseWithListener(channel.answer, channel)
        serving.close()
        answer = channel.answer or WSUpgradeResponse.create_error_response(HTTPStatus.INTERNAL_SERVER_ERROR)
        return WSUpgradeResponseWithListener(answer, None)

    def _served(self, task: asyncio.Task[None], channel: Channel) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("socket_failed", exc_info=error)
        channel.close(CloseCode.INTERNAL_ERROR, "")

    @property
    def _running_turn(self) -> Turn:
        if self._turn is None:
            raise RuntimeError("the listener is not open")
        return self._turn

    def _forget(self, channel: Channel) -> None:
        self._channels.discard(channel)
        if not self._channels:
            self._emptied.set()


class _Protocol(WSProtocol):  # type: ignore[misc]  # picows has no types for it
    """picows's protocol, which says nothing of a connection before its handshake, nor bounds what it reads at once."""

    __slots__ = ("_connection", "_listener", "_timer", "local", "peer")

    def __init__(self, listener: Listener) -> None:
        super().__init__(
            None,
            None,
            False,
            self._answer,
            _LOGGER,
            True,
            None,
            False,
            0,
            0,
            WSAutoPingStrategy.PING_WHEN_IDLE,
            False,
            listener.max_message_bytes,
            None,
            READ_BUFFER,
        )
        self._listener = listener
        self._connection: Any = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        self._connection = transport
        self.local: Address = transport.get_extra_info("sockname")[:2]
        # There is none when the client has gone already.
        self.peer: Address = (transport.get_extra_info("peername") or ("", 0))[:2]
        super().connection_made(transport)
        self._timer = asyncio.get_running_loop().call_later(HANDSHAKE_TIMEOUT, transport.abort)
        self._listener.began(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._handshake_over()
        super().connection_lost(exc)

    def get_buffer(self, size_hint: int) -> memoryview:
        buffer: memoryview = super().get_buffer(size_hint)
        return buffer if len(buffer) <= READ_BYTES else buffer[:READ_BYTES]

    def abort(self) -> None:
        self._connection.abort()

    def _answer(self, request: WSUpgradeRequest) -> WSUpgradeResponseWithListener:
        self._handshake_over()
        try:
            return self._listener.answer(request, self)
        except Exception:
            # picows would tell the client what it is, and nobody else.
            log.exception("handshake_failed")
            refusal = WSUpgradeResponse.create_error_response(HTTPStatus.INTERNAL_SERVER_ERROR)
            return WSUpgradeResponseWithListener(refusal, None)

    def _handshake_over(self) -> None:
        self._listener.ended(self)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class _Logger(logging.LoggerAdapter[logging.Logger]):
    """picows's log: that a client comes is no news, and what it does wrong is no error of ours.

    An adapter, since of a logger picows makes another one for each socket.
    """

    def info(self, msg: object, *args: object, **_: Any) -> None:
        self.debug(msg, *args)

    def error(self, msg: object, *args: object, **_: Any) -> None:
        self.debug(msg, *args)


_LOGGER: Final = _Logger(logging.getLogger("picows.server"), {})
