"""Principal: the identity of a caller, from a verified token."""

import msgspec


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """Subject of a verified access token.

    A caller without a token is ``None``, never a principal without roles. Times are seconds since the epoch.
    """

    user_id: str
    """Claim ``sub``: stable, unlike the name."""

    username: str
    """Claim ``preferred_username``; ``sub`` if the realm does not send it."""

    roles: frozenset[str]
    """Claims ``realm_access.roles`` and ``resource_access[KEYCLOAK_CLIENT_ID].roles``; Keycloak expands composites."""

    issued_at: float
    expires_at: float

    session_id: str | None
    """Claim ``sid``, which a back-channel logout names. ``None`` for a service account."""

    key_id: str = ""
    """Header ``kid`` of the token. When the realm withdraws this key, the principal is refused."""
