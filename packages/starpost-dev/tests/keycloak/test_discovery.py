"""What a server tells of itself."""

from __future__ import annotations

import base64

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from starpost.auth.realm import SHIPPED_REALM
from starpost.testing import plain_http
from starpost_dev.testing.realm import REALM, IdentityServer

EXPECTED = {
    "authorization_endpoint": "auth",
    "token_endpoint": "token",
    "introspection_endpoint": "token/introspect",
    "userinfo_endpoint": "userinfo",
    "end_session_endpoint": "logout",
    "jwks_uri": "certs",
}


def test_discovery_names_the_endpoints(server: IdentityServer) -> None:
    found = plain_http.get(f"{server.issuer}/.well-known/openid-configuration").json()

    assert found["issuer"] == server.issuer
    assert {name: found[name] for name in found if name in EXPECTED} == {
        name: f"{server.protocol}/{path}" for name, path in EXPECTED.items()
    }


def test_discovery_tells_what_the_application_relies_on(server: IdentityServer) -> None:
    found = plain_http.get(f"{server.issuer}/.well-known/openid-configuration").json()

    grants = {"authorization_code", "client_credentials", "password", "refresh_token"}
    assert grants <= set(found["grant_types_supported"])
    assert "code" in found["response_types_supported"]
    assert "S256" in found["code_challenge_methods_supported"]
    assert "RS256" in found["id_token_signing_alg_values_supported"]
    assert {"openid", "profile", "email", "roles"} <= set(found["scopes_supported"])
    assert {"client_secret_basic", "client_secret_post"} <= set(found["token_endpoint_auth_methods_supported"])
    assert found["backchannel_logout_supported"] is True
    assert found["backchannel_logout_session_supported"] is True
    assert found["authorization_response_iss_parameter_supported"] is True


def test_realm_page(server: IdentityServer) -> None:
    found = plain_http.get(server.issuer).json()

    assert found["realm"] == REALM
    assert found["token-service"] == server.protocol
    key = serialization.load_der_public_key(base64.b64decode(found["public_key"]))
    assert isinstance(key, rsa.RSAPublicKey)


def test_unknown_realm(server: IdentityServer) -> None:
    for path in ("", "/.well-known/openid-configuration", "/protocol/openid-connect/certs"):
        answer = plain_http.get(f"{server.base_url}/realms/no-such-realm{path}")
        assert answer.status_code == 404
        assert answer.json() == {"error": "Realm does not exist"}


def test_published_keys(server: IdentityServer) -> None:
    keys = server.get("certs").json()["keys"]

    signing = [key for key in keys if key["use"] == "sig"]
    assert signing
    for key in signing:
        assert key["kty"] == "RSA"
        assert key["alg"] == "RS256"
        assert key["kid"]
        assert len(base64.urlsafe_b64decode(key["n"] + "==")) == 256
    assert len({key["kid"] for key in keys}) == len(keys)


def test_a_key_for_encryption_is_published_beside_them(server: IdentityServer) -> None:
    encryption = [key for key in server.get("certs").json()["keys"] if key["use"] == "enc"]

    assert [key["alg"] for key in encryption] == ["RSA-OAEP"]


def test_only_the_development_realm_says_that_it_is_one(server: IdentityServer) -> None:
    page = plain_http.get(server.issuer).json()
    document = plain_http.get(f"{server.issuer}/.well-known/openid-configuration").json()

    assert page.get("development_realm", False) is server.is_development
    assert document.get("development_realm", False) is server.is_development


def test_a_realm_made_from_the_shipped_file_shows_it_to_everybody(server: IdentityServer) -> None:
    document = plain_http.get(f"{server.issuer}/.well-known/openid-configuration").json()

    assert SHIPPED_REALM in document["acr_values_supported"]
