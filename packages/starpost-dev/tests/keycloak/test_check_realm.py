"""`make check-realm` reads both servers alike."""

from __future__ import annotations

import pytest

from starpost_dev.commands.check_realm import UnreadableRealmError, view_server
from starpost_dev.keycloak.rules import inspect
from starpost_dev.testing.realm import CLIENT, REALM, IdentityServer

WANTED = ["author-reader", "author-editor", "admin"]


def test_the_project_s_realm_is_right_for_development(server: IdentityServer) -> None:
    view = view_server(server.base_url, REALM, CLIENT, "realm-operator", "realm-operator", WANTED)

    found = inspect(view)

    advice = [finding.setting for finding in found if finding.is_advice]
    assert advice == ["The application: TOKEN_REQUIRE_AUD"], "its tokens name it, so they can be asked to"
    assert [finding for finding in found if not finding.only_in_production and not finding.is_advice] == []
    # Both are served unencrypted here; only one of them is no Keycloak.
    assert any(finding.setting == "Server: https" for finding in found)
    assert any(finding.setting == "Server" for finding in found) is server.is_development


def test_what_is_missing_is_found(server: IdentityServer) -> None:
    view = view_server(server.base_url, REALM, "no-such-client", "realm-operator", "realm-operator", ["no-such-role"])

    problems = {finding.problem for finding in inspect(view)}

    assert "there is no client 'no-such-client'" in problems
    assert "the permission table names roles that do not exist: no-such-role" in problems


@pytest.mark.parametrize(("user", "password"), [("mallory", "mallory"), ("realm-operator", "wrong")])
def test_an_account_that_may_not_read_the_realm(server: IdentityServer, user: str, password: str) -> None:
    with pytest.raises(UnreadableRealmError, match="needs the roles view-realm and view-clients"):
        view_server(server.base_url, REALM, CLIENT, user, password, WANTED)


def test_no_such_realm(server: IdentityServer) -> None:
    with pytest.raises(UnreadableRealmError, match=r"the realm no-such-realm of .* does not answer"):
        view_server(server.base_url, "no-such-realm", CLIENT, "realm-operator", "realm-operator", WANTED)
