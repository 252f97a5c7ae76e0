"""Settings of the realm."""

from __future__ import annotations

from typing import Any

from litestar import Request, get

from starpost_dev.realm.admin.access import ADMIN_PATH, require
from starpost_dev.realm.realm import Realm


@get(ADMIN_PATH)
async def get_realm(request: Request[Any, Any, Any], admin: Realm) -> dict[str, Any]:
    """Return a RealmRepresentation: the settings that the realm file may set."""
    require(request, "view-realm", "manage-realm")
    settings = admin.settings
    return {
        "id": admin.id,
        "realm": admin.name,
        "displayName": admin.title,
        "enabled": settings.enabled,
        "defaultSignatureAlgorithm": "RS256",
        "revokeRefreshToken": settings.revoke_refresh_token,
        "refreshTokenMaxReuse": settings.refresh_token_max_reuse,
        "attributes": settings.attributes,
        "accessTokenLifespan": settings.access_token_lifespan,
        "accessCodeLifespan": settings.access_code_lifespan,
        "accessCodeLifespanLogin": settings.access_code_lifespan_login,
        "ssoSessionIdleTimeout": settings.sso_session_idle_timeout,
        "ssoSessionMaxLifespan": settings.sso_session_max_lifespan,
        "sslRequired": "external",
    }


ROUTE_HANDLERS = (get_realm,)
