"""Clients of the realm: queries, and changes of their settings."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Request, get, put

from starpost_dev.realm.admin.access import ADMIN_PATH, one_page, read_json, require
from starpost_dev.realm.admin.representations import client_representation
from starpost_dev.realm.directory import Client
from starpost_dev.realm.errors import AdminError
from starpost_dev.realm.realm import Realm

_CLIENTS = f"{ADMIN_PATH}/clients"
_CLIENT = f"{_CLIENTS}/{{client_uuid:str}}"
_VIEW = ("view-clients", "manage-clients")

HttpRequest = Request[Any, Any, Any]


class ClientChange(msgspec.Struct, rename="camel"):
    """Change of a client; UNSET members stay as they are."""

    enabled: bool | msgspec.UnsetType = msgspec.UNSET
    name: str | msgspec.UnsetType = msgspec.UNSET
    standard_flow_enabled: bool | msgspec.UnsetType = msgspec.UNSET
    direct_access_grants_enabled: bool | msgspec.UnsetType = msgspec.UNSET
    redirect_uris: list[str] | msgspec.UnsetType = msgspec.UNSET
    web_origins: list[str] | msgspec.UnsetType = msgspec.UNSET
    attributes: dict[str, str] | msgspec.UnsetType = msgspec.UNSET


_TARGETS = {
    "enabled": "enabled",
    "name": "name",
    "standard_flow_enabled": "standard_flow",
    "direct_access_grants_enabled": "direct_access_grants",
    "redirect_uris": "redirect_uris",
    "web_origins": "web_origins",
}


@get(_CLIENTS)
async def find_clients(request: HttpRequest, admin: Realm) -> list[dict[str, Any]]:
    """List all clients, or the one with this `clientId`."""
    require(request, *_VIEW)
    wanted = request.query_params.get("clientId")
    found = [client for name, client in sorted(admin.directory.clients.items()) if wanted in (None, name)]
    return [client_representation(client) for client in one_page(request, found, None)]


@get(_CLIENT)
async def get_client(request: HttpRequest, admin: Realm, client_uuid: str) -> dict[str, Any]:
    """Return one client."""
    require(request, *_VIEW)
    return client_representation(_client(admin, client_uuid))


@put(_CLIENT, status_code=204)
async def update_client(request: HttpRequest, admin: Realm, client_uuid: str) -> None:
    """Change the settings that the body names. Attributes are merged with the existing ones."""
    require(request, "manage-clients")
    client = _client(admin, client_uuid)
    change = await read_json(request, ClientChange)
    for name, target in _TARGETS.items():
        value = getattr(change, name)
        if value is not msgspec.UNSET:
            setattr(client, target, value)
    if isinstance(change.attributes, dict):
        client.attributes |= change.attributes
    admin.save_directory()


def _client(admin: Realm, client_uuid: str) -> Client:
    client = admin.directory.client_by_uuid(client_uuid)
    if client is None:
        raise AdminError(404, "Could not find client")
    return client


ROUTE_HANDLERS = (find_clients, get_client, update_client)
