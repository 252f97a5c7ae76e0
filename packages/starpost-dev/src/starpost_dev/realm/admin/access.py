"""Permissions of the administration API, and parsing of its requests."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import msgspec
from litestar import Request, Response

from starpost_dev.realm import builtin
from starpost_dev.realm.endpoints import user_of_token
from starpost_dev.realm.errors import AdminError
from starpost_dev.realm.realm import Realm

ADMIN_PATH = "/admin/realms/{realm_name:str}"

_T = TypeVar("_T")
_MAX_PAGE = 100


async def provide_administered_realm(request: Request[Any, Any, Any]) -> Realm:
    """Return the realm that the path names, for a caller with a valid token of it.

    Raises:
        AdminError: no valid token (401), or no such realm (404).
    """
    realm: Realm = request.app.state.realm
    scheme, _, bearer = request.headers.get("Authorization", "").partition(" ")
    claims = realm.tokens.verify(bearer) if scheme.lower() == "bearer" else None
    user = user_of_token(realm, claims) if claims and claims.get("typ") == "Bearer" else None
    if user is None:
        raise AdminError(401, "HTTP 401 Unauthorized")
    if request.path_params.get("realm_name") != realm.name:
        raise AdminError(404, "Realm not found.")
    request.state.admin_roles = {
        role.name for role in realm.directory.effective_roles(user.roles) if role.client == builtin.MANAGEMENT_CLIENT
    }
    return realm


def require(request: Request[Any, Any, Any], *roles: str) -> None:
    """Check that the caller has one of these roles of the client `realm-management`.

    Raises:
        AdminError: the caller has none of them (403).
    """
    if request.state.admin_roles.isdisjoint(roles):
        raise AdminError(403, "HTTP 403 Forbidden")


async def read_json(request: Request[Any, Any, Any], type_: type[_T]) -> _T:
    """Decode the body as a value of this type.

    Raises:
        AdminError: it is not JSON, or is something else (400).
    """
    try:
        return msgspec.json.decode(await request.body(), type=type_)
    except msgspec.ValidationError as error:
        raise AdminError(400, f"Invalid json representation: {error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise AdminError(400, "Cannot parse the JSON") from error


def one_page(request: Request[Any, Any, Any], found: Iterable[_T], default: int | None = _MAX_PAGE) -> Sequence[_T]:
    """Return the part of a list that `first` and `max` select.

    Raises:
        AdminError: one of them is not a number (404, as Keycloak answers).
    """
    items = list(found)
    try:
        first = int(request.query_params.get("first", "0"))
        limit = request.query_params.get("max")
        longest = default if limit is None else int(limit)
    except ValueError as error:
        raise AdminError(404, "HTTP 404 Not Found") from error
    first = max(first, 0)
    return items[first:] if longest is None or longest < 0 else items[first : first + longest]


def created(location: str) -> Response[bytes]:
    """Answer a creation with the new resource's URL and no body."""
    return Response(b"", status_code=201, headers={"Location": location})
