"""Public endpoints of the realm: its page, discovery, keys, tokens and the user's claims."""

from __future__ import annotations

import base64
import json
from typing import Any

from litestar import Request, Response, get, post, route
from litestar.exceptions import ClientException

from starpost_dev.realm.cors import allow_client, allow_everyone
from starpost_dev.realm.directory import User
from starpost_dev.realm.errors import BearerError, OAuthError, RealmError
from starpost_dev.realm.grants import authenticate_client, grant
from starpost_dev.realm.realm import Realm
from starpost_dev.realm.tokens import Claims, TokenSet, profile_claims

REALM_PATH = "/realms/{realm_name:str}"
PROTOCOL_PATH = f"{REALM_PATH}/protocol/openid-connect"
_CLAIMS = ("iss", "sub", "aud", "exp", "iat", "auth_time", "acr", "azp", "nonce")
_PROFILE_CLAIMS = ("name", "given_name", "family_name", "preferred_username", "email")
_NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}


async def provide_realm(request: Request[Any, Any, Any]) -> Realm:
    """Return the realm that the path names.

    Raises:
        RealmError: this server has no such realm (404).
    """
    realm: Realm = request.app.state.realm
    if request.path_params.get("realm_name") != realm.name:
        raise RealmError(404, {"error": "Realm does not exist"})
    return realm


async def read_form(request: Request[Any, Any, Any]) -> dict[str, str]:
    """Return the text members of a form body; empty if the body is not a form.

    Raises:
        OAuthError: a member is repeated (RFC 6749, section 3.2).
    """
    try:
        form = await request.form()
    except ClientException:
        return {}
    pairs = [(name, value) for name, value in form.multi_items() if isinstance(value, str)]
    if len({name for name, _ in pairs}) != len(pairs):
        raise OAuthError("invalid_request", "duplicated parameter")
    return dict(pairs)


@get(REALM_PATH)
async def realm_page(request: Request[Any, Any, Any], realm: Realm) -> dict[str, Any]:
    """Return the realm's page, with the public key in Keycloak's form (base64 of DER)."""
    allow_everyone(request)
    return {
        "realm": realm.name,
        "public_key": base64.b64encode(realm.keys.signing_key().der).decode(),
        "token-service": f"{realm.issuer}/protocol/openid-connect",
        "account-service": f"{realm.issuer}/account",
        "tokens-not-before": 0,
        "development_realm": True,
    }


@get(f"{REALM_PATH}/.well-known/openid-configuration")
async def discovery(request: Request[Any, Any, Any], realm: Realm) -> dict[str, Any]:
    """Return the discovery document (OpenID Connect Discovery 1.0, section 3), which lists only what works here."""
    allow_everyone(request)
    protocol = f"{realm.issuer}/protocol/openid-connect"
    return {
        "issuer": realm.issuer,
        "authorization_endpoint": f"{protocol}/auth",
        "token_endpoint": f"{protocol}/token",
        "introspection_endpoint": f"{protocol}/token/introspect",
        "userinfo_endpoint": f"{protocol}/userinfo",
        "end_session_endpoint": f"{protocol}/logout",
        "jwks_uri": f"{protocol}/certs",
        "grant_types_supported": ["authorization_code", "client_credentials", "password", "refresh_token"],
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        "introspection_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        "code_challenge_methods_supported": ["plain", "S256"],
        "scopes_supported": ["openid", "profile", "email", "roles", "web-origins", "acr", "basic"],
        "acr_values_supported": [*json.loads(realm.settings.attributes.get("acr.loa.map", "{}")), "0", "1"],
        "claims_supported": [*_CLAIMS, *_PROFILE_CLAIMS],
        "backchannel_logout_supported": True,
        "backchannel_logout_session_supported": True,
        "authorization_response_iss_parameter_supported": True,
        "development_realm": True,
    }


@get(f"{PROTOCOL_PATH}/certs")
async def certs(request: Request[Any, Any, Any], realm: Realm) -> dict[str, Any]:
    """Return the public keys (RFC 7517, section 5)."""
    allow_everyone(request)
    return realm.keys.jwks()


@post(f"{PROTOCOL_PATH}/token", status_code=200)
async def token(request: Request[Any, Any, Any], realm: Realm) -> Response[TokenSet]:
    """Issue tokens: the token endpoint (RFC 6749, section 3.2)."""
    form = await read_form(request)
    if "grant_type" not in form:
        raise OAuthError("invalid_request", "Missing form parameter: grant_type")
    client = authenticate_client(realm, form, request.headers.get("Authorization"))
    allow_client(request, client)
    return Response(grant(realm, client, form), headers=_NO_STORE)


@post(f"{PROTOCOL_PATH}/token/introspect", status_code=200)
async def introspect(request: Request[Any, Any, Any], realm: Realm) -> dict[str, Any]:
    """Report whether a token is valid to a client in its audience (RFC 7662)."""
    form = await read_form(request)
    try:
        client = authenticate_client(realm, form, request.headers.get("Authorization"))
    except OAuthError as error:
        raise OAuthError("invalid_client", "Client authentication failed.", 401) from error
    if client.public:
        raise OAuthError("invalid_request", "Client not allowed.", 403)
    if "token" not in form:
        raise OAuthError("invalid_request", "Token not provided.")
    claims = realm.tokens.verify(form["token"])
    if claims is None or client.client_id not in audience_of(claims) or user_of_token(realm, claims) is None:
        return {"active": False}
    return {
        **claims,
        "client_id": claims["azp"],
        "username": claims["preferred_username"],
        "token_type": claims["typ"],
        "active": True,
    }


@route(f"{PROTOCOL_PATH}/userinfo", http_method=["GET", "POST"], status_code=200)
async def userinfo(request: Request[Any, Any, Any], realm: Realm) -> Claims:
    """Return the claims of the user who owns the access token (OpenID Connect Core 1.0, section 5.3)."""
    scheme, _, bearer = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        bearer = (await read_form(request)).get("access_token", "") if request.method == "POST" else ""
    if not bearer:
        raise BearerError(realm.name)
    claims = realm.tokens.verify(bearer)
    if claims is None or claims.get("typ") != "Bearer":
        raise BearerError(realm.name, "invalid_token", "Token verification failed")
    client = realm.directory.clients.get(claims["azp"])
    if client is not None:
        allow_client(request, client)
    if "openid" not in claims["scope"].split():
        raise BearerError(realm.name, "insufficient_scope", "Missing openid scope", 403)
    user = user_of_token(realm, claims)
    if user is None:
        raise BearerError(realm.name, "invalid_token", "user_session_not_found")
    return {"sub": user.id, **profile_claims(user)}


def audience_of(claims: Claims) -> list[str]:
    """Return the audience of a token; `aud` is a list or a single name (RFC 7519, section 4.1.3)."""
    audience = claims.get("aud", [])
    return [audience] if isinstance(audience, str) else audience


def user_of_token(realm: Realm, claims: Claims) -> User | None:
    """Return the enabled user of an access token; None if its session has ended."""
    if "sid" in claims:
        session = realm.sessions.get(claims["sid"])
        if session is None or claims["azp"] not in session.clients:
            return None
        user = realm.directory.users.get(session.user_id)
    else:
        # A token of the client-credentials grant has no session.
        user = realm.directory.users.get(claims["sub"])
    return user if user is not None and user.enabled else None
