"""Bodies of requests: their media type, and the time that they may take.

Litestar limits the size as the bytes arrive (``request_max_body_size``), since a route may have another limit than
``MAX_BODY_BYTES``. A body that nobody reads stays in the socket, and Granian closes the connection after the answer.
"""

import asyncio
from collections.abc import Awaitable
from typing import Any, Final

from litestar.types import ASGIApp, Receive, Scope, Send

from starpost.errors import AppError, RSPCode
from starpost.header_fields import HTTP, fields_of
from starpost.http.refusal import refuse

LONGEST_TICK: Final = 1.0
"""Longest time, in seconds, between two checks of the bodies, by which a time limit may be exceeded."""


class NoMediaTypeError(AppError):
    """The body has no ``Content-Type``. A page of another origin can send one without a preflight request (CORS)."""

    code = "unsupported_media_type"
    status_code = RSPCode.INVALID_DATA
    http_status = 415
    default_msg = "A body needs a Content-Type"


class BodyTimeoutError(AppError):
    """The body did not arrive in time."""

    code = "body_timeout"
    status_code = RSPCode.TIMEOUT
    http_status = 408
    is_retryable = True
    default_msg = "The body did not arrive in time"


class BodyCutShortError(AppError):
    """The client left before the end of its body. The answer only serves the access log."""

    code = "body_incomplete"
    status_code = RSPCode.INVALID_DATA
    http_status = 400
    default_msg = "The connection ended before the body"


class BodyClock:
    """Clock for the time limit of all bodies that are being read, with one timer.

    Args:
        limit: Seconds from the first read to the end of the body.
    """

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self._tick = min(LONGEST_TICK, limit / 4)
        self._waiting: set[BodyReader] = set()
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, reader: "BodyReader") -> None:
        """Interrupt this reader when it is late, until ``forget``."""
        self._waiting.add(reader)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._tick, self._look)

    def forget(self, reader: "BodyReader") -> None:
        """Stop watching a reader."""
        self._waiting.discard(reader)

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for reader in self._waiting:
            if reader.deadline <= now:
                reader.interrupt()
        self._timer = loop.call_later(self._tick, self._look) if self._waiting else None


class BodyReader:
    """``receive`` of a request with a body.

    Args:
        receive: ``receive`` of the server.
        clock: Clock of the worker.
    """

    __slots__ = ("_clock", "_is_complete", "_is_late", "_receive", "_task", "deadline")

    def __init__(self, receive: Receive, clock: BodyClock) -> None:
        self._receive = receive
        self._clock = clock
        self._task: asyncio.Task[Any] | None = None
        self._is_complete = False
        self._is_late = False
        self.deadline = 0.0
        """Deadline, on the event loop's clock; the first read sets it."""

    async def __call__(self) -> Any:
        """Wait for the next message.

        Raises:
            BodyTimeoutError: The body did not arrive in time.
            BodyCutShortError: The client left before its end.
        """
        if self._is_complete:
            return await self._receive()
        now = asyncio.get_running_loop().time()
        if self.deadline == 0.0:
            self.deadline = now + self._clock.limit
        elif self.deadline <= now:
            raise BodyTimeoutError
        message = await self._next()
        if message["type"] == "http.disconnect":
            raise BodyCutShortError
        self._is_complete = not message.get("more_body", False)
        return message

    async def _next(self) -> Any:
        task = self._task = asyncio.current_task()
        requested = 0 if task is None else task.cancelling()
        self._clock.watch(self)
        try:
            return await self._receive()
        except asyncio.CancelledError:
            # As `asyncio.timeout` does: a cancellation by somebody else must not be swallowed.
            if self._is_late and task is not None and task.uncancel() <= requested:
                raise BodyTimeoutError from None
            raise
        finally:
            self._clock.forget(self)
            self._task = None

    def interrupt(self) -> None:
        """End the wait, with ``BodyTimeoutError``."""
        if self._task is not None and not self._is_late:
            self._is_late = True
            self._task.cancel()


class Bodies:
    """Middleware that refuses a body without media type, with 415, and one that arrives too slowly, with 408.

    Args:
        app: The next ASGI application.
        clock: Clock of the worker.
    """

    def __init__(self, app: ASGIApp, clock: BodyClock) -> None:
        self._app = app
        self._clock = clock

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Handle one connection, as the ASGI specification says."""
        if scope["type"] == HTTP:
            fields = fields_of(scope)
            # Without these fields there is no body (RFC 9112, section 6.3).
            if b"transfer-encoding" in fields or fields.get(b"content-length", b"0") != b"0":
                if not fields.get(b"content-type"):
                    return refuse(scope, send, NoMediaTypeError())
                receive = BodyReader(receive, self._clock)
        return self._app(scope, receive, send)
