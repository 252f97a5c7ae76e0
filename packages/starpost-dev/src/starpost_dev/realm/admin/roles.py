"""Roles of the realm and of its clients."""

from __future__ import annotations

import uuid
from typing import Any

import msgspec
from litestar import Request, Response, delete, get, post

from starpost_dev.realm.admin.access import ADMIN_PATH, created, one_page, read_json, require
from starpost_dev.realm.admin.representations import role_representation, user_representation
from starpost_dev.realm.directory import Role, RoleKey
from starpost_dev.realm.errors import AdminError
from starpost_dev.realm.realm import Realm

_ROLES = f"{ADMIN_PATH}/roles"
_ROLE = f"{_ROLES}/{{name:str}}"
_CLIENT_ROLES = f"{ADMIN_PATH}/clients/{{client_uuid:str}}/roles"
_CLIENT_ROLE = f"{_CLIENT_ROLES}/{{name:str}}"
_VIEW = ("view-realm", "manage-realm")
_VIEW_CLIENT = ("view-clients", "manage-clients")

HttpRequest = Request[Any, Any, Any]


class NewRole(msgspec.Struct):
    """Role to create."""

    name: str
    description: str | None = None


@get([_ROLES, _CLIENT_ROLES])
async def list_roles(request: HttpRequest, admin: Realm, client_uuid: str = "") -> list[dict[str, Any]]:
    """List the roles of the realm or of a client; `search` matches a part of the name."""
    container = _container(request, admin, client_uuid)
    search = request.query_params.get("search", "").lower()
    found = [key for key in sorted(admin.directory.roles) if key.client == container and search in key.name.lower()]
    return [role_representation(admin, admin.directory.roles[key]) for key in one_page(request, found, None)]


@get([_ROLE, _CLIENT_ROLE])
async def get_role(request: HttpRequest, admin: Realm, name: str, client_uuid: str = "") -> dict[str, Any]:
    """Return one role."""
    role = _role(admin, RoleKey(name, _container(request, admin, client_uuid)))
    return role_representation(admin, role) | {"attributes": {}}


@get([f"{_ROLE}/composites", f"{_CLIENT_ROLE}/composites"])
async def list_composites(request: HttpRequest, admin: Realm, name: str, client_uuid: str = "") -> list[dict[str, Any]]:
    """List the direct composites of a role."""
    role = _role(admin, RoleKey(name, _container(request, admin, client_uuid)))
    return [role_representation(admin, admin.directory.roles[key]) for key in role.composites]


@get(f"{_ROLE}/users")
async def list_members(request: HttpRequest, admin: Realm, name: str) -> list[dict[str, Any]]:
    """List the users to whom a realm role is assigned."""
    require(request, *_VIEW)
    require(request, "view-users", "manage-users", "query-users")
    key = _role(admin, RoleKey(name)).key
    members = [user for user in admin.directory.users.values() if key in user.roles]
    return [user_representation(user) for user in one_page(request, sorted(members, key=lambda user: user.username))]


@post(_ROLES, status_code=201)
async def create_role(request: HttpRequest, admin: Realm) -> Response[bytes]:
    """Create a realm role."""
    require(request, "manage-realm")
    new = await read_json(request, NewRole)
    key = RoleKey(new.name)
    if key in admin.directory.roles:
        raise AdminError(409, f"Role with name {new.name} already exists", member="errorMessage")
    admin.directory.roles[key] = Role(str(uuid.uuid4()), key, new.description)
    admin.save_directory()
    return created(f"{admin.base_url}/admin/realms/{admin.name}/roles/{new.name}")


@delete(_ROLE, status_code=204)
async def delete_role(request: HttpRequest, admin: Realm, name: str) -> None:
    """Remove a realm role, also from its users."""
    require(request, "manage-realm")
    admin.directory.remove_role(_role(admin, RoleKey(name)).key)
    admin.save_directory()


def _container(request: HttpRequest, admin: Realm, client_uuid: str) -> str:
    """Return the clientId of the roles, empty for the realm's, if the caller may see them."""
    if not client_uuid:
        require(request, *_VIEW)
        return ""
    require(request, *_VIEW_CLIENT)
    client = admin.directory.client_by_uuid(client_uuid)
    if client is None:
        raise AdminError(404, "Could not find client")
    return client.client_id


def _role(admin: Realm, key: RoleKey) -> Role:
    role = admin.directory.roles.get(key)
    if role is None:
        raise AdminError(404, "Could not find role")
    return role


ROUTE_HANDLERS = (list_roles, get_role, list_composites, list_members, create_role, delete_role)
