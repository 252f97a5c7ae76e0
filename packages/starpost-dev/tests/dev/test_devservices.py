"""The set of a checkout: who holds it, what it survives, what it leaves behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from starpost.settings import Settings
from starpost_dev.services import Attachment, Endpoints, ServiceError, attach
from starpost_dev.services.client import configured, external_services
from starpost_dev.services.ports import is_free
from starpost_dev.services.processes import send
from tests.dev.checkouts import Checkout, finish, is_running, new_checkout, read_line, wait_for

POSTGRES_AND_VALKEY = ("postgres", "valkey")

pytestmark = pytest.mark.usefixtures("no_external_services")


async def query(endpoints: Endpoints, statement: str) -> object:
    assert endpoints.postgres is not None
    at = endpoints.postgres
    connection = await asyncpg.connect(
        host=at.host, port=at.port, user=at.user, password=at.password, database=at.database
    )
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


def valkey(endpoints: Endpoints) -> redis.Redis:
    assert endpoints.valkey is not None
    at = endpoints.valkey
    return redis.Redis(host=at.host, port=at.port, password=at.password, decode_responses=True)


async def test_data_and_addresses_are_kept_between_runs(checkout: Checkout) -> None:
    with attach(checkout=checkout.path) as services:
        first = services.endpoints
        await query(first, "CREATE TABLE kept AS SELECT 42 AS answer")
        with valkey(first) as client:
            client.set("kept", "42")
        pids = checkout.record()
        assert set(pids) == {"supervisor", "watchdog", *POSTGRES_AND_VALKEY, "identity"}
    # The last holder returns when everything has ended.
    assert not [name for name in (*POSTGRES_AND_VALKEY, "identity") if is_running(pids[name])]
    with attach(checkout=checkout.path) as services:
        assert services.endpoints == first
        assert await query(first, "SELECT answer FROM kept") == 42
        with valkey(first) as client:
            assert client.get("kept") == "42"


@pytest.fixture(scope="module")
def shared() -> Iterator[tuple[Checkout, Attachment]]:
    """A set for the tests that only look at it."""
    with new_checkout() as made, attach(POSTGRES_AND_VALKEY, made.path, {}) as services:
        yield made, services


async def test_postgres_is_set_up_for_the_application(shared: tuple[Checkout, Attachment]) -> None:
    at = shared[1].endpoints
    assert await query(at, "SHOW server_encoding") == "UTF8"
    assert await query(at, "SHOW timezone") == "UTC"
    assert await query(at, "SELECT lower('ÄÉ')") == "äé"
    # Data that is kept is worth its flushes.
    assert await query(at, "SHOW fsync") == "on"
    assert at.postgres is not None
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(host=at.postgres.host, port=at.postgres.port, user="app", password="no", database="app")


def test_valkey_wants_its_password_and_tells_of_expiry(shared: tuple[Checkout, Attachment]) -> None:
    endpoints = shared[1].endpoints
    assert endpoints.valkey is not None
    # By default redis-py tries a refused password ten times more.
    once = Retry(NoBackoff(), 0)
    stranger = redis.Redis(host=endpoints.valkey.host, port=endpoints.valkey.port, retry=once)
    with stranger, pytest.raises(redis.AuthenticationError):
        stranger.ping()
    with valkey(endpoints) as client:
        assert client.config_get("notify-keyspace-events") == {"notify-keyspace-events": "xE"}


def test_secrets_are_in_no_command_line_and_no_open_file(shared: tuple[Checkout, Attachment]) -> None:
    checkout, services = shared
    ends = services.endpoints
    assert ends.postgres is not None
    assert ends.valkey is not None
    secrets = (ends.postgres.password, ends.valkey.password)
    assert not any(secret in repr(ends) for secret in secrets)
    command_lines = "\n".join(" ".join(process.argv) for process in checkout.processes())
    assert not any(secret in command_lines for secret in secrets)
    holding = [file for file in checkout.state.rglob("*") if file.is_file() and _contains(file, secrets)]
    assert {file.name for file in holding} == {"password", "valkey.conf"}
    assert {file.stat().st_mode & 0o077 for file in holding} == {0}
    # Root's servers, which run as another account, pass through the folder.
    assert checkout.state.stat().st_mode & 0o067 == 0


def test_an_unknown_service_is_refused(shared: tuple[Checkout, Attachment]) -> None:
    checkout, services = shared
    with socket.socket(socket.AF_UNIX) as stranger:
        stranger.connect(str(checkout.state / "supervisor.sock"))
        stranger.sendall(b'{"services": ["oracle"]}\n')
        assert b"There is no service called oracle" in stranger.recv(4096)
        # Neither this nor nonsense disturbs the others.
        stranger.sendall(b"nonsense\n")
        assert b"error" in stranger.recv(4096)
    with valkey(services.endpoints) as client:
        assert client.ping()


def test_holders_share_one_set_whichever_ends_first(checkout: Checkout) -> None:
    first = checkout.hold("valkey")
    shared = json.loads(read_line(first.stdout))
    second = checkout.hold("valkey")
    assert json.loads(read_line(second.stdout)) == shared
    pid = checkout.record()["valkey"]
    finish(first, signal.SIGTERM)
    assert is_running(pid)
    with attach(["valkey"], checkout.path) as third:
        finish(second, signal.SIGTERM)
        with valkey(third.endpoints) as client:
            assert client.ping()
        assert checkout.record()["valkey"] == pid
    assert wait_for(lambda: not is_running(pid))


def test_a_holder_gets_only_what_it_asked_for(checkout: Checkout) -> None:
    with attach(["valkey"], checkout.path) as first:
        assert set(first.environment()) == {"REDIS_IP", "REDIS_PORT", "REDIS_PASSWORD"}
        assert set(checkout.record()) == {"supervisor", "watchdog", "valkey"}
        with attach(["identity"], checkout.path) as second:
            assert set(second.environment()) == {"KEYCLOAK_BASE_URL"}
            assert set(checkout.record()) == {"supervisor", "watchdog", "valkey", "identity"}


@pytest.mark.parametrize(
    "number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL], ids=lambda it: it.name
)
def test_nothing_is_left_however_the_holder_ends(checkout: Checkout, number: signal.Signals) -> None:
    holder = checkout.hold("valkey")
    read_line(holder.stdout)
    pids = checkout.record().values()
    assert all(map(is_running, pids))
    finish(holder, number)
    assert wait_for(lambda: not any(map(is_running, pids)))
    assert not (checkout.state / "supervisor.json").exists()


def test_racing_starts_make_one_set(checkout: Checkout) -> None:
    holders = [checkout.hold("valkey") for _ in range(5)]
    environments = [read_line(holder.stdout) for holder in holders]
    assert len(set(environments)) == 1
    assert environments[0]
    supervisors = [process for process in checkout.processes() if process.has(["starpost_dev.services.supervisor"])]
    assert [process.pid for process in supervisors] == [checkout.record()["supervisor"]]
    for holder in holders:
        finish(holder, signal.SIGKILL)


def test_a_holder_that_comes_while_the_last_one_goes_is_served(checkout: Checkout) -> None:
    held = attach(["valkey"], checkout.path)
    for _ in range(4):
        going = threading.Thread(target=held.close)
        going.start()
        held = attach(["valkey"], checkout.path)
        going.join()
        with valkey(held.endpoints) as client:
            assert client.ping()
    held.close()


def test_a_supervisor_that_is_killed_takes_its_servers_along(checkout: Checkout) -> None:
    with attach(["valkey"], checkout.path) as services:
        pids = checkout.record()
        before = services.endpoints
        assert not services.is_lost
        kill(pids["supervisor"])
        assert wait_for(lambda: not any(map(is_running, pids.values())))
        assert wait_for(lambda: services.is_lost)
        services.renew()
        assert services.endpoints == before
        with valkey(services.endpoints) as client:
            assert client.ping()


async def test_leftovers_of_a_killed_supervisor_and_watchdog_are_ended(checkout: Checkout) -> None:
    with attach(POSTGRES_AND_VALKEY, checkout.path) as services:
        await query(services.endpoints, "CREATE TABLE kept AS SELECT 42 AS answer")
        pids = checkout.record()
        kill(pids["watchdog"], pids["supervisor"])
        assert is_running(pids["postgres"])
        assert is_running(pids["valkey"])
        services.renew()
        assert checkout.record()["postgres"] != pids["postgres"]
        assert not any(map(is_running, pids.values()))
        assert await query(services.endpoints, "SELECT answer FROM kept") == 42


def test_a_watchdog_that_is_killed_is_replaced_and_watches_all(checkout: Checkout) -> None:
    with attach(["valkey"], checkout.path):
        first = checkout.record()
        kill(first["watchdog"])
        assert wait_for(lambda: checkout.record()["watchdog"] != first["watchdog"])
        kill(first["supervisor"])
        assert wait_for(lambda: not is_running(first["valkey"]))


async def test_a_server_that_ends_by_itself_is_started_again_at_its_address(checkout: Checkout) -> None:
    with attach(POSTGRES_AND_VALKEY, checkout.path) as services:
        before = checkout.record()
        kill(before["valkey"], before["postgres"])
        assert wait_for(
            lambda: all(checkout.record()[name] not in (None, before[name]) for name in POSTGRES_AND_VALKEY)
        )
        with valkey(services.endpoints) as client:
            assert client.ping()
        assert await query(services.endpoints, "SELECT 1") == 1


def test_stale_files_do_not_keep_postgres_from_starting(checkout: Checkout) -> None:
    # A first start that was cut off,
    half = checkout.state / "postgres.tmp" / "data"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("1")
    with attach(["postgres"], checkout.path):
        pass
    assert not half.exists()
    # and a crash after which another program got the postmaster's number.
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        stale = checkout.state / "postgres" / "data" / "postmaster.pid"
        stale.write_text(f"1\n{stale.parent}\n1\n{other.getsockname()[1]}\n\n127.0.0.1\n\nready\n")
        with attach(["postgres"], checkout.path) as services:
            assert services.endpoints.postgres is not None


def test_a_port_that_is_taken_meanwhile_is_replaced(checkout: Checkout) -> None:
    with attach(["valkey"], checkout.path) as services:
        assert services.endpoints.valkey is not None
        port = services.endpoints.valkey.port
    with socket.create_server(("127.0.0.1", port)), attach(["valkey"], checkout.path) as services:
        assert services.endpoints.valkey is not None
        assert services.endpoints.valkey.port != port
        assert not is_free(services.endpoints.valkey.port)


def test_data_of_another_major_is_refused_in_one_sentence(checkout: Checkout) -> None:
    version = checkout.state / "postgres" / "data" / "PG_VERSION"
    version.parent.mkdir(parents=True)
    version.write_text("16\n")
    with pytest.raises(ServiceError, match=r"was made by PostgreSQL 16, and \d+ is installed: remove that folder"):
        attach(["postgres"], checkout.path)
    # The command shows the sentence, and no stack trace.
    status, output, errors = finish(checkout.start("-m", "starpost_dev.services"))
    assert (status, output) == (1, "")
    assert errors.startswith("The database in ")
    assert len(errors.splitlines()) == 1


def test_a_server_that_cannot_start_says_why(checkout: Checkout) -> None:
    checkout.realm_file.write_text("{}")
    said = r"development realm ended while it started: realm: .* missing required field `realm`"
    with pytest.raises(ServiceError, match=said):
        attach(["valkey", "identity"], checkout.path)


def test_servers_of_your_own_are_used_instead(checkout: Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
    (checkout.path / ".env").write_text(
        "# export DB_HOST=commented.example\nexport REDIS_IP = 'redis.example' # ours\nKEYCLOAK_BASE_URL=\n"
    )
    monkeypatch.setenv("DB_HOST", "db.example")
    with attach(checkout=checkout.path) as services:
        assert set(services.environment()) == {"KEYCLOAK_BASE_URL"}
        assert set(checkout.record()) == {"supervisor", "watchdog", "identity"}
    monkeypatch.setenv("KEYCLOAK_BASE_URL", "https://id.example")
    with attach(checkout=checkout.path) as services:
        assert services.environment() == {}
        assert services.folder is None
        assert not (checkout.state / "supervisor.json").exists()


def test_the_environment_wins_over_the_file(checkout: Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
    (checkout.path / ".env").write_text('DB_HOST="file.example"\nREDIS_NODES=one.example:6379\n')
    monkeypatch.setenv("DB_HOST", "")
    monkeypatch.setenv("KEYCLOAK_BASE_URL", "https://id.example")
    assert external_services(checkout.path, os.environ) == {
        "valkey": "one.example:6379",
        "identity": "https://id.example",
    }


def test_the_file_is_read_as_the_application_reads_it(checkout: Checkout) -> None:
    """Quotes, escapes, comments, several lines, a name without a value, and ``$`` that refers to nothing."""
    written = r"""
        export DB_HOST = 'db.example' # ours
        KEYCLOAK_CLIENT_SECRET='it\'s # "${no}" \\ comment'
        DB_PASSWORD="two
lines"
        REDIS_PASSWORD=plain#password
        DB_NAME
        """
    (checkout.path / ".env").write_text(written)
    variables = configured(checkout.path, {"DB_USER": "of the environment", "REDIS_PASSWORD": ""})
    assert variables == {
        "DB_HOST": "db.example",
        "KEYCLOAK_CLIENT_SECRET": r"""it's # "${no}" \ comment""",
        "DB_PASSWORD": "two\nlines",
        "DB_USER": "of the environment",
        "REDIS_PASSWORD": "",
    }
    settings = Settings.load(variables, dotenv=None)
    assert Settings.load({"DB_USER": "of the environment", "REDIS_PASSWORD": ""}, checkout.path / ".env") == settings


def test_a_file_that_cannot_be_read_is_named(checkout: Checkout) -> None:
    (checkout.path / ".env").write_bytes(b"DB_HOST=\xff\n")
    with pytest.raises(ServiceError, match=r"\.env cannot be read"):
        external_services(checkout.path, {})


def test_services_prints_shell_code_until_a_signal(checkout: Checkout) -> None:
    process = checkout.start("-m", "starpost_dev.services", DB_HOST="db.example")
    assert process.stderr is not None
    assert "until Ctrl-C" in process.stderr.readline()
    status, output, errors = finish(process, signal.SIGINT)
    assert (status, errors) == (0, "")
    names = [line.removeprefix("export ").partition("=")[0] for line in output.splitlines()]
    assert names == ["REDIS_IP", "REDIS_PORT", "REDIS_PASSWORD", "KEYCLOAK_BASE_URL"]


def kill(*pids: int) -> None:
    for pid in pids:
        send(pid, signal.SIGKILL)
    assert wait_for(lambda: not any(map(is_running, pids)))


def _contains(file: Path, secrets: tuple[str, ...]) -> bool:
    content = file.read_bytes()
    return any(secret.encode() in content for secret in secrets)
