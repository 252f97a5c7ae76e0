"""Packets that are sent and answered, for tests."""

from typing import Any

from starpost.testing import PacketClient


async def answered(socket: PacketClient, pkg_id: int, data: Any = None) -> Any:
    """Send a packet that has to succeed; the reply's data."""
    reply = await socket.ask(pkg_id, data)
    assert reply["status_code"] == 0, reply
    return reply["data"]


async def refused(socket: PacketClient, pkg_id: int, data: Any = None) -> tuple[int, str, list[str]]:
    """Send a packet that is refused; status, code and the paths of the errors."""
    reply = await socket.ask(pkg_id, data)
    return reply["status_code"], reply["data"].get("code"), [each["path"] for each in reply["data"].get("errors", [])]
