"""Dependencies of routes that Litestar hands on as they are.

Litestar converts a route's arguments with msgspec, which takes a struct for its own class alone: a route or a provider
that annotates a base of that class answers with status 500. Packets and tasks convert nothing.
"""

from typing import Any

import msgspec
from litestar.plugins import ReceiveRoutePlugin
from litestar.routes import BaseRoute, HTTPRoute


class UncheckedDependencies(ReceiveRoutePlugin):
    """Let routes and providers annotate any base of what a dependency is.

    Args:
        names: Of the dependencies.
    """

    def __init__(self, *names: str) -> None:
        self._names = frozenset(names)

    def receive_route(self, route: BaseRoute) -> None:
        """Called by Litestar with each route that has been registered."""
        if not isinstance(route, HTTPRoute):
            return
        for handler, _ in route.route_handler_map.values():
            handler._signature_model = self._without_check(handler.signature_model)
            for provide in handler.resolve_dependencies().values():
                provide.signature_model = self._without_check(provide.signature_model)

    def _without_check(self, model: Any) -> Any:
        names = self._names & model.__annotations__.keys()
        if all(model.__annotations__[name] is Any for name in names):
            return model
        unchecked = msgspec.defstruct(model.__name__, [(name, Any) for name in names], bases=(model,), kw_only=True)
        # Litestar looks for the wrong ones of all arguments there.
        unchecked.__annotations__ = {**model.__annotations__, **unchecked.__annotations__}
        return unchecked
