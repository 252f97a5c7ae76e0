"""The guard of every HTTP route, and the list of the routes that need a rule."""

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
"""The sockets that authenticate and authorize their packets themselves."""


def permission_guard(table: ActionTable, socket_paths: Collection[str] = SOCKET_PATHS) -> Guard:
    """The guard to be set on the application, so that no route is without it.

    A route's key is its path template without parameter types, as Litestar puts it into the scope, and the method: one
    look-up in a dict per request. It is ``async``, as Litestar runs other guards in a thread.

    Raised by the guard:
        MissingTokenError: The rule wants a token and the request brought none.
        UnauthenticatedError: It brought one that is not accepted.
        UnavailableError: It brought one that cannot be judged now.
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
    """Who sends the request: the dependency ``principal`` of routes.

    Raises:
        MissingTokenError: The request brought no token; a public route lets it in all the same.
        UnauthenticatedError: It brought one that is not accepted.
        UnavailableError: It brought one that cannot be judged now.
    """
    principal: Principal | None = request.scope["user"]
    if principal is None:
        raise request.scope["auth"] or MissingTokenError()
    return principal


def declared_routes(
    routes: Iterable[BaseRoute], *, socket_paths: Collection[str] = SOCKET_PATHS
) -> Iterator[DeclaredRoute]:
    """What the rules must cover: ``app.routes``, with those that Litestar adds for its documents.

    Left out are the ``OPTIONS`` that Litestar answers itself (it follows the path's other rules) and the sockets that
    guard themselves. A mounted ASGI application and any other socket are listed with a method that no rule can name:
    they would answer whoever comes, so they must be routes instead.

    Args:
        routes: The application's.
        socket_paths: The sockets that guard themselves.
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
