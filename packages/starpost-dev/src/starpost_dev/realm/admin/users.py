"""Users of the realm: queries and changes, passwords, roles and sessions."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from typing import Any

from litestar import Request, Response, delete, get, post, put

from starpost_dev.realm.admin.access import ADMIN_PATH, created, one_page, read_json, require
from starpost_dev.realm.admin.representations import (
    apply_user_change,
    client_representation,
    read_user_change,
    role_representation,
    session_representation,
    set_password,
    user_representation,
)
from starpost_dev.realm.backchannel import end_session
from starpost_dev.realm.directory import Client, RoleKey, User
from starpost_dev.realm.errors import AdminError
from starpost_dev.realm.realm import Realm
from starpost_dev.realm.realm_file import CredentialEntry

_USERS = f"{ADMIN_PATH}/users"
_USER = f"{_USERS}/{{user_id:str}}"
_REALM_ROLES = f"{_USER}/role-mappings/realm"
_CLIENT_ROLES = f"{_USER}/role-mappings/clients/{{client_uuid:str}}"
_VIEW = ("view-users", "manage-users")
_MANAGE = "manage-users"
_FIELDS = {"username": "username", "email": "email", "firstName": "first_name", "lastName": "last_name"}

HttpRequest = Request[Any, Any, Any]


@get(_USERS)
async def find_users(request: HttpRequest, admin: Realm) -> list[dict[str, Any]]:
    """List the users that match the query, ordered by name."""
    require(request, *_VIEW)
    brief = request.query_params.get("briefRepresentation") == "true"
    return [user_representation(user, brief=brief) for user in one_page(request, _found(request, admin))]


@get(f"{_USERS}/count")
async def count_users(request: HttpRequest, admin: Realm) -> int:
    """Count the users that match the query."""
    require(request, *_VIEW)
    return sum(1 for _ in _found(request, admin))


@post(_USERS, status_code=201)
async def create_user(request: HttpRequest, admin: Realm) -> Response[bytes]:
    """Create a user with the default roles; `Location` names the new resource."""
    require(request, _MANAGE)
    change = read_user_change(await read_json(request, dict[str, Any]))
    if not isinstance(change.username, str) or not change.username:
        raise AdminError(400, "User name is missing", member="errorMessage")
    user = User(str(uuid.uuid4()), change.username.lower(), enabled=False)
    apply_user_change(admin, user, change)
    admin.directory.add_user(user)
    admin.save_directory()
    return created(f"{admin.base_url}/admin/realms/{admin.name}/users/{user.id}")


@get(_USER)
async def get_user(request: HttpRequest, admin: Realm, user_id: str) -> dict[str, Any]:
    """Return one user."""
    require(request, *_VIEW)
    return user_representation(_user(admin, user_id))


@put(_USER, status_code=204)
async def update_user(request: HttpRequest, admin: Realm, user_id: str) -> None:
    """Change the members that the body names; the others stay."""
    require(request, _MANAGE)
    user = _user(admin, user_id)
    apply_user_change(admin, user, read_user_change(await read_json(request, dict[str, Any])))
    admin.save_directory()


@delete(_USER, status_code=204)
async def delete_user(request: HttpRequest, admin: Realm, user_id: str) -> None:
    """Remove a user and the user's sessions. As in Keycloak, clients are not notified."""
    require(request, _MANAGE)
    user = _user(admin, user_id)
    for session in admin.sessions.of_user(user.id):
        admin.sessions.end(session)
    del admin.directory.users[user.id]
    admin.save_directory()


@put(f"{_USER}/reset-password", status_code=204)
async def reset_password(request: HttpRequest, admin: Realm, user_id: str) -> None:
    """Replace a user's password."""
    require(request, _MANAGE)
    set_password(_user(admin, user_id), await read_json(request, CredentialEntry))
    admin.save_directory()


@post(f"{_USER}/logout", status_code=204)
async def log_out_user(request: HttpRequest, admin: Realm, user_id: str) -> None:
    """End all sessions of a user and notify their clients."""
    require(request, _MANAGE)
    user = _user(admin, user_id)
    user.not_before = int(time.time())
    for session in admin.sessions.of_user(user.id):
        await end_session(admin, session)
    admin.save_directory()


@get(f"{_USER}/sessions")
async def list_sessions(request: HttpRequest, admin: Realm, user_id: str) -> list[dict[str, Any]]:
    """List the live sessions of a user."""
    require(request, *_VIEW)
    sessions = admin.sessions.of_user(_user(admin, user_id).id)
    return [session_representation(admin, session) for session in sessions]


@delete(f"{ADMIN_PATH}/sessions/{{session_id:str}}", status_code=204)
async def end_one_session(request: HttpRequest, admin: Realm, session_id: str) -> None:
    """End one session and notify its clients."""
    require(request, _MANAGE)
    session = admin.sessions.get(session_id)
    if session is None:
        raise AdminError(404, "Session not found")
    await end_session(admin, session)


# ---- a user's roles -------------------------------------------------------------------------------------------------


@get(f"{_USER}/role-mappings")
async def list_all_roles(request: HttpRequest, admin: Realm, user_id: str) -> dict[str, Any]:
    """List the roles that are assigned to a user, by container."""
    require(request, *_VIEW)
    user = _user(admin, user_id)
    shown: dict[str, Any] = {}
    for key in user.roles:
        role = role_representation(admin, admin.directory.roles[key])
        if not key.client:
            shown.setdefault("realmMappings", []).append(role)
            continue
        client = client_representation(admin.directory.clients[key.client])
        of_client = {"id": client["id"], "client": client["clientId"], "mappings": []}
        shown.setdefault("clientMappings", {}).setdefault(key.client, of_client)["mappings"].append(role)
    return shown


@get([_REALM_ROLES, _CLIENT_ROLES])
async def list_roles(request: HttpRequest, admin: Realm, user_id: str, client_uuid: str = "") -> list[dict[str, Any]]:
    """List the roles of the realm or of one client that are assigned to a user."""
    require(request, *_VIEW)
    user, container = _user(admin, user_id), _container(admin, client_uuid)
    return _shown(admin, (key for key in user.roles if key.client == container))


@get([f"{_REALM_ROLES}/composite", f"{_CLIENT_ROLES}/composite"])
async def list_effective_roles(
    request: HttpRequest, admin: Realm, user_id: str, client_uuid: str = ""
) -> list[dict[str, Any]]:
    """List these roles and their composites."""
    require(request, *_VIEW)
    user, container = _user(admin, user_id), _container(admin, client_uuid)
    return _shown(admin, (key for key in admin.directory.effective_roles(user.roles) if key.client == container))


@get([f"{_REALM_ROLES}/available", f"{_CLIENT_ROLES}/available"])
async def list_available_roles(
    request: HttpRequest, admin: Realm, user_id: str, client_uuid: str = ""
) -> list[dict[str, Any]]:
    """List the roles that are not assigned yet."""
    require(request, *_VIEW)
    user, container = _user(admin, user_id), _container(admin, client_uuid)
    return _shown(
        admin, (key for key in sorted(admin.directory.roles) if key.client == container and key not in user.roles)
    )


@post([_REALM_ROLES, _CLIENT_ROLES], status_code=204)
async def assign_roles(request: HttpRequest, admin: Realm, user_id: str, client_uuid: str = "") -> None:
    """Give roles to a user."""
    require(request, _MANAGE)
    user = _user(admin, user_id)
    named = await _named_roles(request, admin, client_uuid)
    user.roles += [key for key in named if key not in user.roles]
    admin.save_directory()


@delete([_REALM_ROLES, _CLIENT_ROLES], status_code=204)
async def remove_roles(request: HttpRequest, admin: Realm, user_id: str, client_uuid: str = "") -> None:
    """Take roles from a user."""
    require(request, _MANAGE)
    user = _user(admin, user_id)
    named = await _named_roles(request, admin, client_uuid)
    user.roles = [key for key in user.roles if key not in named]
    admin.save_directory()


def _found(request: HttpRequest, admin: Realm) -> Iterator[User]:
    query = request.query_params
    is_exact = query.get("exact") == "true"
    search = query.get("search", "").lower()
    wanted = {attribute: query[name].lower() for name, attribute in _FIELDS.items() if name in query}
    for user in sorted(admin.directory.users.values(), key=lambda user: user.username):
        # As in Keycloak, lists do not contain the accounts of clients, but a name or an address finds them.
        if (user.service_account_of and not wanted) or (search and not _matches_search(user, search)):
            continue
        if "enabled" in query and user.enabled is not (query["enabled"] == "true"):
            continue
        have = {attribute: (getattr(user, attribute) or "").lower() for attribute in wanted}
        if all(have[name] == value if is_exact else value in have[name] for name, value in wanted.items()):
            yield user


def _matches_search(user: User, search: str) -> bool:
    return any(
        value and search in value.lower() for value in (user.username, user.email, user.first_name, user.last_name)
    )


def _user(admin: Realm, user_id: str) -> User:
    user = admin.directory.users.get(user_id)
    if user is None:
        raise AdminError(404, "User not found")
    return user


def _container(admin: Realm, client_uuid: str) -> str:
    """Return the clientId of the roles; empty for the realm's."""
    if not client_uuid:
        return ""
    client: Client | None = admin.directory.client_by_uuid(client_uuid)
    if client is None:
        raise AdminError(404, "Client not found")
    return client.client_id


async def _named_roles(request: HttpRequest, admin: Realm, client_uuid: str) -> list[RoleKey]:
    container = _container(admin, client_uuid)
    keys = []
    for entry in await read_json(request, list[dict[str, Any]]):
        key = RoleKey(str(entry.get("name")), container)
        role = admin.directory.roles.get(key)
        if role is None or role.id != entry.get("id"):
            raise AdminError(404, "Role not found")
        keys.append(key)
    return keys


def _shown(admin: Realm, keys: Iterator[RoleKey]) -> list[dict[str, Any]]:
    return [role_representation(admin, admin.directory.roles[key]) for key in keys]


ROUTE_HANDLERS = (
    find_users,
    count_users,
    create_user,
    get_user,
    update_user,
    delete_user,
    reset_password,
    log_out_user,
    list_sessions,
    end_one_session,
    list_all_roles,
    list_roles,
    list_effective_roles,
    list_available_roles,
    assign_roles,
    remove_roles,
)
