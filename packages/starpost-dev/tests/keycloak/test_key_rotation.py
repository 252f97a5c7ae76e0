"""Rotating the keys, as an operator does it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from starpost_dev.testing.realm import KEY_PROVIDER, REALM, IdentityServer
from tests.keycloak.conftest import header_of

Verify = Callable[..., dict[str, Any]]


def published(server: IdentityServer) -> set[str]:
    """The ids of the published signing keys."""
    return {key["kid"] for key in server.get("certs").json()["keys"] if key["use"] == "sig"}


def test_a_new_key_signs_and_the_old_one_still_verifies(server: IdentityServer, verify: Verify) -> None:
    before = server.token("bob")

    kid = server.rotate_keys()

    after = server.token("bob")
    assert header_of(after)["kid"] == kid != header_of(before)["kid"]
    assert {kid, header_of(before)["kid"]} <= published(server)
    assert verify(after)["preferred_username"] == verify(before)["preferred_username"] == "bob"
    assert server.get("userinfo", token=before).status_code == 200


def test_refresh_tokens_outlive_the_rotation(server: IdentityServer) -> None:
    tokens = server.tokens("bob")
    kid = server.rotate_keys()

    fresh = server.refresh(tokens["refresh_token"])

    assert fresh.status_code == 200
    assert header_of(fresh.json()["access_token"])["kid"] == kid


def test_what_a_removed_key_signed_is_no_longer_good(server: IdentityServer) -> None:
    before = server.token("bob")

    kid = server.rotate_keys()
    server.remove_keys_but(kid)

    assert published(server) == {kid}
    assert server.get("userinfo", token=before).status_code == 401


def test_a_passive_key_verifies_and_signs_no_more(server: IdentityServer, verify: Verify) -> None:
    kid = server.rotate_keys()
    token = server.token("bob")
    operator = server.admin("realm-operator")
    component = next(key["providerId"] for key in operator.get_keys()["keys"] if key["kid"] == kid)
    representation = operator.get_component(component)

    representation["config"]["active"] = ["false"]
    operator.update_component(component, representation)

    assert header_of(server.token("bob"))["kid"] != kid
    assert kid in published(server)
    assert verify(token)["preferred_username"] == "bob"

    representation["config"]["enabled"] = ["false"]
    operator.update_component(component, representation)

    assert kid not in published(server)
    assert server.get("userinfo", token=token).status_code == 401
    operator.delete_component(component)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"providerId": "magic"}, "Invalid provider type or no such provider"),
        ({"config": {"priority": ["high"]}}, "'Priority' should be a number"),
    ],
)
def test_refused_component(server: IdentityServer, changes: dict[str, Any], message: str) -> None:
    operator = server.admin("realm-operator")
    parent = operator.get_realm(REALM)["id"]
    component = {"name": "x", "providerId": "rsa-generated", "providerType": KEY_PROVIDER, "parentId": parent}

    answer = operator.connection.raw_post(
        f"admin/realms/{REALM}/components", data=json.dumps({"config": {}, **component, **changes})
    )

    assert answer.status_code == 400
    assert message in answer.text
