"""Conversion of users, roles and clients to and from the shapes of Keycloak's Admin REST API."""

from __future__ import annotations

from typing import Any

import msgspec

from starpost_dev.realm.directory import Client, Role, User
from starpost_dev.realm.errors import AdminError
from starpost_dev.realm.passwords import PasswordHash
from starpost_dev.realm.realm import Realm
from starpost_dev.realm.realm_file import CredentialEntry
from starpost_dev.realm.sessions import UserSession

_UPDATE_PASSWORD = "UPDATE_PASSWORD"  # noqa: S105 - the name of a required action
# Members of Keycloak's UserRepresentation that this realm ignores: a program may send back what it received.
_READ_OVER = frozenset(
    {
        "access",
        "clientConsents",
        "clientRoles",
        "createdTimestamp",
        "disableableCredentialTypes",
        "federatedIdentities",
        "federationLink",
        "groups",
        "id",
        "notBefore",
        "origin",
        "realmRoles",
        "self",
        "serviceAccountClientId",
        "totp",
        "userProfileMetadata",
    }
)


class UserChange(msgspec.Struct, rename="camel"):
    """Change of a user; UNSET members stay as they are."""

    username: str | msgspec.UnsetType = msgspec.UNSET
    enabled: bool | msgspec.UnsetType = msgspec.UNSET
    email_verified: bool | msgspec.UnsetType = msgspec.UNSET
    email: str | msgspec.UnsetType | None = msgspec.UNSET
    first_name: str | msgspec.UnsetType | None = msgspec.UNSET
    last_name: str | msgspec.UnsetType | None = msgspec.UNSET
    attributes: dict[str, list[str]] | msgspec.UnsetType | None = msgspec.UNSET
    credentials: list[CredentialEntry] | msgspec.UnsetType | None = msgspec.UNSET
    required_actions: list[str] | msgspec.UnsetType | None = msgspec.UNSET


def read_user_change(body: dict[str, Any]) -> UserChange:
    """Read a UserRepresentation.

    Raises:
        AdminError: it has a member that Keycloak does not know, or one of a wrong type (400).
    """
    known = {field.encode_name for field in msgspec.structs.fields(UserChange)}
    for name in body:
        if name not in known and name not in _READ_OVER:
            raise AdminError(
                400, f'Invalid json representation for UserRepresentation. Unrecognized field "{name}" at line 1.'
            )
    try:
        return msgspec.convert(body, UserChange)
    except msgspec.ValidationError as error:
        raise AdminError(400, f"Invalid json representation for UserRepresentation. {error}") from error


def apply_user_change(realm: Realm, user: User, change: UserChange) -> None:
    """Apply a change to a user completely, or not at all.

    Raises:
        AdminError: the name or the address is taken (409), or the address or a credential is invalid (400).
    """
    changed = msgspec.structs.replace(user)
    for name in ("enabled", "email_verified", "first_name", "last_name"):
        value = getattr(change, name)
        if value is not msgspec.UNSET:
            setattr(changed, name, value)
    if isinstance(change.username, str):
        changed.username = change.username.lower()
    if change.email is not msgspec.UNSET:
        changed.email = _read_email(change.email)
    if change.attributes is not msgspec.UNSET:
        changed.attributes = change.attributes or {}
    if isinstance(change.required_actions, list):
        changed.password_is_temporary = _UPDATE_PASSWORD in change.required_actions
    if isinstance(change.credentials, list):
        for credential in change.credentials:
            set_password(changed, credential)
    _demand_unique(realm, changed)
    for name in User.__struct_fields__:
        setattr(user, name, getattr(changed, name))


def _read_email(value: str | None) -> str | None:
    if not value:
        return None
    local, _, domain = value.partition("@")
    if not local or not domain:
        raise AdminError(400, "error-invalid-email", member="errorMessage")
    return value.lower()


def _demand_unique(realm: Realm, user: User) -> None:
    for other in realm.directory.users.values():
        if other.id == user.id:
            continue
        if other.username == user.username:
            raise AdminError(409, "User exists with same username", member="errorMessage")
        if user.email and other.email == user.email:
            raise AdminError(409, "User exists with same email", member="errorMessage")


def set_password(user: User, credential: CredentialEntry) -> None:
    """Replace a user's password. The user must change a temporary one before signing in.

    Raises:
        AdminError: the credential holds no password (400).
    """
    if credential.type != "password" or not credential.value:
        raise AdminError(400, "No password provided")
    user.password = PasswordHash.of(credential.value)
    user.password_is_temporary = credential.temporary


def user_representation(user: User, *, brief: bool = False) -> dict[str, Any]:
    """Return a UserRepresentation."""
    named = {"firstName": user.first_name, "lastName": user.last_name, "email": user.email}
    shown: dict[str, Any] = {"id": user.id, "username": user.username}
    shown |= {name: value for name, value in named.items() if value}
    shown |= {"emailVerified": user.email_verified, "enabled": user.enabled, "createdTimestamp": user.created}
    if not brief:
        if user.attributes:
            shown["attributes"] = user.attributes
        shown |= {
            "totp": False,
            "disableableCredentialTypes": [],
            "requiredActions": [_UPDATE_PASSWORD] if user.password_is_temporary else [],
            "notBefore": user.not_before,
        }
    return shown


def session_representation(realm: Realm, session: UserSession) -> dict[str, Any]:
    """Return a UserSessionRepresentation; times are milliseconds since the epoch."""
    user = realm.directory.users[session.user_id]
    return {
        "id": session.id,
        "username": user.username,
        "userId": user.id,
        "ipAddress": session.ip_address,
        "start": session.started * 1000,
        "lastAccess": session.last_refresh * 1000,
        "rememberMe": False,
        "clients": {realm.directory.clients[name].id: name for name in session.clients},
        "transientUser": False,
    }


def role_representation(realm: Realm, role: Role) -> dict[str, Any]:
    """Return a RoleRepresentation."""
    client = realm.directory.clients.get(role.key.client)
    shown: dict[str, Any] = {"id": role.id, "name": role.key.name}
    if role.description:
        shown["description"] = role.description
    return shown | {
        "composite": bool(role.composites),
        "clientRole": client is not None,
        "containerId": client.id if client else realm.id,
    }


def client_representation(client: Client) -> dict[str, Any]:
    """Return a ClientRepresentation."""
    shown: dict[str, Any] = {"id": client.id, "clientId": client.client_id}
    if client.name:
        shown["name"] = client.name
    if not client.public and client.secret:
        shown["secret"] = client.secret
    return shown | {
        "enabled": client.enabled,
        "protocol": "openid-connect",
        "publicClient": client.public,
        "bearerOnly": client.bearer_only,
        "standardFlowEnabled": client.standard_flow,
        "implicitFlowEnabled": False,
        "directAccessGrantsEnabled": client.direct_access_grants,
        "serviceAccountsEnabled": client.service_accounts,
        "fullScopeAllowed": True,
        "redirectUris": client.redirect_uris,
        "webOrigins": client.web_origins,
        "attributes": client.attributes,
        "protocolMappers": [
            {"name": mapper.name, "protocolMapper": mapper.protocol_mapper, "config": mapper.config}
            for mapper in client.mappers
        ],
        "defaultClientScopes": ["web-origins", "acr", "profile", "roles", "basic", "email"],
    }
