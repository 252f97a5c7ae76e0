"""`make check-realm`: every rule finds what it is for, and a realm for development passes."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from starpost_dev.commands.check_realm import view_file
from starpost_dev.keycloak.rules import Finding, inspect
from tests.specimen import ACTIONS_FILE, REALM_FILE

WANTED = ["author-reader", "author-editor", "admin"]
Change = Callable[[dict[str, Any], dict[str, Any]], Any]


def findings(tmp_path: Path, change: Change | None = None, *, is_aud_required: bool = True) -> list[Finding]:
    """Judge the specimen's realm file after a change of the realm or its client `starpost`."""
    realm = json.loads(REALM_FILE.read_bytes())
    if change is not None:
        change(realm, realm["clients"][0])
    file = tmp_path / "realm.json"
    file.write_text(json.dumps(realm))
    view = view_file(file, "starpost", WANTED)
    return inspect(msgspec.structs.replace(view, is_aud_required=is_aud_required))


def test_the_realm_is_right_for_development(tmp_path: Path) -> None:
    found = findings(tmp_path)

    assert found
    assert all(finding.only_in_production for finding in found)


def production(realm: dict[str, Any], client: dict[str, Any]) -> None:
    """Make of the realm what `docs/keycloak.md` says."""
    realm["bruteForceProtected"] = True
    realm["users"] = []
    realm["attributes"] = {}
    client["directAccessGrantsEnabled"] = False
    client["redirectUris"] = ["https://app.example.org/*"]
    client["webOrigins"] = ["+"]
    client["attributes"]["backchannel.logout.url"] = "https://app.example.org/auth/backchannel-logout"


def test_a_realm_for_production_has_no_findings(tmp_path: Path) -> None:
    assert findings(tmp_path, production) == []


CHANGES: dict[str, Change] = {
    "sslRequired": lambda realm, _client: realm.update(sslRequired="none"),
    "defaultSignatureAlgorithm": lambda realm, _client: realm.update(defaultSignatureAlgorithm="HS256"),
    "accessTokenLifespan": lambda _realm, client: client["attributes"].update({"access.token.lifespan": "3600"}),
    "revokeRefreshToken": lambda realm, _client: realm.update(revokeRefreshToken=False),
    "refreshTokenMaxReuse": lambda realm, _client: realm.update(refreshTokenMaxReuse=1),
    "bruteForceProtected": lambda realm, _client: realm.update(bruteForceProtected=False),
    "users": lambda realm, _client: realm.update(users=[{"username": "a", "credentials": [{"value": "a"}]}]),
    "attributes": lambda realm, _client: realm.update(attributes={"acr.loa.map": '{"development-realm":"99"}'}),
    "Realm roles": lambda realm, _client: realm["roles"].update(realm=[]),
    "enabled": lambda _realm, client: client.update(enabled=False),
    "protocol": lambda _realm, client: client.update(protocol="saml"),
    "implicitFlowEnabled": lambda _realm, client: client.update(implicitFlowEnabled=True),
    "directAccessGrantsEnabled": lambda _realm, client: client.update(directAccessGrantsEnabled=True),
    "pkce.code.challenge.method": lambda _realm, client: client["attributes"].pop("pkce.code.challenge.method"),
    "redirectUris": lambda _realm, client: client.update(redirectUris=["*"]),
    "(redirectUris)": lambda _realm, client: client.update(redirectUris=["http://app.example.org/*"]),
    "Valid redirect URIs": lambda _realm, client: client.update(redirectUris=[]),
    "webOrigins": lambda _realm, client: client.update(webOrigins=["*"]),
    "Add mapper > Audience": lambda _realm, client: client.update(protocolMappers=[]),
    "dpop.bound.access.tokens": lambda _realm, client: client["attributes"].update(
        {"dpop.bound.access.tokens": "true"}
    ),
    "tls.client.certificate.bound.access.tokens": lambda _realm, client: client["attributes"].update(
        {"tls.client.certificate.bound.access.tokens": "true"}
    ),
    "defaultClientScopes": lambda _realm, client: client.update(defaultClientScopes=["profile"]),
    "fullScopeAllowed": lambda _realm, client: client.update(fullScopeAllowed=False),
    "lightweight": lambda _realm, client: client["attributes"].update(
        {"client.use.lightweight.access.token.enabled": "true"}
    ),
    "backchannel.logout.url": lambda _realm, client: client["attributes"].pop("backchannel.logout.url"),
    "(backchannel.logout.url)": lambda _realm, client: client["attributes"].update(
        {"backchannel.logout.url": "https://app.example.org/logout"}
    ),
    "Backchannel logout URL": lambda _realm, client: client["attributes"].update(
        {"backchannel.logout.url": "http://app.example.org/auth/backchannel-logout"}
    ),
    "backchannel.logout.session.required": lambda _realm, client: client["attributes"].update(
        {"backchannel.logout.session.required": "false"}
    ),
    "Clients": lambda _realm, client: client.update(clientId="another"),
}


@pytest.mark.parametrize("setting", CHANGES)
def test_each_rule_finds_what_it_is_for(tmp_path: Path, setting: str) -> None:
    def change(realm: dict[str, Any], client: dict[str, Any]) -> None:
        production(realm, client)
        CHANGES[setting](realm, client)

    (found,) = findings(tmp_path, change)

    assert setting in found.setting
    assert found.problem
    assert found.remedy


def test_an_audience_mapper_for_somebody_else_is_none(tmp_path: Path) -> None:
    def change(realm: dict[str, Any], client: dict[str, Any]) -> None:
        production(realm, client)
        mapper = copy.deepcopy(client["protocolMappers"][0])
        mapper["config"]["included.client.audience"] = "other-app"
        client["protocolMappers"] = [mapper]

    (refusing,) = findings(tmp_path, change)
    assert refusing.problem.startswith("access tokens do not name 'starpost' in `aud`, and TOKEN_REQUIRE_AUD refuses")
    (lenient,) = findings(tmp_path, change, is_aud_required=False)
    assert lenient.problem.startswith("access tokens do not name 'starpost' in `aud`: those of users with a role in")
    assert not lenient.is_advice


def test_the_audience_is_recommended_where_the_realm_names_it(tmp_path: Path) -> None:
    (advice,) = findings(tmp_path, production, is_aud_required=False)

    assert advice.is_advice
    assert "set TOKEN_REQUIRE_AUD=true" in advice.remedy


def test_a_role_of_the_client_counts(tmp_path: Path) -> None:
    def change(realm: dict[str, Any], client: dict[str, Any]) -> None:
        production(realm, client)
        realm["roles"]["client"]["starpost"] = realm["roles"].pop("realm")

    assert findings(tmp_path, change) == []


# ---- the command ----------------------------------------------------------------------------------------------------


def run(*options: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the command."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("KEYCLOAK_")}
    return subprocess.run(
        [sys.executable, "-m", "scripts.check_realm", *options],
        env={**environ, "ACTIONS_FILE_PATH": str(ACTIONS_FILE), **variables},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def test_a_file_passes() -> None:
    ended = run("--file", str(REALM_FILE))

    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stdout.endswith("nothing is wrong\n")
    assert "right for development alone:" in ended.stdout
    assert "recommended:\n  The application: TOKEN_REQUIRE_AUD\n" in ended.stdout
    assert "recommended" not in run("--file", str(REALM_FILE), TOKEN_REQUIRE_AUD="yes").stdout


def test_the_file_is_not_for_production() -> None:
    ended = run("--file", str(REALM_FILE), "--production")

    assert ended.returncode == 1
    assert "-> leave the users out of the file that production imports" in ended.stdout


@pytest.mark.parametrize(("content", "message"), [("{", "cannot be read"), ("{}", "holds no realm")])
def test_a_file_that_is_none(tmp_path: Path, content: str, message: str) -> None:
    file = tmp_path / "x.json"
    file.write_text(content)

    ended = run("--file", str(file))

    assert ended.returncode == 2
    assert message in ended.stderr


def test_no_server() -> None:
    ended = run("--base-url", "http://127.0.0.1:9")

    assert ended.returncode == 2
    assert ended.stderr.startswith("check-realm: the realm starpost of http://127.0.0.1:9 does not answer")
