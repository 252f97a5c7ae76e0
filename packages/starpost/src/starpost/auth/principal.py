"""Who a caller is, as a verified token says."""

import msgspec


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """The subject of a verified access token.

    A caller without a token is ``None``, never a principal without roles. Times are seconds since the epoch.
    """

    user_id: str
    """The claim ``sub``: stable, unlike the name."""

    username: str
    """The claim ``preferred_username``; ``sub`` where the realm does not send it."""

    roles: frozenset[str]
    """``realm_access.roles`` and ``resource_access[KEYCLOAK_CLIENT_ID].roles``, composites expanded by Keycloak."""

    issued_at: float
    expires_at: float

    session_id: str | None
    """The claim ``sid``, which a back-channel logout names. ``None`` for a program that signed in as itself."""

    key_id: str = ""
    """The ``kid`` of the key that signed the token. When the realm withdraws the key, the principal is nobody."""
