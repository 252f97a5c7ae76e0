"""`make serve KEYCLOAK=real`: which identity server runs, who gets its address, what is said where it cannot."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import httpx
import jwt
import pytest

from starpost.testing import plain_http
from starpost_dev.commands.get_token import get_token
from starpost_dev.services.client import attach, chosen_identity
from starpost_dev.services.errors import ServiceError
from starpost_dev.services.ports import free_port
from starpost_dev.testing.realm import WITH_KEYCLOAK
from tests.dev.checkouts import Checkout, finish, is_running, wait_for
from tests.dev.test_serve import read_until, serve

NOT_ASKED_FOR = {"DB_HOST": "db.example", "REDIS_IP": "redis.example"}

# What `kc.sh` starts here. It keeps no state, and answers what `make serve` and `make token` ask of Keycloak.
KEYCLOAK = """
import http.server, json, sys
client = {"id": "1", "clientId": "starpost", "attributes": {}}
class Keycloak(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.body()
        self.answer({"access_token": "a token"})
    def do_GET(self):
        self.answer([client])
    def do_PUT(self):
        client.update(json.loads(self.body()))
        self.answer(None)
    def body(self):
        return self.rfile.read(int(self.headers["Content-Length"]))
    def answer(self, value):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(value).encode())
options = dict(word.removeprefix("--").split("=") for word in sys.argv[1:] if "=" in word)
http.server.HTTPServer((options["http-host"], int(options["http-port"])), Keycloak).serve_forever()
"""


@pytest.fixture
def java(tmp_path: Path) -> dict[str, str]:
    """Variables of a machine that has Java and a Keycloak; both are doubles."""
    (tmp_path / "keycloak.py").write_text(KEYCLOAK)
    for program, text in (
        ("bin/java", "echo 'openjdk version \"21\"' >&2"),
        ("bin/kc.sh", f'exec {sys.executable} {tmp_path}/keycloak.py "$@"'),
    ):
        file = tmp_path / program
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"#!/bin/sh\n{text}\n")
        file.chmod(0o755)
    return {"JAVA_HOME": str(tmp_path), "KEYCLOAK_HOME": str(tmp_path), **NOT_ASKED_FOR}


def issuer_of(checkout: Checkout) -> str:
    """The address that the application was given last."""
    started = [event for event in checkout.events if event["event"] == "app"]
    return str(started[-1]["environment"]["KEYCLOAK_BASE_URL"])


def logout_url(address: str) -> str:
    """Where a server was told to send logout tokens."""
    token = get_token({"KEYCLOAK_BASE_URL": address}, "realm-operator", "realm-operator")
    clients = plain_http.get(
        f"{address}/admin/realms/starpost/clients?clientId=starpost",
        headers={"Authorization": f"Bearer {token}"},
        timeout=100,
    ).json()
    return str(clients[0]["attributes"]["backchannel.logout.url"])


def test_it_serves_against_the_real_one(checkout: Checkout, java: dict[str, str]) -> None:
    port = free_port()
    process = serve(checkout, port, KEYCLOAK="real", **java)

    said = read_until(process, "make -s token")

    assert f"Keycloak    {issuer_of(checkout)}" in said
    assert "Realm" not in said
    assert logout_url(issuer_of(checkout)) == f"http://127.0.0.1:{port}/auth/backchannel-logout"
    pid = checkout.record()["identity"]
    status, _, errors = finish(process, signal.SIGTERM)
    assert (status, errors) == (0, "")
    assert not is_running(pid)
    assert not (checkout.state / "realm").exists()


def test_the_development_realm_is_told_this_nodes_port_each_time(checkout: Checkout) -> None:
    for _ in range(2):
        port = free_port()
        process = serve(checkout, port, "--host", "localhost", **NOT_ASKED_FOR)
        read_until(process, "make -s token")
        assert logout_url(issuer_of(checkout)) == f"http://localhost:{port}/auth/backchannel-logout"
        finish(process, signal.SIGTERM)


def test_a_realm_that_does_not_take_the_address_does_not_stop_the_start(checkout: Checkout) -> None:
    realm = json.loads(checkout.realm_file.read_text())
    operator = next(user for user in realm["users"] if user["username"] == "realm-operator")
    operator["clientRoles"] = {}
    checkout.realm_file.write_text(json.dumps(realm))
    port = free_port()
    process = serve(checkout, port, **NOT_ASKED_FOR)
    read_until(process, "make -s token")
    status, _, errors = finish(process, signal.SIGTERM)
    assert status == 0
    assert errors.startswith("Logouts at the realm will not reach the application at ")
    assert "403" in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize(("running", "asked"), [("real", "development"), ("development", "real")])
def test_two_issuers_at_once_are_refused(checkout: Checkout, java: dict[str, str], running: str, asked: str) -> None:
    first = serve(checkout, free_port(), **{**java, "KEYCLOAK": running})
    read_until(first, "make -s token")
    pids = checkout.record()

    status, _, errors = finish(serve(checkout, free_port(), **{**java, "KEYCLOAK": asked}))

    assert status == 1
    assert errors == (
        f"The services of this checkout run with KEYCLOAK={running} already, and their nodes would refuse the tokens "
        f"of KEYCLOAK={asked}: end the commands that use them first, or leave KEYCLOAK out.\n"
    )
    assert checkout.record() == pids
    finish(first, signal.SIGTERM)


def test_who_leaves_it_open_shares_what_runs(checkout: Checkout, java: dict[str, str]) -> None:
    first = serve(checkout, free_port(), KEYCLOAK="real", **java)
    read_until(first, "make -s token")
    address = issuer_of(checkout)

    second = serve(checkout, free_port(), **java)
    read_until(second, "make -s token")
    assert issuer_of(checkout) == address
    token = checkout.start("-m", "scripts.get_token", "alice", **java)
    assert finish(token) == (0, "a token\n", "")

    finish(first, signal.SIGTERM)
    # The set was lost, and the development realm has another address: it must be the same server that comes back.
    supervisor = checkout.record()["supervisor"]
    os.kill(supervisor, signal.SIGKILL)
    assert wait_for(lambda: _record_of_another(checkout, supervisor))
    assert wait_for(lambda: _answers(address))
    assert second.poll() is None
    finish(second, signal.SIGTERM)


def _record_of_another(checkout: Checkout, supervisor: int) -> bool:
    try:
        return checkout.record()["supervisor"] != supervisor
    except (FileNotFoundError, ValueError):
        return False


def _answers(address: str) -> bool:
    try:
        return plain_http.get(address, timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


def test_each_has_an_address_of_its_own(
    checkout: Checkout, java: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in java.items():
        monkeypatch.setenv(name, value)
    addresses: dict[str, set[str]] = {"real": set(), "development": set()}
    for kind in ("real", "development", "real", "development"):
        with attach(["identity"], checkout.path, {**os.environ, "KEYCLOAK": kind}) as services:
            addresses[kind].add(services.environment()["KEYCLOAK_BASE_URL"])
    assert len(addresses["real"]) == len(addresses["development"]) == 1
    assert not addresses["real"] & addresses["development"]


# ---- refused ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("missing", "sentence"),
    [
        (
            "java",
            "the real Keycloak needs Java 17 or newer: install one (Debian: apt install openjdk-17-jre), or name it",
        ),
        ("keycloak", "is fetched with Maven: install it (Debian: apt install maven), or name an unpacked Keycloak"),
    ],
)
def test_what_is_missing_is_said(
    checkout: Checkout, java: dict[str, str], tmp_path: Path, missing: str, sentence: str
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    here = {**java, "KEYCLOAK": "real", "PATH": str(empty), "XDG_CACHE_HOME": str(empty)}
    here |= {"JAVA_HOME": str(empty)} if missing == "java" else {"KEYCLOAK_HOME": ""}
    for command in (
        ["scripts.serve"],
        ["scripts.get_token", "alice"],
        ["starpost_dev.services"],
    ):
        status, _, errors = finish(checkout.start("-m", *command, PORT=str(free_port()), **here))
        assert status == 3
        assert sentence in errors
        assert errors.count("\n") == 1
    assert not checkout.events


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"KEYCLOAK": "REAL"}, "KEYCLOAK is development or real, not 'REAL'."),
        (
            {"KEYCLOAK": "real", "KEYCLOAK_BASE_URL": "https://id.example"},
            "KEYCLOAK_BASE_URL=https://id.example is one",
        ),
    ],
)
def test_wrong_choices(checkout: Checkout, variables: dict[str, str], sentence: str) -> None:
    status, _, errors = finish(serve(checkout, free_port(), **variables))
    assert status == 1
    assert sentence in errors
    assert errors.count("\n") == 1


def test_the_choice_may_stand_in_the_file(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("KEYCLOAK=real\n")
    assert chosen_identity(tmp_path, {}) == "real"
    assert chosen_identity(tmp_path, {"KEYCLOAK": ""}) is None
    with pytest.raises(ServiceError, match="leave one of them out"):
        chosen_identity(tmp_path, {"KEYCLOAK_BASE_URL": "https://id.example"})


# ---- with the real one -----------------------------------------------------------------------------------------------


@pytest.mark.real_keycloak
@pytest.mark.skipif(not WITH_KEYCLOAK, reason="the real Keycloak runs under `make test-keycloak`")
@pytest.mark.timeout(400)
def test_a_real_keycloak_serves_a_checkout(checkout: Checkout) -> None:
    port = free_port()
    process = serve(checkout, port, KEYCLOAK="real", **NOT_ASKED_FOR)
    read_until(process, "make -s token")
    address = issuer_of(checkout)

    status, token, errors = finish(checkout.start("-m", "scripts.get_token", "alice", **NOT_ASKED_FOR))

    assert (status, errors) == (0, "")
    claims = jwt.decode(token.strip(), options={"verify_signature": False})
    assert claims["iss"] == f"{address}/realms/starpost"
    assert claims["preferred_username"] == "alice"
    assert "development_realm" not in plain_http.get(claims["iss"]).json()
    assert logout_url(address) == f"http://127.0.0.1:{port}/auth/backchannel-logout"
    status, _, errors = finish(process, signal.SIGTERM)
    assert (status, errors) == (0, "")
