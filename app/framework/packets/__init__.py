"""Packets: declared by domains, frozen into a registry at start, run by the dispatcher."""

from app.framework.packets.caller import Caller
from app.framework.packets.dispatcher import Dispatcher
from app.framework.packets.numbers import SystemPacket
from app.framework.packets.registry import DeclarationError, PacketRegistry, PacketRoute
from app.framework.packets.request import RequestModel
from app.framework.packets.router import Declaration, PackageRouter

__all__ = [
    "Caller",
    "Declaration",
    "DeclarationError",
    "Dispatcher",
    "PackageRouter",
    "PacketRegistry",
    "PacketRoute",
    "RequestModel",
    "SystemPacket",
]
