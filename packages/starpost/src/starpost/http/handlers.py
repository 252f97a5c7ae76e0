"""Prepared route handlers, which compute once what Litestar computes again for each request.

A domain declares its routes with Litestar's ``get``, ``post`` and so on. The registered handlers differ in four places,
each of which falls back to Litestar's own way where a route needs more:

guards        are handed the handler itself, not a copy of it; guards here read
errors        the exception handlers of a route's layers are put together once
dependencies  are made by the plan of ``di``, without coroutines and a check of types for each
answers       a struct, a list or a dict becomes two messages, without response objects in between; header fields that
              the route declares are encoded once
"""

from collections.abc import Callable, Iterable
from typing import Any, Final

from litestar import Litestar, Request, Response, delete, get, patch, post, put
from litestar.connection import ASGIConnection
from litestar.di import Provide
from litestar.enums import MediaType
from litestar.handlers import HTTPRouteHandler, WebsocketRouteHandler, head
from litestar.plugins import ReceiveRoutePlugin
from litestar.routes import BaseRoute, HTTPRoute, WebSocketRoute
from litestar.serialization import encode_json, get_serializer
from litestar.types import ASGIApp, ExceptionHandlersMap, Receive, Scope, Send
from msgspec import Struct

from starpost.di import Plan
from starpost.di.resolution import Resolution

_GIVEN: Final = frozenset({"request"})
"""Names that Litestar provides itself, in addition to the handler's own parameters."""
_KINDS: Final = (get, post, put, patch, delete, head)
_BODILESS: Final = frozenset({204, 304})
"""Statuses without content (RFC 9110, 6.4.1)."""


class PreparedHandler(HTTPRouteHandler):
    """Prepared form of a handler that Litestar has registered."""

    _exception_handlers: "ExceptionHandlersMap | None" = None
    _is_plain: bool | None = None
    _own_fields: tuple[tuple[bytes, bytes], ...] = ()
    _serializer: Callable[[Any], Any] | None = None

    async def authorize_connection(self, connection: ASGIConnection[Any, Any, Any, Any]) -> None:
        """Run the guards of every layer. Litestar copies the handler for each, which costs more than the guards."""
        for guard in self.resolve_guards():
            await guard(connection, self)  # type: ignore[misc]  # always async, once they are resolved

    def resolve_exception_handlers(self) -> ExceptionHandlersMap:
        """Return the exception handlers of all layers, the route's own last."""
        if self._exception_handlers is None:
            self._exception_handlers = super().resolve_exception_handlers()
        return self._exception_handlers

    async def to_response(self, app: Litestar, data: Any, request: Request[Any, Any, Any]) -> ASGIApp:
        """Return the ASGI application that sends the answer."""
        if isinstance(data, Struct | list | dict):
            if self._is_plain is None:
                self._is_plain = _is_plain(self)
                self._own_fields = _own_fields(self)
                # Litestar has encoders for types of its plugins, once Pydantic is installed for whatever reason.
                encoders = self.resolve_type_encoders()
                self._serializer = get_serializer(encoders) if encoders else None
            if self._is_plain:
                return _PlainAnswer(self.status_code, self._own_fields, encode_json(data, self._serializer))
        return await super().to_response(app=app, data=data, request=request)


def _is_plain(handler: HTTPRouteHandler) -> bool:
    """Return whether the answer is only the handler's result as JSON, without further processing."""
    return (
        handler.resolve_return_dto() is None
        and handler.resolve_response_class() is Response
        and handler.media_type == MediaType.JSON
        and 200 <= handler.status_code not in _BODILESS
        and handler.background is None
        and not handler.resolve_response_cookies()
        and not any(header.name.lower().startswith("content-") for header in handler.resolve_response_headers())
        and not any(layer.after_request for layer in handler.ownership_layers)
    )


def _own_fields(handler: HTTPRouteHandler) -> tuple[tuple[bytes, bytes], ...]:
    """Return the header fields that the layers of the route declare, encoded."""
    return tuple(
        (header.name.lower().encode("latin-1"), (header.value or "").encode("latin-1"))
        for header in handler.resolve_response_headers()
        if not header.documentation_only
    )


class _PlainAnswer:
    """Answer that is a JSON document.

    Args:
        status: Status of the answer.
        fields: Header fields beside those of the document.
        body: The document.
    """

    __slots__ = ("_body", "_fields", "_status")

    def __init__(self, status: int, fields: tuple[tuple[bytes, bytes], ...], body: bytes) -> None:
        self._status = status
        self._fields = fields
        self._body = body

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        """Send the head, then the body."""
        body = self._body
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body)), *self._fields]
        await send({"type": "http.response.start", "status": self._status, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": False})


class PlannedParameters:
    """Litestar's model of a route's parameters, with a plan for the dependencies.

    Args:
        model: Model of Litestar.
        plan: Plan of all dependencies that the handler takes.
    """

    __slots__ = ("_plan", "dependency_batches", "has_kwargs", "to_kwargs")

    def __init__(self, model: Any, plan: Plan) -> None:
        self._plan = plan
        self.dependency_batches = model.dependency_batches
        self.has_kwargs = model.has_kwargs
        self.to_kwargs = model.to_kwargs

    async def resolve_dependencies(
        self, _connection: ASGIConnection[Any, Any, Any, Any], values: dict[str, Any]
    ) -> Resolution:
        """Return the context in which the handler runs. Litestar enters it at once.

        Entering adds the dependencies to the values, leaving finishes them.
        """
        return self._plan.resolve(values)


def plan_of(handler: HTTPRouteHandler, batches: Iterable[Iterable[Any]]) -> Plan | None:
    """Return the plan for the dependencies of a handler.

    Args:
        handler: Handler that is registered with its application.
        batches: Batches of dependencies that Litestar would make concurrently, in order.

    Returns:
        ``None`` if Litestar must make them: there are none, one needs a part of the request (a query parameter, a
        header), or several of a batch may wait, which they do concurrently.
    """
    providers = handler.resolve_dependencies()
    for batch in batches:
        provides: list[Provide] = [dependency.provide for dependency in batch]
        if sum(map(_may_wait, provides)) > 1:
            return None
        known = providers.keys() | _GIVEN
        if any(not provide.parsed_fn_signature.parameters.keys() <= known for provide in provides):
            return None
    wanted = tuple(name for name in handler.parsed_fn_signature.parameters if name in providers)
    return Plan(wanted, providers, _GIVEN) if wanted else None


def _may_wait(provide: Provide) -> bool:
    return provide.has_async_generator_dependency or not provide.has_sync_callable


class PreparedSocketHandler(WebsocketRouteHandler):
    """Prepared form of a socket's handler: as for requests, guards are handed the handler itself."""

    # The layout of its base, whose objects become of this class.
    __slots__ = ()

    async def authorize_connection(self, connection: ASGIConnection[Any, Any, Any, Any]) -> None:
        """Run the guards of every layer."""
        for guard in self.resolve_guards():
            await guard(connection, self)  # type: ignore[misc]  # see PreparedHandler


class PreparedHandlers(ReceiveRoutePlugin):
    """Plugin that prepares the handlers of every route."""

    def receive_route(self, route: BaseRoute) -> None:
        """Prepare the handlers of a route. Litestar calls this for each one that it has registered."""
        if isinstance(route, WebSocketRoute) and type(route.route_handler) is WebsocketRouteHandler:
            route.route_handler.__class__ = PreparedSocketHandler
        if not isinstance(route, HTTPRoute):
            return
        for method, (handler, model) in route.route_handler_map.items():
            # These classes add no attributes to their base. The result of ``route``, and Litestar's ``OPTIONS``, have
            # another layout, and stay as they are.
            if type(handler) in _KINDS:
                handler.__class__ = PreparedHandler
            plan = plan_of(handler, model.dependency_batches)
            if plan is not None:
                route.route_handler_map[method] = (handler, PlannedParameters(model, plan))  # type: ignore[assignment]
