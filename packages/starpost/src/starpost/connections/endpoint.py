"""``GET /web``: from the handshake to a running connection.

Guards and Litestar's dependencies are not used here: a guard's refusal closes with a code that says nothing, and
dependencies would live as long as the connection. So Litestar's routing has nothing to add, and sockets are served
before it (``docs/adr/0028-sockets-before-routing.md``). The route stays for paths that only Litestar understands, such
as ``/web/``, and for ``FAST_PATHS=false``.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import structlog
from litestar import WebSocket, websocket
from litestar.handlers import WebsocketRouteHandler
from litestar.types import ASGIApp, Receive, Scope, Send

from starpost.auth.authenticator import Authenticator
from starpost.auth.handshake import chosen_subprotocol, handshake_token
from starpost.connections.connection import Connection, Verifier, verdict_on
from starpost.connections.hub import ConnectionHub
from starpost.connections.limits import ConnectionLimits
from starpost.connections.places import Places
from starpost.connections.registry import ConnectionRegistry
from starpost.connections.transport import forget_handshake, forget_transport, gone, transport_of
from starpost.errors import AppError, UnauthenticatedError
from starpost.header_fields import HTTP, client_address
from starpost.limits import RequestLimits
from starpost.observability.metrics import Metrics
from starpost.observability.security_log import SecurityLog
from starpost.packets.dispatcher import Dispatcher
from starpost.protocol.close_codes import CloseCode, Verdict
from starpost.protocol.codecs import JSON, MSGPACK
from starpost.topics.hub import TopicHub

SOCKET_PATH: Final = "/web"

FAULT: Final = 4500
"""Close code of a fault of the server, as Litestar gives it."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Endpoint of the socket: checks the handshake, and makes the connection from the worker's parts."""

    hub: ConnectionHub
    registry: ConnectionRegistry
    dispatcher: Dispatcher
    verifier: Verifier
    authenticator: Authenticator
    allowed_for: Callable[[frozenset[str]], frozenset[int]]
    limits: ConnectionLimits
    rates: RequestLimits
    topics: TopicHub
    metrics: Metrics
    security: SecurityLog
    is_query_token_accepted: bool
    places: Places

    def route(self, path: str = SOCKET_PATH) -> WebsocketRouteHandler:
        """Return the Litestar route."""

        @websocket(path, name="packets")
        async def packets(socket: WebSocket[Any, Any, Any]) -> None:
            """The socket that all packets go through."""
            try:
                await self.serve(socket.scope, socket.receive, socket.send)
            finally:
                # Litestar's socket holds itself in a circle: see ``forget_transport``.
                socket.receive, socket.send = gone, gone

        return packets

    def around(self, app: ASGIApp) -> ASGIApp:
        """Return the ASGI application that serves sockets of ``SOCKET_PATH`` itself, and hands all else to ``app``."""

        def routed(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
            if scope["type"] == HTTP or scope["path"] != SOCKET_PATH or scope.get("root_path"):
                return app(scope, receive, send)
            return self.serve(scope, receive, send)

        return routed

    async def serve(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one socket from its handshake to its end; log a fault, and close with ``FAULT``."""
        try:
            await self._serve(scope, receive, send)
        except Exception:
            log.exception("socket_failed")
            await send({"type": "websocket.close", "code": FAULT, "reason": "Internal Server Error"})

    async def _serve(self, scope: Any, receive: Any, send: Any) -> None:
        address = client_address(scope)
        transport = transport_of(scope, receive, send)
        token = self._token(scope)
        refusal = None if self._is_known(token) else self.rates.charge_address(scope, send)
        if refusal is not None:
            self.security.record("handshake_refused", reason="rate_limited", address=address)
            await refusal
            forget_transport(scope)
            return
        chosen = chosen_subprotocol(scope)
        connection = Connection(
            transport=transport,
            # Only strangers are weighed. Who brings a token is let in or turned away before any frame is read.
            link=transport.link if token is None else None,
            codec=MSGPACK if chosen == "msgpack" else JSON,
            hub=self.hub,
            registry=self.registry,
            dispatcher=self.dispatcher,
            verifier=self.verifier,
            allowed_for=self.allowed_for,
            limits=self.limits,
            topics=self.topics,
            budgets=self.rates.users,
            metrics=self.metrics,
            security=self.security,
            address=address,
            on_known=partial(self.rates.give_back, scope),
        )
        # The first message is always that the client connects (ASGI).
        await receive()
        await send({"type": "websocket.accept", "subprotocol": chosen, "headers": []})
        self.metrics.connections_opened.inc()
        forget_handshake(scope)
        try:
            verdict = await self._let_in(connection, token)
            del token  # this frame lives as long as the socket
            if verdict is None:
                await connection.run()
            else:
                self.security.record(
                    "handshake_refused", reason=verdict.reason, address=address, connection=connection.id
                )
                with self.places.goodbye() as is_there_time:
                    await connection.turn_away(verdict, is_there_time=is_there_time)
        finally:
            # Here, not in the connection, since one that ends before it runs was counted too.
            connection.release()
            forget_transport(scope)

    def _token(self, scope: Any) -> str | UnauthenticatedError | None:
        """Return the token of the handshake, ``None`` without one, or the error if it is malformed."""
        try:
            return handshake_token(scope, is_query_accepted=self.is_query_token_accepted)
        except UnauthenticatedError as error:
            return error

    def _is_known(self, token: str | UnauthenticatedError | None) -> bool:
        """Return whether the token was verified before, so that verifying it again costs almost nothing."""
        return isinstance(token, str) and self.authenticator.remembers(token)

    async def _let_in(self, connection: Connection, token: str | UnauthenticatedError | None) -> Verdict | None:
        """Admit the client with the token of its handshake, if it has one.

        Returns:
            The verdict if it is refused, else ``None``.
        """
        if self.hub.is_draining:
            return self.hub.restart_verdict()
        try:
            if isinstance(token, UnauthenticatedError):
                raise token
            connection.place = self.places.take(is_stranger=token is None)
            if connection.place is None:
                return Verdict(CloseCode.TRY_AGAIN_LATER, "overloaded")
            principal = await self.places.judge(self.authenticator.authenticate(token))
            if principal is not None:
                await connection.admit(principal)
        except TimeoutError:
            return Verdict(CloseCode.TRY_AGAIN_LATER, "overloaded")
        except AppError as error:
            verdict = verdict_on(error)
            if verdict is None:
                raise
            return verdict
        return None
