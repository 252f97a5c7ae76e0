"""Tokens of the realm: their claims, signatures and verification."""

from __future__ import annotations

import base64
import hashlib
import time
import uuid
from collections.abc import Iterable
from typing import Any

import jwt
import msgspec

from starpost_dev.realm import builtin
from starpost_dev.realm.directory import Client, Directory, User
from starpost_dev.realm.errors import OAuthError
from starpost_dev.realm.keys import KeyRing
from starpost_dev.realm.realm_file import RealmFile
from starpost_dev.realm.sessions import UserSession

#: The event of a logout token (OpenID Connect Back-Channel Logout 1.0, section 2.4).
LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"
_LOGOUT_TOKEN_LIFESPAN = 120
_INTERNAL_ALGORITHM = "HS512"

Claims = dict[str, Any]


class TokenSet(msgspec.Struct, omit_defaults=True):
    """Answer of the token endpoint (RFC 6749, section 5.1, and members that Keycloak adds)."""

    access_token: str
    expires_in: int
    token_type: str
    scope: str
    refresh_expires_in: int = msgspec.field(default=-1)
    refresh_token: str | None = None
    id_token: str | None = None
    session_state: str | None = None
    not_before: int = msgspec.field(default=-1, name="not-before-policy")


class Scope:
    """Scopes of a grant: the requested ones, and those that every client has.

    Raises:
        OAuthError: a scope is unknown, or the parameter is present and empty (`invalid_scope`).
    """

    def __init__(self, asked: str | None) -> None:
        names = (asked or "").split()
        known = {"openid", *builtin.SCOPES_SHOWN, *builtin.SCOPES_HIDDEN}
        # This realm has no offline sessions, and refusing is better than a token that ends too early.
        known |= set(builtin.SCOPES_OPTIONAL) - {"offline_access"}
        if not known.issuperset(names) or (asked is not None and not names):
            raise OAuthError("invalid_scope", f"Invalid scopes: {asked}")
        self.asked = asked or ""
        self.is_openid = "openid" in names
        optional = [name for name in names if name in builtin.SCOPES_OPTIONAL]
        self.shown = " ".join([*(["openid"] if self.is_openid else []), *builtin.SCOPES_SHOWN, *optional])


class TokenIssuer:
    """Issuer and verifier of the tokens of one realm.

    Args:
        issuer: URL of the realm, the `iss` of all its tokens.
        settings: the realm file, for the lifetimes.
        directory: users, roles and clients.
        keys: keys that sign.
    """

    def __init__(self, issuer: str, settings: RealmFile, directory: Directory, keys: KeyRing) -> None:
        self.issuer = issuer
        self._settings = settings
        self._directory = directory
        self._keys = keys

    # ---- issuing ----------------------------------------------------------------------------------------------------

    def issue(
        self,
        client: Client,
        user: User,
        scope: Scope,
        session: UserSession | None,
        *,
        nonce: str | None = None,
        reuse_id: str | None = None,
    ) -> TokenSet:
        """Issue the tokens of one grant. Without a session (client credentials) there is no refresh token."""
        now = int(time.time())
        lifespan = client.seconds("access.token.lifespan", self._settings.access_token_lifespan)
        base = self._base_claims(client, user, session, now)
        access = base | {"exp": now + lifespan, "jti": str(uuid.uuid4()), "typ": "Bearer", "scope": scope.shown}
        if client.attributes.get(builtin.LIGHTWEIGHT) == "true":
            del access["sub"], access["acr"]
        else:
            access |= self._grants(client, user) | profile_claims(user)
            if audience := self._audience(client, access):
                access["aud"] = audience if len(audience) > 1 else audience[0]
        tokens = TokenSet(
            access_token=self._sign(access),
            expires_in=lifespan,
            refresh_expires_in=0,
            token_type="Bearer",  # noqa: S106 - the type, not a secret
            not_before=0,
            scope=scope.shown,
        )
        if session is None:
            return tokens
        tokens.session_state = session.id
        tokens.refresh_expires_in = self._refresh_lifespan(client, session, now)
        refresh = {
            "exp": now + tokens.refresh_expires_in,
            "iat": now,
            "jti": str(uuid.uuid4()),
            "iss": self.issuer,
            "aud": self.issuer,
            "sub": user.id,
            "typ": "Refresh",
            "azp": client.client_id,
            "sid": session.id,
            "scope": scope.asked,
            "reuse_id": reuse_id or str(uuid.uuid4()),
        }
        tokens.refresh_token = self._sign_internal(refresh)
        if scope.is_openid:
            identity = base | {
                "exp": now + lifespan,
                "jti": str(uuid.uuid4()),
                "aud": client.client_id,
                "typ": "ID",
                "at_hash": _half_hash(tokens.access_token),
                **profile_claims(user),
            }
            if nonce is not None:
                identity["nonce"] = nonce
            tokens.id_token = self._sign(identity)
        return tokens

    def logout_token(self, client: Client, session: UserSession) -> str:
        """Sign a logout token for a client (OpenID Connect Back-Channel Logout 1.0, section 2.4)."""
        now = int(time.time())
        claims: Claims = {
            "iat": now,
            "exp": now + _LOGOUT_TOKEN_LIFESPAN,
            "jti": str(uuid.uuid4()),
            "iss": self.issuer,
            "aud": client.client_id,
            "sub": session.user_id,
            "typ": "Logout",
            "events": {LOGOUT_EVENT: {}},
        }
        if client.attributes.get("backchannel.logout.session.required", "true") == "true":
            claims["sid"] = session.id
        return self._sign(claims, header_type="logout+jwt")

    def sign_cookie(self, claims: Claims) -> str:
        """Sign claims that only the realm itself reads."""
        return self._sign_internal(claims | {"iss": self.issuer})

    # ---- accepting --------------------------------------------------------------------------------------------------

    def verify(self, token: str, *, check_expiry: bool = True) -> Claims | None:
        """Return the claims of a token that this realm signed; None if it is not valid."""
        try:
            key = self._keys.verification_key(jwt.get_unverified_header(token).get("kid"))
            if key is None:
                return None
            return jwt.decode(
                token,
                key.public,
                algorithms=[key.algorithm],
                issuer=self.issuer,
                options={"require": ["exp", "iat"], "verify_aud": False, "verify_exp": check_expiry},
            )
        except jwt.InvalidTokenError:
            return None

    def verify_internal(self, token: str, *, check_expiry: bool = True) -> Claims | None:
        """Return the claims of a refresh token or cookie of this realm; None if it is not valid."""
        try:
            return jwt.decode(
                token,
                self._keys.secret,
                algorithms=[_INTERNAL_ALGORITHM],
                issuer=self.issuer,
                options={"require": ["exp"], "verify_aud": False, "verify_exp": check_expiry},
            )
        except jwt.InvalidTokenError:
            return None

    # ---- the parts --------------------------------------------------------------------------------------------------

    def _sign(self, claims: Claims, *, header_type: str = "JWT") -> str:
        key = self._keys.signing_key()
        return jwt.encode(claims, key.private, algorithm=key.algorithm, headers={"kid": key.kid, "typ": header_type})

    def _sign_internal(self, claims: Claims) -> str:
        return jwt.encode(claims, self._keys.secret, algorithm=_INTERNAL_ALGORITHM)

    def _base_claims(self, client: Client, user: User, session: UserSession | None, now: int) -> Claims:
        claims: Claims = {"iat": now, "iss": self.issuer, "sub": user.id, "azp": client.client_id, "acr": "1"}
        if session is not None:
            claims["sid"] = session.id
            if session.signed_in is not None:
                claims["auth_time"] = session.signed_in
        return claims

    def _grants(self, client: Client, user: User) -> Claims:
        claims: Claims = {}
        if origins := allowed_origins(client):
            claims["allowed-origins"] = origins
        by_container: dict[str, list[str]] = {}
        for role in self._directory.effective_roles(user.roles):
            by_container.setdefault(role.client, []).append(role.name)
        if realm_roles := by_container.pop("", None):
            claims["realm_access"] = {"roles": realm_roles}
        if by_container:
            claims["resource_access"] = {name: {"roles": roles} for name, roles in by_container.items()}
        return claims

    def _audience(self, client: Client, access: Claims) -> list[str]:
        named = (
            mapper.config.get("included.client.audience") or mapper.config.get("included.custom.audience")
            for mapper in client.mappers
            if mapper.protocol_mapper == "oidc-audience-mapper" and mapper.config.get("access.token.claim") == "true"
        )
        audience = dict.fromkeys(name for name in named if name)
        # Keycloak's "audience resolve": clients whose roles the token carries are in the audience, except our client.
        audience |= dict.fromkeys(name for name in access.get("resource_access", ()) if name != client.client_id)
        return list(audience)

    def _refresh_lifespan(self, client: Client, session: UserSession, now: int) -> int:
        idle = client.seconds("client.session.idle.timeout", self._settings.sso_session_idle_timeout)
        longest = client.seconds("client.session.max.lifespan", self._settings.sso_session_max_lifespan)
        part = session.clients[client.client_id]
        ends = min(session.started + self._settings.sso_session_max_lifespan, part.started + longest)
        return max(0, min(idle, ends - now))


def allowed_origins(client: Client) -> list[str]:
    """Return the web origins of a client; `+` stands for the origins of its redirect URIs."""
    origins: dict[str, None] = {}
    for origin in client.web_origins:
        if origin == "+":
            origins |= dict.fromkeys("/".join(uri.split("/")[:3]) for uri in client.redirect_uris if "://" in uri)
        else:
            origins[origin] = None
    return list(origins)


def profile_claims(user: User) -> Claims:
    """Return the user's claims for the scopes `profile` and `email`."""
    names = _present((user.first_name, user.last_name))
    claims: Claims = {"email_verified": user.email_verified}
    if names:
        claims["name"] = " ".join(names)
    claims["preferred_username"] = user.username
    for claim, value in (("given_name", user.first_name), ("family_name", user.last_name), ("email", user.email)):
        if value:
            claims[claim] = value
    return claims


def _present(values: Iterable[str | None]) -> list[str]:
    return [value for value in values if value]


def _half_hash(token: str) -> str:
    """Return `at_hash` (OpenID Connect Core 1.0, section 3.1.3.6)."""
    return base64.urlsafe_b64encode(hashlib.sha256(token.encode()).digest()[:16]).rstrip(b"=").decode()
