"""Requests whose client has left: they get a second to finish, then they are cancelled, down to the database.

ASGI reports that a client has left only as ``http.disconnect`` from ``receive``, to those who call it. Calling it for
each request costs a future and a wake-up, and few requests run long enough for their client to leave. So a request is
only recorded, and one sweep per worker asks for those that run longer than a tick.
Source: https://asgi.readthedocs.io/en/latest/specs/www.html#disconnect-receive-event
"""

import asyncio
from collections import deque
from collections.abc import Awaitable
from typing import Any, Final

from litestar.types import ASGIApp, Receive, Scope, Send

from starpost.connections.transport import gone
from starpost.header_fields import HTTP
from starpost.observability.http import ABANDONED

TICK: Final = 0.25
"""Seconds between two sweeps."""
GRACE: Final = 1.0
"""Grace period, in seconds, of a request whose client has left: enough for a write that is about to commit."""
MAX_KEPT: Final = 2
"""Messages of a body that may be read ahead of the application, to notice that the client has left."""


class RunningRequests:
    """Running requests of this worker, and the sweep over them.

    A route that must finish even if its client has left declares ``outlives_client=True``.
    """

    def __init__(self) -> None:
        self._requests: set[_Request] = set()
        self._sweeping: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def around(self, app: ASGIApp) -> ASGIApp:
        """Wrap an ASGI application into the middleware that records its requests."""

        def noting(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
            if scope["type"] == HTTP:
                # With the loop as argument: to find it, Python would ask the kernel for the process id.
                task = asyncio.current_task(self._loop)
                request = _Request(self._requests, task, scope, receive, send)
                receive, send = request.receive, request.send
            # Returned, not awaited: it costs no coroutine.
            return app(scope, receive, send)

        return noting

    async def start(self) -> None:
        """Start the sweep."""
        self._loop = asyncio.get_running_loop()
        self._sweeping = asyncio.create_task(self._sweep(), name="requests-sweep")

    async def stop(self) -> None:
        """Stop the sweep. Requests that still run are no longer watched."""
        if self._sweeping is not None:
            self._sweeping.cancel()
            await asyncio.gather(self._sweeping, return_exceptions=True)
        for request in self._requests:
            request.forget()

    async def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(TICK)
            now = loop.time()
            for request in [*self._requests]:
                request.look(now)


class _Request:
    """Running request. It ends with its last message, or with its task."""

    __slots__ = ("_is_old", "_receive", "_requests", "_scope", "_send", "_task", "_watch")

    def __init__(
        self,
        requests: "set[_Request]",
        task: "asyncio.Task[Any] | None",
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        self._requests = requests
        self._scope: Any = scope
        self._receive = receive
        self._send = send
        self._task = task
        self._is_old = False
        self._watch: _Watch | None = None
        requests.add(self)

    def receive(self) -> Awaitable[Any]:
        """Return the server's next message, directly while no watch has called ``receive``."""
        return self._receive() if self._watch is None else self._watch.next()

    def send(self, message: Any) -> Awaitable[None]:
        """Hand a message on to the server."""
        if message["type"] == "http.response.body" and not message.get("more_body"):
            # From here on only a background task of the application may run.
            self._requests.discard(self)
        return self._send(message)

    def look(self, now: float) -> None:
        """Check the request: ask whether its client is there, or cancel it. ``now`` is the loop's time."""
        task, watch = self._task, self._watch
        if task is None or task.done():
            self._requests.discard(self)
        elif watch is not None:
            if watch.gone_at is None:
                watch.ask()
            elif now - watch.gone_at >= GRACE:
                self._requests.discard(self)
                self._cancel(task)
        elif self._is_old:
            self._watch = _Watch(self._receive)
            task.add_done_callback(self.forget)
        self._is_old = True

    def forget(self, _task: object = None) -> None:
        """Stop watching, and release the server's ``receive`` and ``send``.

        A pending ``receive`` makes the server wait for the rest of the body, and keeps it from closing the connection
        after the answer. Litestar's request is in a reference cycle, so the last reference would otherwise wait for the
        garbage collector.
        """
        self._requests.discard(self)
        if self._watch is not None:
            self._watch.stop()
        self._receive = self._send = gone

    def _cancel(self, task: "asyncio.Task[Any]") -> None:
        # None before the routing, and if there is no such route.
        handler = self._scope.get("route_handler")
        if handler is None or not handler.opt.get("outlives_client"):
            self._scope[ABANDONED] = True
            task.cancel()


class _Watch:
    """Watch that asks the server whether the client is there, and keeps other messages for the application.

    Args:
        receive: ``receive`` of the server.
    """

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._kept: deque[Any] = deque()
        self._asked: asyncio.Future[Any]
        self.gone_at: float | None = None
        """Time, on the loop's clock, at which the client's end was noticed; ``None`` before."""
        self._ask()

    def ask(self) -> None:
        """Ask again, unless an answer is pending or enough messages are kept."""
        if self._asked.done() and len(self._kept) < MAX_KEPT:
            self._ask()

    def stop(self) -> None:
        """Stop asking."""
        self._asked.cancel()
        self._receive = gone

    async def next(self) -> Any:
        """Return the next message for the application."""
        if not self._kept and not self._asked.done():
            await asyncio.wait([self._asked])
        # If the last answer was the client's end, the server repeats it.
        return self._kept.popleft() if self._kept else await self._receive()

    def _ask(self) -> None:
        # The server holds its answer back until there is one.
        self._asked = asyncio.ensure_future(self._receive())
        self._asked.add_done_callback(self._hear)

    def _hear(self, asked: "asyncio.Future[Any]") -> None:
        if asked.cancelled() or asked.exception() is not None:
            return
        message = asked.result()
        if message["type"] == "http.disconnect":
            self.gone_at = asyncio.get_running_loop().time()
        else:
            self._kept.append(message)
            self.ask()
