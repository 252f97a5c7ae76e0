"""The security log of a real server: a line for what happened, and no token in any."""

import asyncio
import re
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from websockets.exceptions import InvalidStatus

from starpost.testing import Serve, plain_http
from starpost.testing.issuer import Issuer
from starpost.testing.launched import Launched, until
from starpost.testing.packet_client import packet_client
from tests.framework.probe import ProbeID

ADDRESS = "127.0.0.1"


@pytest.fixture(name="application")
def _application(serve: Serve) -> Launched:
    return serve(WS_MAX_CONNECTIONS_PER_USER="1", WS_RATE_LIMIT="5")


@pytest.fixture(name="token")
def _token(issuer: Issuer) -> Callable[..., str]:
    def token(user: str, **claims: Any) -> str:
        claims = {"realm_access": {"roles": ["author-reader"]}, "resource_access": None} | claims
        return issuer.token(sub=f"id-of-{user}", preferred_username=user, **claims)

    return token


def lines_of(application: Launched, event: str, **fields: Any) -> list[dict[str, Any]]:
    """The lines of the security log with these fields, once there is one."""

    def found() -> list[dict[str, Any]]:
        lines = [line for line in application.lines(event) if line["logger"] == "security"]
        return [line for line in lines if fields.items() <= line.items()]

    until(found, f"{event} {fields}")
    return found()


async def test_connect_denial_rate_limit_and_disconnect(application: Launched, token: Callable[..., str]) -> None:
    user = f"u-{uuid4().hex}"
    async with packet_client(application.port, token(user)) as client:
        assert (await client.ask(ProbeID.ADMIN_ONLY))["status_code"] == 3
        # More than the burst, and not so many that the connection is closed for them; in one frame, as a busy machine
        # takes so long for many that tokens come back meanwhile.
        packets = [{"pkg_id": ProbeID.ECHO, "req_id": str(uuid4()), "data": {"name": "a"}} for _ in range(13)]
        await client.send_value(packets)
        assert 6 in [reply["status_code"] for reply in await client.receive()]
    (connected,) = lines_of(application, "connected", user=user)
    known = {"user": user, "address": ADDRESS, "connection": connected["connection"]}
    assert lines_of(application, "denied", **known, reason="permission_denied", pkg_id=int(ProbeID.ADMIN_ONLY))
    assert lines_of(application, "rate_limited", **known, reason="rate_limited")
    (ended,) = lines_of(application, "disconnected", **known)
    assert ended["reason"] == "client"


async def test_refused_handshakes_and_refused_auth(application: Launched, token: Callable[..., str]) -> None:
    expired = token("late", exp=1, iat=0)
    async with packet_client(application.port, expired) as client:
        assert (await client.closed())[0] == 4401
    lines_of(application, "handshake_refused", reason="token_expired", address=ADDRESS)

    with pytest.raises(InvalidStatus):
        async with packet_client(application.port, token("bob"), additional_headers={"Origin": "https://evil.example"}):
            pass
    lines_of(application, "handshake_refused", reason="origin", address=ADDRESS)

    async with packet_client(application.port) as client:
        await client.send(-2, {"token": expired})
        assert (await client.closed())[0] == 4401
    lines_of(application, "auth_refused", reason="token_expired", address=ADDRESS, pkg_id=-2)

    user = f"u-{uuid4().hex}"
    async with (
        packet_client(application.port, token(user)) as first,
        packet_client(application.port, token(user)) as more,
    ):
        assert (await more.closed())[0] == 4429
        assert (await first.ask(ProbeID.WHO))["status_code"] == 0
    lines_of(application, "handshake_refused", reason="too_many_connections", address=ADDRESS)


async def test_http_and_revocations(application: Launched, token: Callable[..., str]) -> None:
    user = f"u-{uuid4().hex}"
    assert application.get("/connections", headers={"Authorization": f"Bearer {token(user)}"}).status_code == 403
    lines_of(application, "denied", user=user, address=ADDRESS, method="GET", path="/connections")
    assert application.get("/connections", headers={"Authorization": "Bearer nonsense"}).status_code == 401
    lines_of(application, "auth_refused", address=ADDRESS, reason="invalid_token", path="/connections")

    admin = {"Authorization": f"Bearer {token('root', realm_access={'roles': ['admin']})}"}
    async with packet_client(application.port, token(user)) as client:
        assert (await client.ask(ProbeID.WHO))["status_code"] == 0
        deleted = await asyncio.to_thread(
            plain_http.delete, f"http://127.0.0.1:{application.port}/connections?user={user}", headers=admin
        )
        assert deleted.status_code == 204
        assert (await client.closed())[0] == 4401
    lines_of(application, "revoked", reason="username", name=user)
    lines_of(application, "disconnected", user=user, reason="session_revoked")


async def test_a_flood_is_counted_and_leaves_room(application: Launched, token: Callable[..., str]) -> None:
    before = counted(application, "auth_refused")
    logged_before = logged(application, "auth_refused")

    def flood() -> None:
        for _ in range(60):
            assert application.get("/connections", headers={"Authorization": "Bearer nonsense"}).status_code == 401

    await asyncio.to_thread(flood)
    user = f"u-{uuid4().hex}"
    assert application.get("/connections", headers={"Authorization": f"Bearer {token(user)}"}).status_code == 403
    lines_of(application, "denied", user=user)
    until(lambda: logged(application, "auth_refused") - logged_before == 60, "each is written or counted")
    assert counted(application, "auth_refused") - before == 60


def test_no_line_has_a_token(application: Launched) -> None:
    """Of all the tests above, the access log included."""
    text = application.output.read_text()
    assert "security" in text
    assert not re.search(r"eyJ[\w-]+\.", text)
    assert "nonsense" not in text


def logged(application: Launched, event: str) -> int:
    """Events with a line of their own, and those that are counted in another."""
    left_out: list[int] = [
        line["count"] for line in application.lines("security_events_left_out") if line["of"] == event
    ]
    return len([line for line in application.lines(event) if line["logger"] == "security"]) + sum(left_out)


def counted(application: Launched, event: str) -> int:
    """The metric; it has no sample before the first event."""
    text: str = application.get("/metrics").text
    samples = re.findall(rf'^security_events_total{{.*event="{event}".*}} (\S+)$', text, re.MULTILINE)
    return sum(int(float(sample)) for sample in samples)
