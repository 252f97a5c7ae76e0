"""Grants of the token endpoint (RFC 6749, section 4; OpenID Connect Core 1.0, section 3.1.3)."""

from __future__ import annotations

import base64
import binascii
import hmac
import logging
import time
from collections.abc import Mapping
from urllib.parse import unquote_plus

from starpost_dev.realm.authorization import session_of_code, verify_code_challenge
from starpost_dev.realm.directory import Client, User
from starpost_dev.realm.errors import OAuthError
from starpost_dev.realm.realm import Realm
from starpost_dev.realm.sessions import RefreshUse
from starpost_dev.realm.tokens import Claims, Scope, TokenSet

Form = Mapping[str, str]

_log = logging.getLogger(__name__)
_BAD_CLIENT = "Invalid client or Invalid client credentials"
_BAD_CREDENTIALS = "Invalid user credentials"


def authenticate_client(realm: Realm, form: Form, authorization: str | None) -> Client:
    """Authenticate a client by HTTP Basic or by form (RFC 6749, section 2.3.1), a public one by its name alone.

    Raises:
        OAuthError: it is unknown or disabled (`invalid_client`), or its secret is wrong (`unauthorized_client`).
    """
    client_id, secret = form.get("client_id"), form.get("client_secret")
    if authorization and authorization.lower().startswith("basic "):
        client_id, secret = _basic_credentials(authorization)
    client = realm.directory.clients.get(client_id or "")
    if client is None or client.bearer_only:
        raise OAuthError("invalid_client", _BAD_CLIENT, 401)
    if not client.enabled:
        raise OAuthError("invalid_client", _BAD_CLIENT, 401)
    if not client.public and not hmac.compare_digest((secret or "").encode(), (client.secret or "\x00").encode()):
        raise OAuthError("unauthorized_client", _BAD_CLIENT, 401)
    return client


def check_password(realm: Realm, username: str, password: str) -> User:
    """Return the user with this name and password, if the user may sign in.

    Raises:
        OAuthError: the pair is wrong, the user is disabled or not set up (`invalid_grant`).
    """
    user = realm.directory.user_named(username)
    if not realm.directory.password_matches(user, password) or user is None or user.service_account_of:
        raise OAuthError("invalid_grant", _BAD_CREDENTIALS)
    if not user.enabled:
        raise OAuthError("invalid_grant", "Account disabled")
    if not user.is_set_up():
        raise OAuthError("invalid_grant", "Account is not fully set up")
    return user


def grant(realm: Realm, client: Client, form: Form) -> TokenSet:
    """Answer a token request of an authenticated client.

    Raises:
        OAuthError: as RFC 6749, section 5.2, says.
    """
    grants = {
        "password": _password,
        "refresh_token": _refresh,
        "client_credentials": _client_credentials,
        "authorization_code": _authorization_code,
    }
    kind = form.get("grant_type", "")
    if kind not in grants:
        raise OAuthError("unsupported_grant_type", "Unsupported grant_type")
    tokens = grants[kind](realm, client, form)
    _log.info("tokens issued: grant %s, client %s", kind, client.client_id)
    return tokens


def _password(realm: Realm, client: Client, form: Form) -> TokenSet:
    if not client.direct_access_grants:
        raise OAuthError("unauthorized_client", "Client not allowed for direct access grants")
    scope = Scope(form.get("scope"))
    user = check_password(realm, form.get("username", ""), form.get("password", ""))
    session = realm.sessions.start(user.id)
    realm.sessions.join(session, client.client_id)
    return realm.tokens.issue(client, user, scope, session)


def _authorization_code(realm: Realm, client: Client, form: Form) -> TokenSet:
    if not form.get("code"):
        raise OAuthError("invalid_request", "Missing parameter: code")
    grant = realm.logins.redeem(form["code"])
    if grant is None:
        # A code that is used twice may be stolen: the session behind it ends (RFC 6749, section 4.1.2).
        session = realm.sessions.get(session_of_code(form["code"]))
        if session is not None:
            session.clients.pop(client.client_id, None)
        raise OAuthError("invalid_grant", "Code not valid")
    if grant.request.client_id != client.client_id:
        raise OAuthError("invalid_grant", "Auth error: Found different client_id in clientSession")
    if grant.request.redirect_uri != form.get("redirect_uri"):
        raise OAuthError("invalid_grant", "Incorrect redirect_uri")
    verify_code_challenge(grant.request, form.get("code_verifier"))
    session = realm.sessions.get(grant.session_id)
    user = realm.directory.users.get(session.user_id) if session else None
    if session is None or user is None:
        raise OAuthError("invalid_grant", "Session not active")
    if not user.enabled:
        raise OAuthError("invalid_grant", "User disabled")
    scope = Scope(grant.request.scope or None)
    return realm.tokens.issue(client, user, scope, session, nonce=grant.request.nonce)


def _client_credentials(realm: Realm, client: Client, form: Form) -> TokenSet:
    if client.public:
        raise OAuthError("unauthorized_client", "Public client not allowed to retrieve service account", 401)
    user = realm.directory.service_account(client)
    if not client.service_accounts or user is None:
        raise OAuthError("unauthorized_client", "Client not enabled to retrieve service account", 401)
    if not user.enabled:
        raise OAuthError("invalid_request", "User 'service account' disabled", 401)
    return realm.tokens.issue(client, user, Scope(form.get("scope")), None)


def _refresh(realm: Realm, client: Client, form: Form) -> TokenSet:
    if not form.get("refresh_token"):
        raise OAuthError("invalid_request", "No refresh token")
    claims = read_refresh_token(realm, client, form["refresh_token"])
    session = realm.sessions.get(claims["sid"])
    if session is None:
        raise OAuthError("invalid_grant", "Session not active")
    user = realm.directory.users.get(session.user_id)
    if user is None or not user.enabled:
        raise OAuthError("invalid_grant", "User disabled")
    part = session.clients.get(client.client_id)
    if part is None:
        raise OAuthError("invalid_grant", "Session doesn't have required client")
    now = int(time.time())
    if realm.settings.revoke_refresh_token:
        use = part.refresh_uses.get(claims["reuse_id"])
        if use is None or use.token_id != claims["jti"]:
            if use is not None and claims["iat"] < use.spent_at:
                del session.clients[client.client_id]
                raise OAuthError("invalid_grant", "Stale token")
            use = part.refresh_uses[claims["reuse_id"]] = RefreshUse(claims["jti"], 0, now)
        if use.count > realm.settings.refresh_token_max_reuse:
            # The token may be stolen: the client's part of the session ends (RFC 9700, section 4.14.2).
            del session.clients[client.client_id]
            raise OAuthError("invalid_grant", "Maximum allowed refresh token reuse exceeded")
        use.count += 1
    session.last_refresh = now
    scope = Scope(form.get("scope") or claims["scope"] or None)
    return realm.tokens.issue(client, user, scope, session, reuse_id=claims["reuse_id"])


def read_refresh_token(realm: Realm, client: Client, token: str) -> Claims:
    """Return the claims of a refresh token of this client.

    Raises:
        OAuthError: it is not a refresh token, has expired, or belongs to another client (`invalid_grant`).
    """
    claims = realm.tokens.verify_internal(token, check_expiry=False)
    if claims is None or claims.get("typ") != "Refresh":
        raise OAuthError("invalid_grant", "Invalid refresh token")
    if claims["exp"] <= time.time():
        raise OAuthError("invalid_grant", "Token is not active")
    if claims["azp"] != client.client_id:
        raise OAuthError("invalid_grant", "Invalid refresh token. Token client and authorized client don't match")
    return claims


def _basic_credentials(authorization: str) -> tuple[str, str]:
    try:
        name, _, secret = base64.b64decode(authorization[6:], validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise OAuthError("invalid_client", _BAD_CLIENT, 401) from error
    return unquote_plus(name), unquote_plus(secret)
