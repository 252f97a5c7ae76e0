"""Packets: declared by domains, frozen into a registry at start, run by the dispatcher.

A domain declares a handler. Payload, reply and dependencies come from the annotations::

    from starpost.packets import PackageRouter, RequestModel

    pkg_router = PackageRouter()

    @pkg_router.register(PkgID.CREATE_AUTHOR)
    async def create_author(request: RequestModel[AuthorCreate], authors: AuthorService) -> AuthorView:
        return await authors.create(request.data)

``create_app`` freezes the declarations into a ``PacketRegistry``, and refuses to start on a fault. The dispatcher then
answers every packet: it refuses unknown and forbidden ones before it decodes their data, and a handler that raises gets
a reply too. Work of the handler's dependencies commits before the reply is sent.
"""

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
