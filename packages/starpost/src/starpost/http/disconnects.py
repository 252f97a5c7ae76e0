"""Requests whose client is gone: they have a second to finish, then they are cancelled, down to the database.

ASGI says that a client is gone in one way, ``http.disconnect`` from ``receive``, and only to those who ask. To ask for
each request costs a future and a wake-up, and hardly any runs long enough for its client to lose patience. So a request
is only noted; one sweep per worker asks for those that run longer than a tick.
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
"""Seconds that a request has to finish when its client is gone: a write that is about to commit does."""
MAX_KEPT: Final = 2
"""Messages of a body that the application has not asked for yet, and that were read to hear of the client's end."""


class RunningRequests:
    """This worker's requests, and the sweep over them.

    A route that has to finish whether or not somebody waits for its answer says ``outlives_client=True``.
    """

    def __init__(self) -> None:
        self._requests: set[_Request] = set()
        self._sweeping: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def around(self, app: ASGIApp) -> ASGIApp:
        """The ASGI middleware: notes the requests that this application is given."""

        def noting(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
            if scope["type"] == HTTP:
                # Without the loop Python looks for it, and asks the kernel for the process's number.
                task = asyncio.current_task(self._loop)
                request = _Request(self._requests, task, scope, receive, send)
                receive, send = request.receive, request.send
            # Handed on and not awaited here: it costs no coroutine.
            return app(scope, receive, send)

        return noting

    async def start(self) -> None:
        """Start the sweep."""
        self._loop = asyncio.get_running_loop()
        self._sweeping = asyncio.create_task(self._sweep(), name="requests-sweep")

    async def stop(self) -> None:
        """Stop the sweep; requests that still run are no longer watched."""
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
    """One that runs. Its end is its last message, or that of its task."""

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
        """The server's next message, handed on as it is while nobody else asks."""
        return self._receive() if self._watch is None else self._watch.next()

    def send(self, message: Any) -> Awaitable[None]:
        """Hand a message on to the server."""
        if message["type"] == "http.response.body" and not message.get("more_body"):
            # What comes now is a background task of the application's.
            self._requests.discard(self)
        return self._send(message)

    def look(self, now: float) -> None:
        """Judge the request: ask whether its client is there, or cancel it. ``now`` is the loop's time."""
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
        """Ask no more, and let go of the server's ends.

        While the server is asked, it keeps what the client has still to send, and does not close the connection behind
        the answer. Litestar's request holds itself in a circle, so that the last reference would wait for the garbage
        collector.
        """
        self._requests.discard(self)
        if self._watch is not None:
            self._watch.stop()
        self._receive = self._send = gone

    def _cancel(self, task: "asyncio.Task[Any]") -> None:
        # None before the routing, and where there is no such route.
        handler = self._scope.get("route_handler")
        if handler is None or not handler.opt.get("outlives_client"):
            self._scope[ABANDONED] = True
            task.cancel()


class _Watch:
    """Asks the server whether the client is there, and keeps for the application what comes instead.

    Args:
        receive: The server's.
    """

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._kept: deque[Any] = deque()
        self._asked: asyncio.Future[Any]
        self.gone_at: float | None = None
        """When the client's end was heard of, on the loop's clock."""
        self._ask()

    def ask(self) -> None:
        """Ask again, unless the answer is still to come or enough is kept."""
        if self._asked.done() and len(self._kept) < MAX_KEPT:
            self._ask()

    def stop(self) -> None:
        """Ask no more."""
        self._asked.cancel()
        self._receive = gone

    async def next(self) -> Any:
        """The next message for the application."""
        if not self._kept and not self._asked.done():
            await asyncio.wait([self._asked])
        # When it was the client's end that was heard of, the server says so again.
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
