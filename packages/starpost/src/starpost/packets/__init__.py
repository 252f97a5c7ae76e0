"""Packets: declared by domains, frozen into a registry at start, run by the dispatcher."""

from starpost.packets.caller import Caller
from starpost.packets.dispatcher import Dispatcher
from starpost.packets.numbers import SystemPacket
from starpost.packets.registry import DeclarationError, PacketRegistry, PacketRoute
from starpost.packets.request import RequestModel
from starpost.packets.router import Declaration, PackageRouter

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
