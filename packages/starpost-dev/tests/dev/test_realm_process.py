"""The development realm as a process: how it begins, what outlives it, how it ends."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from starpost.testing import plain_http
from starpost_dev.realm.process import RealmProcess, StartError
from starpost_dev.testing.realm import CLIENT, IdentityServer, start_development_realm
from tests.specimen import REALM_FILE

COMMAND = [sys.executable, "-m", "starpost_dev.realm"]


@pytest.fixture
def own_realm(tmp_path: Path) -> Iterator[IdentityServer]:
    """A realm that the test may stop."""
    server = start_development_realm(tmp_path / "state", REALM_FILE)
    yield server
    server.stop()


def run(*options: str) -> subprocess.CompletedProcess[str]:
    """Run a realm that is expected to end by itself."""
    return subprocess.run([*COMMAND, *options], capture_output=True, text=True, timeout=100, check=False)


def is_listening(port: int) -> bool:
    """Whether somebody listens on the port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


# ---- beginning ------------------------------------------------------------------------------------------------------


def test_it_says_where_it_listens_in_one_line_and_ends_at_a_signal(tmp_path: Path) -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        process = subprocess.Popen(
            [*COMMAND, "--state", str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert process.stdout is not None
        base_url = json.loads(process.stdout.readline())["base_url"]
        assert plain_http.get(f"{base_url}/realms/starpost").json()["realm"] == "starpost"

        process.send_signal(number)

        rest, _ = process.communicate(timeout=100)
        assert process.returncode == 0
        assert rest == ""
        assert not is_listening(int(base_url.rpartition(":")[2]))


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.1", "::", "localhost"])  # noqa: S104 - what it refuses
def test_it_listens_on_no_address_but_the_loopback(tmp_path: Path, host: str) -> None:
    ended = run("--host", host, "--state", str(tmp_path))

    assert ended.returncode == 2
    assert host in ended.stderr
    assert ended.stdout == ""


def test_a_bad_realm_file(tmp_path: Path) -> None:
    file = tmp_path / "bad.json"
    file.write_text('{"realm": 1}')

    ended = run("--realm-file", str(file), "--state", str(tmp_path / "state"))

    assert ended.returncode == 2
    assert ended.stderr == f"realm: {file}: Expected `str`, got `int` - at `$.realm`\n"


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()

        ended = run("--port", str(taken.getsockname()[1]), "--state", str(tmp_path))

    assert ended.returncode == 2
    assert "Address already in use" in ended.stderr


def test_a_process_that_does_not_start_tells_why(tmp_path: Path) -> None:
    file = tmp_path / "bad.json"
    file.write_text("{}")

    with pytest.raises(StartError, match="missing required field `realm`") as error:
        RealmProcess(tmp_path / "state", realm_file=file).start()

    assert error.value.status == 2


# ---- what outlives it -----------------------------------------------------------------------------------------------


def test_keys_users_and_sessions_outlive_it(own_realm: IdentityServer) -> None:
    tokens = own_realm.tokens("bob")
    keys = own_realm.get("certs").json()
    admin = own_realm.admin()
    user_id = admin.create_user({"username": "late", "email": "l@example.org", "firstName": "L", "lastName": "L"})

    own_realm.stop()
    with pytest.raises(httpx.ConnectError):
        own_realm.get("certs")
    own_realm.start()

    assert own_realm.get("certs").json() == keys
    assert own_realm.get("userinfo", token=tokens["access_token"]).json()["preferred_username"] == "bob"
    assert own_realm.refresh(tokens["refresh_token"]).status_code == 200
    assert own_realm.admin().get_user_id("late") == user_id


def test_a_realm_file_that_changed_wins(tmp_path: Path) -> None:
    document = json.loads(REALM_FILE.read_bytes())
    file = tmp_path / "realm.json"
    file.write_text(json.dumps(document))
    process = RealmProcess(tmp_path / "state", realm_file=file)
    issuer = f"{process.start()}/realms/starpost"
    keys = plain_http.get(f"{issuer}/protocol/openid-connect/certs").json()
    process.stop()
    document["users"] = [user for user in document["users"] if user["username"] != "bob"]
    file.write_text(json.dumps(document))

    process.start()

    form = {"grant_type": "password", "client_id": CLIENT, "username": "bob", "password": "bob"}
    assert plain_http.post(f"{issuer}/protocol/openid-connect/token", data=form).status_code == 400
    assert plain_http.get(f"{issuer}/protocol/openid-connect/certs").json() == keys
    process.stop()


def test_nobody_else_reads_its_state(own_realm: IdentityServer, tmp_path: Path) -> None:
    own_realm.tokens("bob")
    own_realm.stop()

    state = tmp_path / "state"
    assert state.stat().st_mode & 0o777 == 0o700
    for name in ("keys.json", "directory.json", "sessions.json"):
        assert (state / name).stat().st_mode & 0o777 == 0o600


def test_the_back_channel_url_comes_from_the_environment(tmp_path: Path) -> None:
    environ = {"STARPOST_BACKCHANNEL_LOGOUT_URL": "http://127.0.0.1:9/auth/backchannel-logout"}
    process = RealmProcess(tmp_path / "state", environ=environ)
    process.start()

    kept = (tmp_path / "state" / "directory.json").read_text()

    process.stop()
    assert environ["STARPOST_BACKCHANNEL_LOGOUT_URL"] in kept


# ---- what it logs ---------------------------------------------------------------------------------------------------


def test_neither_passwords_nor_tokens_are_logged(own_realm: IdentityServer, tmp_path: Path) -> None:
    tokens = own_realm.tokens("bob")
    own_realm.sign_in("bob", password="a-wrong-password")
    own_realm.post("logout", client_id=CLIENT, refresh_token=tokens["refresh_token"])
    own_realm.post("token/introspect", client_id="starpost-service", client_secret="a-wrong-secret", token="x.y.z")
    own_realm.stop()

    log = (tmp_path / "state" / "realm.err").read_text()

    assert "tokens issued: grant password, client starpost" in log
    assert "back-channel logout of client starpost failed" in log
    for kind in ("access_token", "refresh_token", "id_token"):
        assert tokens[kind] not in log
        assert tokens[kind].rpartition(".")[2] not in log
    for secret in ("a-wrong-password", "a-wrong-secret", "x.y.z"):
        assert secret not in log


def test_a_fault_of_its_own_is_logged_and_not_told(own_realm: IdentityServer, tmp_path: Path) -> None:
    operator = own_realm.admin("realm-operator")
    for key in operator.get_keys()["keys"]:
        if key["algorithm"] == "RS256":
            operator.delete_component(key["providerId"])

    answer = own_realm.sign_in("bob")

    assert answer.status_code == 500
    assert answer.json() == {"error": "unknown_error"}
    own_realm.stop()
    assert "the realm has no active signing key" in (tmp_path / "state" / "realm.err").read_text()


# ---- ending ---------------------------------------------------------------------------------------------------------


def test_it_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from starpost_dev.realm.process import RealmProcess\n"
        "realm = RealmProcess(Path(sys.argv[1])); print(realm.start(), realm.pid, flush=True); time.sleep(600)"
    )
    owner = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    base_url, pid = owner.stdout.readline().split()

    owner.kill()
    owner.communicate()

    deadline = time.monotonic() + 100
    while is_listening(int(base_url.rpartition(":")[2])) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_listening(int(base_url.rpartition(":")[2]))
    while _is_running(int(pid)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _is_running(int(pid))


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = subprocess.run(["ps", "-o", "state=", "-p", str(pid)], capture_output=True, text=True, check=False)  # noqa: S607
    return not state.stdout.startswith("Z")
