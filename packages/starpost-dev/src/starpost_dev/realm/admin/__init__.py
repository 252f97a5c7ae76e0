"""Administration API: users, roles, clients and keys, as in Keycloak's Admin REST API.

The roles of the client `realm-management` grant permissions, as in Keycloak.
"""

from __future__ import annotations

from litestar.types import ControllerRouterHandler

from starpost_dev.realm.admin import clients, keys, roles, settings, users

ROUTE_HANDLERS: tuple[ControllerRouterHandler, ...] = (
    *users.ROUTE_HANDLERS,
    *roles.ROUTE_HANDLERS,
    *clients.ROUTE_HANDLERS,
    *keys.ROUTE_HANDLERS,
    *settings.ROUTE_HANDLERS,
)
