"""Guard of every HTTP route, and the list of the routes that need a rule."""

from collections.abc import Collection, Iterable, Iterator
from typing import Any

from litestar.connection import ASGIConnection
from litestar.enums import ScopeType
from litestar.handlers import BaseRouteHandler
from litestar.routes import BaseRoute, HTTPRoute
from litestar.types import Guard

from starpost.auth.challenge import MissingTokenError
from starpost.auth.principal import Principal
from starpost.errors import PermissionDeniedError
from starpost.header_fields import HTTP
from starpost.rbac.actions import ActionTable
from starpost.rbac.coverage import DeclaredRoute
from starpost.source_location import location_of

SOCKET_PATHS = frozenset({"/web"})
"""Paths of sockets that authenticate and authorize their packets themselves."""


def permission_guard(table: ActionTable, socket_paths: Collection[str] = SOCKET_PATHS) -> Guard:
    """Make the guard. Set it on the application, so that it covers every route.

    The key of a route is its method and its path template without parameter types, which Litestar puts into the scope:
    one look-up in a dict per request. The guard is ``async``, because Litestar runs other guards in a thread.

    Raised by the guard:
        MissingTokenError: The rule requires a token and the request has none.
        UnauthenticatedError: The token is not accepted.
        UnavailableError: The token cannot be verified now.
        PermissionDeniedError: A role is missing, or the route has no rule.
    """
    socket_paths = frozenset(socket_paths)

    async def guard(connection: ASGIConnection[Any, Any, Any, Any], _handler: BaseRouteHandler) -> None:
        """Let the connection through, or raise."""
        scope = connection.scope
        template: str = scope["path_template"]
        if scope["type"] != HTTP:
            if template not in socket_paths:
                raise PermissionDeniedError
            return
        rule = table.http_rule(template, scope["method"])
        if rule is None:
            raise PermissionDeniedError
        if rule.is_public:
            return
        if not rule.allows(principal_of(connection).roles):
            raise PermissionDeniedError

    return guard


def principal_of(request: ASGIConnection[Any, Any, Any, Any]) -> Principal:
    """Return the principal of the request; the dependency ``principal`` of routes.

    Raises:
        MissingTokenError: The request has no token, which a public route allows.
        UnauthenticatedError: The token is not accepted.
        UnavailableError: The token cannot be verified now.
    """
    principal: Principal | None = request.scope["user"]
    if principal is None:
        raise request.scope["auth"] or MissingTokenError()
    return principal


def declared_routes(
    routes: Iterable[BaseRoute], *, socket_paths: Collection[str] = SOCKET_PATHS
) -> Iterator[DeclaredRoute]:
    """Yield the routes that need a rule: ``app.routes``, with those that Litestar adds for its documents.

    Two kinds are left out: ``OPTIONS`` that Litestar answers itself, which follows the other rules of its path, and
    sockets that guard themselves. A mounted ASGI application and any other socket are listed with a method that no rule
    can name: they would answer everybody, so they must become routes.

    Args:
        routes: Routes of the application.
        socket_paths: Paths of the sockets that guard themselves.
    """
    for route in routes:
        if isinstance(route, HTTPRoute):
            for method, (handler, _) in route.route_handler_map.items():
                if handler.fn.__module__ != HTTPRoute.__module__:
                    yield DeclaredRoute(route.path_format, method, location_of(handler.fn))
        elif not (route.scope_type == ScopeType.WEBSOCKET and route.path_format in socket_paths):
            handler = route.route_handler  # type: ignore[attr-defined]  # of WebSocketRoute and ASGIRoute
            kind = "WEBSOCKET" if route.scope_type == ScopeType.WEBSOCKET else "MOUNT"
            yield DeclaredRoute(route.path_format, kind, location_of(handler.fn))
