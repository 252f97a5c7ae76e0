"""Key components of Keycloak, which rotate the realm's keys."""

from __future__ import annotations

import base64
from typing import Any

import msgspec
from litestar import Request, Response, delete, get, post, put

from starpost_dev.realm.admin.access import ADMIN_PATH, created, read_json, require
from starpost_dev.realm.errors import AdminError
from starpost_dev.realm.keys import ENCRYPTION_PROVIDER, SIGNING_PROVIDER, KeyComponent
from starpost_dev.realm.realm import Realm

_COMPONENTS = f"{ADMIN_PATH}/components"
_COMPONENT = f"{_COMPONENTS}/{{component_id:str}}"
_KEY_PROVIDER = "org.keycloak.keys.KeyProvider"
_VIEW = ("view-realm", "manage-realm")

HttpRequest = Request[Any, Any, Any]


class ComponentBody(msgspec.Struct, rename="camel"):
    """A ComponentRepresentation of a key; in its `config` every value is a list of strings."""

    name: str
    provider_id: str = ""
    provider_type: str = _KEY_PROVIDER
    config: dict[str, list[str]] = {}

    def flag(self, name: str) -> bool:
        """Return the value of a switch, which is on by default."""
        return self.config.get(name, ["true"]) == ["true"]

    def priority(self) -> int:
        """Return the key's place in the rotation.

        Raises:
            AdminError: it is not a number (400).
        """
        try:
            return int(self.config.get("priority", ["0"])[0])
        except (ValueError, IndexError) as error:
            raise AdminError(400, "'Priority' should be a number", member="errorMessage") from error


@get(f"{ADMIN_PATH}/keys")
async def list_keys(request: HttpRequest, admin: Realm) -> dict[str, Any]:
    """List all keys, and those of them that sign."""
    require(request, *_VIEW)
    signing = admin.keys.signing_key()
    shown = [
        {
            "providerId": key.component.id,
            "providerPriority": key.component.priority,
            "kid": key.kid,
            "status": _status(key.component),
            "type": "RSA",
            "algorithm": key.algorithm,
            "publicKey": base64.b64encode(key.der).decode(),
            "use": key.use.upper(),
        }
        for key in admin.keys
    ]
    return {"active": {signing.algorithm: signing.kid}, "keys": shown}


@get(_COMPONENTS)
async def list_components(request: HttpRequest, admin: Realm) -> list[dict[str, Any]]:
    """List the key components; this realm has no others."""
    require(request, *_VIEW)
    if request.query_params.get("type", _KEY_PROVIDER) != _KEY_PROVIDER:
        return []
    return [_representation(admin, key.component) for key in admin.keys]


@post(_COMPONENTS, status_code=201)
async def create_component(request: HttpRequest, admin: Realm) -> Response[bytes]:
    """Generate a key. With the highest priority, it signs from now on."""
    require(request, "manage-realm")
    body = await read_json(request, ComponentBody)
    if body.provider_type != _KEY_PROVIDER or body.provider_id not in (SIGNING_PROVIDER, ENCRYPTION_PROVIDER):
        raise AdminError(400, "Invalid provider type or no such provider")
    component = admin.keys.add(
        body.name, body.provider_id, body.priority(), enabled=body.flag("enabled"), active=body.flag("active")
    )
    return created(f"{admin.base_url}/admin/realms/{admin.name}/components/{component.id}")


@get(_COMPONENT)
async def get_component(request: HttpRequest, admin: Realm, component_id: str) -> dict[str, Any]:
    """Return one key component."""
    require(request, *_VIEW)
    return _representation(admin, _component(admin, component_id))


@put(_COMPONENT, status_code=204)
async def update_component(request: HttpRequest, admin: Realm, component_id: str) -> None:
    """Change a key's priority, make it passive (it verifies, and signs no more) or switch it off."""
    require(request, "manage-realm")
    component = _component(admin, component_id)
    body = await read_json(request, ComponentBody)
    component.name, component.priority = body.name, body.priority()
    component.enabled, component.active = body.flag("enabled"), body.flag("active")
    admin.keys.save()


@delete(_COMPONENT, status_code=204)
async def delete_component(request: HttpRequest, admin: Realm, component_id: str) -> None:
    """Remove a key. Tokens that it signed are no longer valid."""
    require(request, "manage-realm")
    _component(admin, component_id)
    admin.keys.remove(component_id)


def _component(admin: Realm, component_id: str) -> KeyComponent:
    component = admin.keys.get(component_id)
    if component is None:
        raise AdminError(404, "Could not find component")
    return component


def _status(component: KeyComponent) -> str:
    if not component.enabled:
        return "DISABLED"
    return "ACTIVE" if component.active else "PASSIVE"


def _representation(admin: Realm, component: KeyComponent) -> dict[str, Any]:
    return {
        "id": component.id,
        "name": component.name,
        "providerId": component.provider,
        "providerType": _KEY_PROVIDER,
        "parentId": admin.id,
        "config": {
            "priority": [str(component.priority)],
            "enabled": ["true" if component.enabled else "false"],
            "active": ["true" if component.active else "false"],
        },
    }


ROUTE_HANDLERS = (
    list_keys,
    list_components,
    create_component,
    get_component,
    update_component,
    delete_component,
)
