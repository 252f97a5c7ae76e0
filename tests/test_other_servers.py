"""``app.asgi:application`` in servers that are not ours: their commands, as processes."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from starpost.packets import SystemPacket
from starpost.testing import Issuer, packet_client
from starpost.testing.launched import PATIENCE, until
from starpost.testing.plain_http import NO_TLS, get
from starpost_dev.services.ports import free_port

BIN = Path(sys.executable).parent
COMMANDS = {
    "granian": ("granian", "--interface", "asgi", "--port", "{port}", "app.asgi:application"),
    "litestar": ("litestar", "--app", "app.asgi:application", "run", "--port", "{port}"),
    "uvicorn": ("uvicorn", "--port", "{port}", "app.asgi:application"),
}


def environment(services: Mapping[str, str], issuer: Issuer) -> dict[str, str]:
    return {**os.environ, **services, "KEYCLOAK_BASE_URL": issuer.base_url, "LOG_FORMAT": "json"}


@contextmanager
def running(command: tuple[str, ...], port: int, log: Path, environ: Mapping[str, str]) -> Iterator[None]:
    """The command, until the test is over; it has to end by itself when it is asked to."""
    arguments = [str(BIN / command[0]), *(word.format(port=port) for word in command[1:])]
    with log.open("w") as output, subprocess.Popen(arguments, env=environ, stdout=output, stderr=output) as process:
        try:
            until(lambda: process.poll() is not None or answers(port), f"an answer of {command[0]}")
            assert process.poll() is None, log.read_text()
            yield
            process.terminate()
            process.wait(PATIENCE)
        finally:
            process.kill()


def answers(port: int) -> bool:
    try:
        return get(f"http://127.0.0.1:{port}/health/ready").status_code == 200
    except httpx.TransportError:
        return False


def lines(log: Path, event: str) -> list[dict[str, Any]]:
    """The lines of ours with this event."""
    found = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    return [line for line in found if line.get("event") == event]


@pytest.mark.parametrize("name", COMMANDS)
async def test_another_server_serves_the_application_and_says_what_is_missing(
    name: str, service_environment: Mapping[str, str], issuer: Issuer, tmp_path: Path
) -> None:
    port, log = free_port(), tmp_path / "log"
    token = issuer.token(realm_access={"roles": ["admin"]}, resource_access=None)
    with running(COMMANDS[name], port, log, environment(service_environment, issuer)):
        async with packet_client(port, token) as client:
            assert (await client.ask(SystemPacket.PING))["status_code"] == 0
        headers = {"Authorization": f"Bearer {token}"}
        async with httpx.AsyncClient(verify=NO_TLS, headers=headers, timeout=PATIENCE) as http:
            assert (await http.get(f"http://127.0.0.1:{port}/connections")).status_code == 200
    (said,) = lines(log, "no_launcher")
    assert said["level"] == "warning"
    assert any("drain" in part for part in said["missing"])


def test_a_command_that_only_looks_says_nothing_and_needs_no_service(tmp_path: Path) -> None:
    without = {name: value for name, value in os.environ.items() if not name.startswith(("DB_", "REDIS_", "KEYCLOAK_"))}

    def litestar(*arguments: str) -> str:
        command = [str(BIN / "litestar"), "--app", "app.asgi:application", *arguments]
        done = subprocess.run(command, env=without, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    routes = litestar("routes")
    assert "/connections" in routes
    assert "/web" in routes
    assert "no_launcher" not in routes
    litestar("schema", "openapi", "--output", str(tmp_path / "openapi.json"))
    assert "/connections" in json.loads((tmp_path / "openapi.json").read_bytes())["paths"]


def test_the_launcher_makes_no_second_application() -> None:
    """The name is looked up by other servers' commands alone."""
    code = "import app.asgi; assert 'application' not in vars(app.asgi); assert not hasattr(app.asgi, 'app')"
    code += "; assert app.asgi._for_other_servers.cache_info().currsize == 0"
    subprocess.run([sys.executable, "-c", code], check=True)
