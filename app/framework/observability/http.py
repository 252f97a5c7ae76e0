"""Around every HTTP request and socket: its correlation, its line in the access log, its count."""

from collections.abc import Awaitable
from http import HTTPStatus
from time import perf_counter
from typing import Any, Final

from litestar import Litestar
from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

from app.framework.observability import correlation
from app.framework.observability.access_log import AccessLog
from app.framework.observability.correlation import Correlation
from app.framework.observability.metrics import Metrics
from app.framework.observability.security_log import Event, SecurityLog

REQUEST_ID: Final = b"x-request-id"
UNMATCHED: Final = "(unmatched)"
"""The path of requests that no route takes: what they name is theirs, and would be a label for each."""


def observe(app: Litestar, metrics: Metrics, security: SecurityLog) -> None:
    """Put the observer around the application, outside of its routing: so that a 404 is seen, too."""
    observer = HTTPObserver(app.asgi_handler, metrics, security)
    app.asgi_handler = observer
    # After the lifespan's managers, and so after the last request.
    app.on_shutdown.append(observer.flush)


class HTTPObserver:
    """The ASGI middleware.

    Args:
        app: The next ASGI application.
        metrics: The worker's.
        security: The worker's; it gets what was refused to a client.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, security: SecurityLog) -> None:
        self._app = app
        self._metrics = metrics
        self._security = security
        self._access = AccessLog()

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Handle one connection, as the ASGI specification says."""
        if scope["type"] == ScopeType.HTTP:
            return self._request(scope, receive, send)
        return self._socket(scope, receive, send)

    def flush(self) -> None:
        """Write the lines that wait."""
        self._access.flush()

    async def _socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        token = correlation.enter(_correlation(scope["headers"]))
        try:
            await self._app(scope, receive, send)
        finally:
            correlation.leave(token)

    async def _request(self, scope: HTTPScope, receive: Receive, send: Send) -> None:
        started = perf_counter()
        status = 0
        current = _correlation(scope["headers"])
        token = correlation.enter(current)

        def sending(message: Message) -> Awaitable[None]:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (REQUEST_ID, current.id.encode())]
            # Handed on and not awaited here: a coroutine less for each message.
            return send(message)

        try:
            await self._app(scope, receive, sending)
        except Exception:
            # The answer had begun, or could not be made: what is left is to say so, once. The server ends the request.
            self._access.broken(status)
            raise
        finally:
            seconds = perf_counter() - started
            path = scope.get("path_template") or UNMATCHED
            method = scope["method"] if scope["method"] in _METHODS else "(other)"
            # Without a status the client went before it got one; 499 is nginx's word for it.
            self._metrics.request(method, path, status or 499, seconds)
            self._access.write(scope, path, status or 499, seconds, current.id)
            if status in _SECURITY_EVENTS:
                self._refused(scope, method, path, status)
            correlation.leave(token)

    def _refused(self, scope: HTTPScope, method: str, path: str, status: int) -> None:
        user, error, client = scope.get("user"), scope.get("auth"), scope["client"]
        self._security.record(
            _SECURITY_EVENTS[status],
            reason=error.code if status == HTTPStatus.UNAUTHORIZED and error is not None else None,
            user=None if user is None else user.username,
            address=client[0] if client else None,
            method=method,
            path=path,
        )


_SECURITY_EVENTS: Final[dict[int, Event]] = {401: "auth_refused", 403: "denied", 429: "rate_limited"}
"""Refusals for the security log, by HTTP status."""

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def _correlation(headers: Any) -> Correlation:
    """From the request's headers; of several of one name the first counts."""
    request_id = traceparent = None
    for name, value in headers:
        if name == REQUEST_ID and request_id is None:
            request_id = value.decode("latin-1")
        elif name == b"traceparent" and traceparent is None:
            traceparent = value.decode("latin-1")
    return Correlation.from_headers(request_id, traceparent)
