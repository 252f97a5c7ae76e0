"""Tokens that look like those of the realm and must not pass, over HTTP and on the socket."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from starpost.auth import RealmVerifier
from starpost.errors import UnauthenticatedError
from starpost.settings import Settings
from starpost.testing import plain_http
from starpost.testing.issuer import Issuer, SigningKey
from starpost_dev.testing.realm import CLIENT, IdentityServer
from tests.e2e.keycloak.conftest import Application
from tests.keycloak.conftest import LogoutReceiver, claims_of, header_of

AUTH = -2
FORGER = SigningKey("RS256", kid="forger")


def encoded(value: Any) -> str:
    content = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def realm_key(server: IdentityServer) -> jwt.PyJWK:
    """The public key that the realm signs with now."""
    keys = jwt.PyJWKClient(f"{server.protocol}/certs", cache_keys=False)
    return keys.get_signing_key_from_jwt(server.token("alice"))


def of_another_realm(server: IdentityServer, issuer: Issuer) -> str:
    """Keycloak itself has one more; the development realm has not, so it is another server's."""
    if server.is_development:
        return issuer.token()
    form = {"grant_type": "password", "client_id": "admin-cli", "username": "admin", "password": "admin"}
    answer = plain_http.post(f"{server.base_url}/realms/master/protocol/openid-connect/token", data=form)
    return str(answer.json()["access_token"])


def of_another_server(_: IdentityServer, issuer: Issuer) -> str:
    """It names the right client, and a realm of the same name."""
    return issuer.token()


def of_another_server_that_names_this_one(server: IdentityServer, issuer: Issuer) -> str:
    return issuer.token(iss=server.issuer)


def of_another_client(server: IdentityServer, _: Issuer) -> str:
    return server.token("alice", client="other-app")


def id_token(server: IdentityServer, _: Issuer) -> str:
    return str(server.tokens("alice")["id_token"])


def refresh_token(server: IdentityServer, _: Issuer) -> str:
    return str(server.tokens("alice")["refresh_token"])


def logout_token(server: IdentityServer, _: Issuer) -> str:
    """Signed by the realm's own key, for this very client."""
    with LogoutReceiver() as receiver:
        server.set_backchannel_logout_url(receiver.url)
        tokens = server.tokens("alice")
        server.post("logout", client_id=CLIENT, refresh_token=tokens["refresh_token"]).raise_for_status()
        return receiver.next()


def unsigned(server: IdentityServer, _: Issuer, algorithm: str = "none") -> str:
    token = server.token("alice")
    return f"{encoded(header_of(token) | {'alg': algorithm})}.{token.split('.')[1]}."


def unsigned_in_other_letters(server: IdentityServer, issuer: Issuer) -> str:
    return unsigned(server, issuer, "nOnE")


def signature_removed(server: IdentityServer, _: Issuer) -> str:
    return server.token("alice").rpartition(".")[0] + "."


def signed_with_the_public_key(server: IdentityServer, _: Issuer, secret: bytes | None = None) -> str:
    """HS256 with what everybody knows for a secret: what a verifier does that lets the token choose (RFC 8725, 2.1)."""
    token = server.token("alice")
    if secret is None:
        secret = realm_key(server).key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    signed = f"{encoded(header_of(token) | {'alg': 'HS256'})}.{token.split('.')[1]}"
    return f"{signed}.{encoded(hmac.digest(secret, signed.encode(), hashlib.sha256))}"


def signed_with_the_modulus(server: IdentityServer, issuer: Issuer) -> str:
    modulus = next(key["n"] for key in server.get("certs").json()["keys"] if key["use"] == "sig")
    return signed_with_the_public_key(server, issuer, base64.urlsafe_b64decode(modulus + "=="))


def forged(server: IdentityServer, _: Issuer, **header: Any) -> str:
    """The claims of a good token, signed by a key of our own that claims to be the realm's."""
    token = server.token("alice")
    return FORGER.sign(claims_of(token), **(header_of(token) | header))


def with_other_claims(server: IdentityServer, _: Issuer) -> str:
    """A good signature, of what it was made for."""
    ours, theirs = server.token("bob").split("."), server.token("alice").split(".")
    return ".".join((ours[0], theirs[1], ours[2]))


def with_a_kid_that_is_a_url(server: IdentityServer, issuer: Issuer) -> str:
    return forged(server, issuer, kid=f"{issuer.url}/protocol/openid-connect/certs")


def with_a_kid_that_is_a_path(server: IdentityServer, issuer: Issuer) -> str:
    return forged(server, issuer, kid="../../../../../../dev/null")


def with_a_kid_that_is_a_query(server: IdentityServer, issuer: Issuer) -> str:
    return forged(server, issuer, kid="x' UNION SELECT 'secret")


def with_keys_elsewhere(server: IdentityServer, issuer: Issuer) -> str:
    """It brings its key along, and says where to find it."""
    certs = f"{issuer.url}/protocol/openid-connect/certs"
    return forged(server, issuer, kid=FORGER.kid, jku=certs, x5u=certs, jwk=FORGER.jwk())


def with_an_unknown_extension(server: IdentityServer, issuer: Issuer) -> str:
    return forged(server, issuer, crit=["exp"])


BAD: list[Callable[..., str]] = [
    of_another_realm,
    of_another_server,
    of_another_server_that_names_this_one,
    of_another_client,
    id_token,
    refresh_token,
    logout_token,
    unsigned,
    unsigned_in_other_letters,
    signature_removed,
    signed_with_the_public_key,
    signed_with_the_modulus,
    forged,
    with_other_claims,
    with_a_kid_that_is_a_url,
    with_a_kid_that_is_a_path,
    with_a_kid_that_is_a_query,
    with_keys_elsewhere,
    with_an_unknown_extension,
]


async def refused(application: Application, token: str, code: str) -> None:
    """401 over HTTP, 4401 on the socket, in the handshake and in AUTH."""
    answer = await application.http("GET", "/authors", token)
    assert (answer.status_code, answer.json()["code"]) == (401, code)
    assert answer.headers["WWW-Authenticate"].startswith('Bearer error="invalid_token"')
    assert answer.headers["Content-Type"] == "application/problem+json"
    by_header = await application.open(token)
    closed, closing = await by_header.closed()
    assert (closed, closing["code"], closing["reason"]) == (4401, 4401, code)
    by_subprotocol = await application.open(subprotocols=["json", f"bearer.{token}"])
    assert (await by_subprotocol.closed())[0] == 4401
    by_packet = await application.open()
    reply = await by_packet.ask(AUTH, {"token": token})
    assert (reply["status_code"], reply["data"]["code"]) == (9, code)
    assert (await by_packet.closed())[0] == 4401


@pytest.mark.parametrize("make", BAD, ids=lambda make: make.__name__.replace("_", " "))
async def test_a_bad_token_is_refused(
    application: Application, server: IdentityServer, issuer: Issuer, make: Callable[[IdentityServer, Issuer], str]
) -> None:
    fetches = issuer.jwks_fetches
    token = await asyncio.to_thread(make, server, issuer)
    # The good one beside it: what is refused is refused for its own fault.
    assert (await application.http("GET", "/authors", server.token("alice"))).status_code == 200

    await refused(application, token, "invalid_token")

    assert issuer.jwks_fetches == fetches, "it asked where the token told it to"


async def test_an_expired_token_is_refused(application: Application, server: IdentityServer) -> None:
    token = server.token("alice", client="starpost-brief")
    claims = claims_of(token)
    # The leeway of KEYCLOAK_LEEWAY, 2 s, and the clock's whole seconds.
    await asyncio.sleep(max(0.0, claims["exp"] + 2 + 1.1 - time.time()))

    await refused(application, token, "token_expired")


async def test_a_socket_does_not_outlive_its_token(application: Application, server: IdentityServer) -> None:
    client = await application.open(server.token("alice", client="starpost-brief"))
    code, closing = await client.closed()
    assert (code, closing["reason"], closing["reconnect"]) == (4401, "token_expired", True)


async def test_nothing_of_a_bad_token_is_logged(
    application: Application, server: IdentityServer, issuer: Issuer
) -> None:
    token = await asyncio.to_thread(forged, server, issuer, kid="forger")
    await application.http("GET", "/authors", token)
    await (await application.open(path=f"/web?Authorization=Bearer%20{token}")).closed()
    log = application.launched.output.read_text()
    for part in token.split("."):
        assert part not in log


@pytest.mark.parametrize(
    ("user", "is_aud_required", "is_accepted"),
    [
        # Keycloak's own default: `aud` is `account`, for the roles that everybody has there.
        ("bob", False, True),
        ("bob", True, False),
        # A role in another client puts that client into `aud`: the token is for its API.
        ("erin", False, False),
    ],
)
async def test_a_realm_without_an_audience_mapper(
    server: IdentityServer, user: str, *, is_aud_required: bool, is_accepted: bool
) -> None:
    """As an application sees it whose client is `other-app`."""
    settings = {
        "KEYCLOAK_BASE_URL": server.base_url,
        "KEYCLOAK_CLIENT_ID": "other-app",
        "TOKEN_REQUIRE_AUD": str(is_aud_required),
    }
    verifier = RealmVerifier(Settings.from_strings(settings))
    try:
        await verifier.warm_up()
        token = await asyncio.to_thread(server.token, user, client="other-app")
        if is_accepted:
            assert (await verifier.verify(token)).username == user
        else:
            with pytest.raises(UnauthenticatedError, match="another client"):
                await verifier.verify(token)
    finally:
        await verifier.close()
