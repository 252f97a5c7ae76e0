"""`make serve` with the project's own application: what clients of both doors are told when it is interrupted."""

from __future__ import annotations

import re
import shutil
import signal

import pytest

from starpost.testing.packet_client import packet_client
from starpost_dev.services.ports import free_port
from tests.dev.checkouts import ROOT, Checkout, finish
from tests.dev.test_serve import read_until, serve

PING = -1


@pytest.fixture
def whole(checkout: Checkout) -> Checkout:
    """A checkout without doubles."""
    for folder in ("app", "migrations", "scripts"):
        shutil.copytree(ROOT / folder, checkout.path / folder, dirs_exist_ok=True)
    for file in ("actions.json", "pyproject.toml"):
        shutil.copy(ROOT / file, checkout.path)
    return checkout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda it: it.name)
async def test_clients_are_told_when_it_is_interrupted(whole: Checkout, number: signal.Signals) -> None:
    port = free_port()
    process = serve(whole, port)
    (ws_port,) = re.findall(r"sockets: ws://127\.0\.0\.1:(\d+)/web", read_until(process, "make -s token"))
    status, token, errors = finish(whole.start("-m", "scripts.get_token", "alice"))
    assert (status, errors) == (0, "")
    async with packet_client(port, token.strip()) as first, packet_client(int(ws_port), token.strip()) as second:
        for client in (first, second):
            assert (await client.ask(PING, {"sent": 1}))["data"] == {"sent": 1}
        process.send_signal(number)
        for client in (first, second):
            code, closing = await client.closed()
            assert (code, closing["reason"], closing["reconnect"]) == (1012, "service_restart", True)
    status, _, _ = finish(process)
    assert status == 0
