"""Outermost middleware: gives each request its correlation, its access log line and its count."""

import asyncio
from collections.abc import Awaitable, Sequence
from http import HTTPStatus
from time import perf_counter
from typing import Any, Final

from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

from starpost.header_fields import ANSWER_FIELDS, HTTP, AnswerFields, client_address, fields_of
from starpost.observability import correlation
from starpost.observability.access_log import AccessLog
from starpost.observability.correlation import Correlation
from starpost.observability.metrics import Metrics
from starpost.observability.security_log import Event, SecurityLog

REQUEST_ID: Final = b"x-request-id"
ABANDONED: Final = "abandoned"
"""Member of a request's scope: the request was cancelled because its client has left."""
_NOT_STORED: Final = (b"cache-control", b"no-store")
UNMATCHED: Final = "(unmatched)"
"""Path that stands for all requests without a route. Their own paths would each become a label of the metrics."""


class HTTPObserver:
    """ASGI middleware. It surrounds the routing, so that it sees a 404 too.

    Args:
        app: The next ASGI application.
        metrics: Counters of the worker.
        security: Security log of the worker; refusals go there.
        access: Access log of the worker.
        headers: Header fields that every answer gets.
    """

    def __init__(
        self,
        app: ASGIApp,
        metrics: Metrics,
        security: SecurityLog,
        access: AccessLog,
        headers: Sequence[tuple[bytes, bytes]] = (),
    ) -> None:
        self._headers = (*headers,)
        self._private_headers = (*headers, _NOT_STORED)
        self._app = app
        self._metrics = metrics
        self._security = security
        self._access = access

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Handle one connection, as the ASGI specification says."""
        if scope["type"] == HTTP:
            return self._request(scope, receive, send)
        return self._socket(scope, receive, send)

    async def _socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        current = _correlation(scope)
        token = correlation.enter(current)

        def sending(message: Any) -> Awaitable[None]:
            # A refused handshake gets the header fields of an HTTP answer. Packets do not pass here.
            if message["type"] == "websocket.http.response.start":
                added: AnswerFields = scope.get(ANSWER_FIELDS, _no_fields)  # type: ignore[assignment]
                message["headers"] = [*message["headers"], *self._headers, *added(), (REQUEST_ID, current.id.encode())]
            return send(message)

        try:
            await self._app(scope, receive, sending)
        finally:
            correlation.leave(token)

    async def _request(self, scope: HTTPScope, receive: Receive, send: Send) -> None:
        started = perf_counter()
        status = 0
        current = _correlation(scope)
        token = correlation.enter(current)

        def sending(message: Message) -> Awaitable[None]:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = self._headers
                if scope.get("user") is not None:
                    # An answer to an authenticated user is for that user alone, unless it says otherwise.
                    for name, _ in message["headers"]:
                        if name == b"cache-control":
                            break
                    else:
                        headers = self._private_headers
                added: AnswerFields = scope.get(ANSWER_FIELDS, _no_fields)  # type: ignore[assignment]
                message["headers"] = [*message["headers"], *headers, *added(), (REQUEST_ID, current.id.encode())]
            # Returned, not awaited: saves a coroutine for each message.
            return send(message)

        try:
            await self._app(scope, receive, sending)
        except asyncio.CancelledError:
            # The client has left. Granian would log the exception as a fault of the application.
            if ABANDONED not in scope:
                raise
        except Exception:
            # The answer had begun, or could not be made: log it, once. The server ends the request.
            self._access.broken(status)
            raise
        finally:
            seconds = perf_counter() - started
            path = scope.get("path_template") or UNMATCHED
            method = scope["method"] if scope["method"] in _METHODS else "(other)"
            # No status: the client left before the answer began. nginx logs 499 for this.
            self._metrics.request(method, path, status or 499, seconds)
            self._access.write(scope, path, status or 499, seconds, current.id)
            if status in _SECURITY_EVENTS:
                self._refused(scope, method, path, status)
            correlation.leave(token)
            # A reference cycle in Litestar may still hold `sending`; it must not keep the server's `send` alive.
            send = _ended

    def _refused(self, scope: HTTPScope, method: str, path: str, status: int) -> None:
        user, error = scope.get("user"), scope.get("auth")
        self._security.record(
            _SECURITY_EVENTS[status],
            reason=error.code if status == HTTPStatus.UNAUTHORIZED and error is not None else None,
            user=None if user is None else user.username,
            address=client_address(scope),
            method=method,
            path=path,
        )


_SECURITY_EVENTS: Final[dict[int, Event]] = {401: "auth_refused", 403: "denied", 429: "rate_limited"}
"""Refusals for the security log, by HTTP status."""


def _no_fields() -> tuple[()]:
    return ()


async def _ended(_: Message) -> None:
    raise RuntimeError("the request has ended")


_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def _correlation(scope: Scope) -> Correlation:
    """Return the correlation that the request's headers ask for. A header that is repeated is ignored."""
    fields = fields_of(scope)
    request_id, traceparent = fields.get(REQUEST_ID), fields.get(b"traceparent")
    if request_id is None and traceparent is None:
        return Correlation()
    return Correlation.from_headers(_text(request_id), _text(traceparent))


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("latin-1")
