"""Rules for a realm of this application: each finds a fault and says how to fix it.

The rules read Keycloak's representations of the realm and the client, so they work on a realm file and on a running
server alike. `docs/keycloak.md` explains each of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import msgspec

Representation = Mapping[str, Any]

_LOGOUT_PATH = "/auth/backchannel-logout"
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_LONGEST_ACCESS_TOKEN = 900
# Without `basic` there is no `sub`, without `roles` no roles and no audience.
_NEEDED_SCOPES = ("basic", "profile", "roles")
_SHIPPED_REALM = "development-realm"
_SYMMETRIC = ("HS256", "HS384", "HS512", "none")


class Finding(msgspec.Struct, frozen=True):
    """Fault of a realm.

    Attributes:
        setting: place in the administration console, and name in a realm file.
        problem: the fault.
        remedy: how to fix it.
        only_in_production: true if the setting is right for development.
        is_advice: true if the setting works, but another one is better.
    """

    setting: str
    problem: str
    remedy: str
    only_in_production: bool = False
    is_advice: bool = False


class RealmView(msgspec.Struct, frozen=True):
    """Realm as its file or its administration API shows it.

    Attributes:
        realm: its RealmRepresentation.
        client: the application's ClientRepresentation; None when there is no such client.
        client_id: the application's clientId.
        roles: the names of the realm's roles and of the client's.
        wanted_roles: the roles that the permission table names.
        discovery: the discovery document; None for a file.
        base_url: URL at which the application reaches it; None for a file.
        users: the users of a file.
        is_aud_required: TOKEN_REQUIRE_AUD of the application.
    """

    realm: Representation
    client: Representation | None
    client_id: str
    roles: frozenset[str]
    wanted_roles: Sequence[str]
    discovery: Representation | None = None
    base_url: str | None = None
    users: Sequence[Representation] = ()
    is_aud_required: bool = False

    @property
    def attributes(self) -> Mapping[str, str]:
        """Attributes of the client."""
        found: Mapping[str, str] = (self.client or {}).get("attributes") or {}
        return found


def inspect(view: RealmView) -> list[Finding]:
    """Apply all rules to a realm, and return the findings, the most important first."""
    rules = _RULES if view.client is not None else _REALM_RULES
    return [finding for rule in rules for finding in rule(view)]


def _client_exists(view: RealmView) -> Iterator[Finding]:
    if view.client is None:
        yield Finding(
            "Clients",
            f"there is no client {view.client_id!r}",
            "create it, or name the right one in KEYCLOAK_CLIENT_ID",
        )


def _issuer(view: RealmView) -> Iterator[Finding]:
    if view.discovery is None or view.base_url is None:
        return
    expected = f"{view.base_url}/realms/{view.realm['realm']}"
    if view.discovery.get("issuer") != expected:
        yield Finding(
            "Server: hostname",
            f"the server calls itself {view.discovery.get('issuer')}, and the application expects {expected}",
            "set the server's `hostname`, or KEYCLOAK_BASE_URL and KEYCLOAK_PUBLIC_URL, so that they agree",
        )
    if not expected.startswith("https://"):
        yield Finding(
            "Server: https", f"{expected} is not encrypted", "serve Keycloak over https", only_in_production=True
        )
    if view.discovery.get("development_realm"):
        yield Finding(
            "Server",
            "this is the project's development realm",
            "use a real Keycloak; ENVIRONMENT=production refuses this one",
            only_in_production=True,
        )


def _ssl_required(view: RealmView) -> Iterator[Finding]:
    if view.realm.get("sslRequired") == "none":
        yield Finding(
            "Realm settings > General > Require SSL (sslRequired)",
            "`none` lets passwords and tokens pass unencrypted",
            "choose `external` or `all`",
        )


def _signature(view: RealmView) -> Iterator[Finding]:
    algorithm = (
        view.attributes.get("access.token.signed.response.alg")
        or view.realm.get("defaultSignatureAlgorithm")
        or "RS256"
    )
    if algorithm in _SYMMETRIC:
        yield Finding(
            "Realm settings > Tokens > Default signature algorithm (defaultSignatureAlgorithm)",
            f"access tokens are signed with {algorithm}, which the application cannot verify by public keys",
            "choose RS256",
        )


def _access_token_lifetime(view: RealmView) -> Iterator[Finding]:
    own = view.attributes.get("access.token.lifespan", "")
    seconds = int(own) if own.isdecimal() else int(view.realm.get("accessTokenLifespan", 300))
    if seconds > _LONGEST_ACCESS_TOKEN:
        yield Finding(
            "Realm settings > Tokens > Access Token Lifespan (accessTokenLifespan)",
            f"access tokens live {seconds} s; a role that is taken away stays that long",
            "choose 300 s, and let clients refresh",
        )


def _refresh_rotation(view: RealmView) -> Iterator[Finding]:
    if not view.realm.get("revokeRefreshToken"):
        yield Finding(
            "Realm settings > Tokens > Revoke Refresh Token (revokeRefreshToken)",
            "a stolen refresh token of a public client can be used again and again",
            "switch it on, with Refresh Token Max Reuse 0",
        )
    elif view.realm.get("refreshTokenMaxReuse"):
        yield Finding(
            "Realm settings > Tokens > Refresh Token Max Reuse (refreshTokenMaxReuse)",
            f"a refresh token may be used {view.realm['refreshTokenMaxReuse'] + 1} times",
            "set it to 0",
        )


def _brute_force(view: RealmView) -> Iterator[Finding]:
    if view.realm.get("bruteForceProtected") is False:
        yield Finding(
            "Realm settings > Security defenses > Brute force detection (bruteForceProtected)",
            "passwords may be tried without end",
            "switch it on",
            only_in_production=True,
        )


def _shipped_file(view: RealmView) -> Iterator[Finding]:
    if f'"{_SHIPPED_REALM}"' in ((view.realm.get("attributes") or {}).get("acr.loa.map") or ""):
        yield Finding(
            "Realm settings > General > ACR to LoA Mapping (attributes: acr.loa.map)",
            f"the mark `{_SHIPPED_REALM}` of the project's realm file, whose passwords everybody knows",
            "make a realm of your own; in a copy of the file, take the mark out with the users",
            only_in_production=True,
        )


def _development_users(view: RealmView) -> Iterator[Finding]:
    names = [
        user["username"]
        for user in view.users
        if any(held.get("value") == user["username"] for held in user.get("credentials", ()))
    ]
    if names:
        yield Finding(
            "users",
            f"the password is the name: {', '.join(names)}",
            "leave the users out of the file that production imports",
            only_in_production=True,
        )


def _client_kind(view: RealmView) -> Iterator[Finding]:
    client = view.client or {}
    where = f"Clients > {view.client_id}"
    if not client.get("enabled", True):
        yield Finding(f"{where} (enabled)", "the client is switched off", "switch it on")
    if client.get("protocol", "openid-connect") != "openid-connect":
        yield Finding(f"{where} (protocol)", f"the client speaks {client['protocol']}", "create one of OpenID Connect")
    if client.get("implicitFlowEnabled"):
        yield Finding(
            f"{where} > Capability config > Implicit flow (implicitFlowEnabled)",
            "tokens are handed over in URLs",
            "switch it off; the standard flow with PKCE replaces it",
        )
    if client.get("directAccessGrantsEnabled"):
        yield Finding(
            f"{where} > Capability config > Direct access grants (directAccessGrantsEnabled)",
            "applications may ask users for their passwords",
            "switch it off; development uses it for `make token`",
            only_in_production=True,
        )
    if client.get("standardFlowEnabled", True) and view.attributes.get("pkce.code.challenge.method") != "S256":
        yield Finding(
            f"{where} > Advanced > PKCE method (pkce.code.challenge.method)",
            "a stolen authorization code can be exchanged by the thief",
            "choose S256",
        )


def _client_urls(view: RealmView) -> Iterator[Finding]:
    client = view.client or {}
    where = f"Clients > {view.client_id} > Access settings"
    redirects: list[str] = client.get("redirectUris") or []
    if client.get("standardFlowEnabled", True) and not redirects:
        yield Finding(f"{where} > Valid redirect URIs (redirectUris)", "there is none", "add the application's pages")
    for uri in redirects:
        host = urlsplit(uri).hostname
        if uri == "*" or (host is not None and "*" in host) or uri in ("http://*", "https://*"):
            yield Finding(
                f"{where} > Valid redirect URIs (redirectUris)",
                f"{uri} lets every site receive codes",
                "name the application's own pages",
            )
        elif host in _LOOPBACK or uri.startswith("http://"):
            yield Finding(
                f"{where} > Valid redirect URIs (redirectUris)",
                f"{uri} is for development",
                "name the application's own pages, with https",
                only_in_production=True,
            )
    if "*" in (client.get("webOrigins") or []):
        yield Finding(
            f"{where} > Web origins (webOrigins)",
            "* lets the pages of every site use the token endpoint",
            "write `+` for the origins of the redirect URIs, or name them",
            only_in_production=True,
        )


def _audience(view: RealmView) -> Iterator[Finding]:
    where = f"Clients > {view.client_id} > Client scopes > {view.client_id}-dedicated > Add mapper > Audience"
    remedy = f"add an audience mapper with Included Client Audience {view.client_id!r}, added to the access token"
    if _names_itself(view):
        if not view.is_aud_required:
            yield Finding(
                "The application: TOKEN_REQUIRE_AUD",
                "a token without an audience is taken for the application's own when its client asked for it",
                "set TOKEN_REQUIRE_AUD=true: the access tokens of this client name it in `aud`",
                is_advice=True,
            )
    elif view.is_aud_required:
        yield Finding(
            where,
            f"access tokens do not name {view.client_id!r} in `aud`, and TOKEN_REQUIRE_AUD refuses them all",
            remedy,
        )
    else:
        yield Finding(
            where,
            f"access tokens do not name {view.client_id!r} in `aud`: those of users with a role in another client are "
            "refused, as they name that one",
            f"{remedy}; then set TOKEN_REQUIRE_AUD=true",
        )


def _names_itself(view: RealmView) -> bool:
    """Return whether a mapper puts the client into the `aud` of its own access tokens."""
    for mapper in (view.client or {}).get("protocolMappers") or ():
        config = mapper.get("config") or {}
        named = config.get("included.client.audience") or config.get("included.custom.audience")
        is_audience = mapper.get("protocolMapper") == "oidc-audience-mapper"
        if is_audience and named == view.client_id and config.get("access.token.claim") == "true":
            return True
    return False


def _bound_tokens(view: RealmView) -> Iterator[Finding]:
    for attribute, title in (
        ("dpop.bound.access.tokens", "Capability config > Require DPoP bound tokens"),
        ("tls.client.certificate.bound.access.tokens", "Advanced > OAuth 2.0 Mutual TLS Certificate Bound"),
    ):
        if view.attributes.get(attribute) == "true":
            yield Finding(
                f"Clients > {view.client_id} > {title} ({attribute})",
                "access tokens are bound to a key of the client, which the application cannot check: it refuses them",
                "switch it off",
            )


def _claims(view: RealmView) -> Iterator[Finding]:
    client = view.client or {}
    where = f"Clients > {view.client_id}"
    scopes = client.get("defaultClientScopes")
    # A file that names no scopes gets those of the realm, which are right.
    if missing := [name for name in _NEEDED_SCOPES if scopes is not None and name not in scopes]:
        yield Finding(
            f"{where} > Client scopes (defaultClientScopes)",
            f"access tokens lack the claims of: {', '.join(missing)}",
            "assign these client scopes as Default",
        )
    if client.get("fullScopeAllowed", True) is False:
        yield Finding(
            f"{where} > Client scopes > {view.client_id}-dedicated > Scope (fullScopeAllowed)",
            "access tokens carry only the roles that are assigned there",
            "allow the full scope, or see that every role of the permission table is assigned",
            only_in_production=True,
        )
    if view.attributes.get("client.use.lightweight.access.token.enabled") == "true":
        yield Finding(
            f"{where} > Advanced > Always use lightweight access token",
            "access tokens carry neither the user nor the roles",
            "switch it off",
        )


def _backchannel_logout(view: RealmView) -> Iterator[Finding]:
    where = f"Clients > {view.client_id} > Logout settings"
    url = view.attributes.get("backchannel.logout.url", "")
    if not url:
        yield Finding(
            f"{where} > Backchannel logout URL (backchannel.logout.url)",
            "a logout at Keycloak does not reach the application: connections stay open until their tokens expire",
            f"set it to the application's address with {_LOGOUT_PATH}",
        )
        return
    if not url.endswith(_LOGOUT_PATH) and "${" not in url:
        yield Finding(
            f"{where} > Backchannel logout URL (backchannel.logout.url)",
            f"{url} is not where the application takes logout tokens",
            f"let it end in {_LOGOUT_PATH}",
            # In development, a test may receive the logout tokens itself.
            only_in_production=True,
        )
    if "http://" in url:
        yield Finding(
            f"{where} > Backchannel logout URL (backchannel.logout.url)",
            f"{url} is not encrypted",
            "use https, unless the way to the application is private",
            only_in_production=True,
        )
    if view.attributes.get("backchannel.logout.session.required", "true") != "true":
        yield Finding(
            f"{where} > Backchannel logout session required (backchannel.logout.session.required)",
            "a logout token does not say which session ended, so that all of the user's would",
            "switch it on",
        )


def _roles(view: RealmView) -> Iterator[Finding]:
    if missing := [name for name in view.wanted_roles if name not in view.roles]:
        yield Finding(
            "Realm roles",
            f"the permission table names roles that do not exist: {', '.join(missing)}",
            f"create them, as realm roles or as roles of the client {view.client_id!r}",
        )


_REALM_RULES: tuple[Callable[[RealmView], Iterable[Finding]], ...] = (
    _client_exists,
    _issuer,
    _ssl_required,
    _signature,
    _roles,
    _access_token_lifetime,
    _refresh_rotation,
    _brute_force,
    _shipped_file,
    _development_users,
)
_RULES = (
    *_REALM_RULES,
    _client_kind,
    _client_urls,
    _audience,
    _bound_tokens,
    _claims,
    _backchannel_logout,
)
