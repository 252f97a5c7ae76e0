"""Dispatcher of packets: known? allowed? well-formed? then the handler, and its reply as bytes.

Every packet gets a reply. The payload is decoded only if the sender may send the packet. Whatever a handler raises, the
connection stays open.
"""

import asyncio
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any, Final
from uuid import UUID

import structlog

from starpost.auth.challenge import MissingTokenError
from starpost.errors import (
    AppError,
    BadFrameError,
    PermissionDeniedError,
    RSPCode,
    TimeoutExceededError,
    UnknownPacketError,
)
from starpost.observability import correlation
from starpost.observability.refusals import Refusals, Translator
from starpost.observability.security_log import Event, SecurityLog
from starpost.packets.caller import Caller
from starpost.packets.numbers import SystemPacket
from starpost.packets.registry import PacketRegistry, PacketRoute
from starpost.packets.request import RequestModel
from starpost.protocol.codecs import MALFORMED, BadPacket, Codec
from starpost.protocol.envelope import Packet, ResponseModel
from starpost.protocol.pages import Page
from starpost.protocol.validation import decode_or_explain

Observer = Callable[[tuple[int, int], float], None]

_AUTH = int(SystemPacket.AUTH)

_SECURITY_EVENTS: Final[dict[int, Event]] = {
    RSPCode.PERMISSION_DENIED: "denied",
    RSPCode.RATE_LIMITED: "rate_limited",
    RSPCode.UNAUTHENTICATED: "auth_refused",
}
"""Refusals for the security log, by status."""

log = structlog.get_logger(__name__)


class _Refused(Exception):  # noqa: N818 - not an error: it tells generators that the handler answered with one
    """The handler returned a refusal as ``ResponseModel``: uncommitted work is rolled back."""


class Dispatcher:
    """Dispatcher of packets.

    Args:
        registry: The packets.
        translators: Turn exceptions that are not faults of the program, such as a lost database, into refusals.
        observe: Called once per packet with its ``pkg_id`` (0 if unknown) and status, and its seconds.
        security: Security log, for refusals.
    """

    def __init__(
        self,
        registry: PacketRegistry,
        *,
        translators: Sequence[Translator] = (),
        observe: Observer | None = None,
        security: SecurityLog | None = None,
    ) -> None:
        self._routes = registry.routes
        self._refusals = Refusals("packet", log, translators)
        self._observe = observe
        self._security = security

    def route(self, pkg_id: int) -> PacketRoute | None:
        """Return the route of a packet; ``None`` if there is no such packet."""
        return self._routes.get(pkg_id)

    async def answer(self, caller: Caller, packet: Packet | BadPacket) -> bytes:
        """Run one packet, and return its reply.

        Returns:
            The reply, encoded with the caller's codec.

        Raises:
            asyncio.CancelledError: The packet was cancelled, and not by its caller.
        """
        started = perf_counter()
        pkg_id = packet.pkg_id
        user = caller.principal.username if caller.principal else None
        outer = correlation.enter(correlation.PacketCorrelation(caller.id, user, pkg_id, packet.req_id))
        try:
            route, request = self._admit(caller, packet)
            if route.takes_request_alone:
                # Inline, because a coroutine of its own would cost more than its body.
                result = await route.declaration.handler(request=request)
                status, reply = _encode(caller.codec, pkg_id, packet.req_id, result)
            else:
                status, reply = await self._run_with_dependencies(caller, route, request)
        except asyncio.CancelledError as error:
            if caller.interrupted is not None:
                status, reply = self._refuse(caller, user, packet, TimeoutExceededError(caller.interrupted))
            elif (task := asyncio.current_task()) is None or task.cancelling():
                raise
            else:
                # What the handler waited for was cancelled, and not the packet.
                status, reply = self._refuse(caller, user, packet, self._refusals.fault(error))
        except Exception as error:  # noqa: BLE001 - whatever a handler raises is answered; Refusals logs it
            # Kept in no variable: the refusal may be the error, whose trace holds this frame.
            status, reply = self._refuse(caller, user, packet, self._refusals.of(error))
        finally:
            correlation.leave(outer)
        if self._observe is not None:
            self._observe((pkg_id if pkg_id in self._routes else 0, status), perf_counter() - started)
        return reply

    def _admit(self, caller: Caller, packet: Packet | BadPacket) -> tuple[PacketRoute, RequestModel[Any]]:
        """Check that the packet exists and the caller may send it, and return its route with the decoded request."""
        if isinstance(packet, BadPacket):
            raise packet.error
        pkg_id = packet.pkg_id
        principal = caller.principal
        if principal is None and pkg_id != _AUTH:
            raise MissingTokenError("Send AUTH first")
        route = self._routes.get(pkg_id)
        if route is None:
            raise UnknownPacketError(f"No handler found for pkg_id {pkg_id}")
        if pkg_id > 0 and pkg_id not in caller.allowed:
            raise PermissionDeniedError(f"Permission denied for pkg_id {pkg_id}")
        data = _decode(route, caller.codec, packet)
        # Only AUTH runs without a principal, and its handler does not use it.
        return route, RequestModel(pkg_id, packet.req_id, data, principal)  # type: ignore[arg-type]

    async def _run_with_dependencies(
        self, caller: Caller, route: PacketRoute, request: RequestModel[Any]
    ) -> tuple[int, bytes]:
        """Run the handler with its dependencies. Encode the reply before the commit, so that a fault undoes it."""
        given = {"request": request, "principal": request.principal, "connection": caller}
        dependencies = route.plan.resolve(given)
        async with dependencies as arguments:
            result = await route.declaration.handler(**arguments)
            encoded = _encode(caller.codec, request.pkg_id, request.req_id, result)
            if encoded[0] != RSPCode.OK:
                await dependencies.undo(_Refused())
        return encoded

    def _refuse(
        self, caller: Caller, user: str | None, packet: Packet | BadPacket, error: AppError
    ) -> tuple[int, bytes]:
        pkg_id, status = packet.pkg_id, error.status_code
        try:
            reply = caller.codec.encode(ResponseModel(pkg_id, packet.req_id, status, error.body()))
        except (TypeError, ValueError, OverflowError) as unencodable:
            # The message has lone surrogates, as in a file name that is not UTF-8.
            return self._refuse(caller, user, packet, self._refusals.fault(unencodable))
        if self._security is not None and (event := _SECURITY_EVENTS.get(status)) is not None:
            self._security.record(
                event, reason=error.code, user=user, address=caller.address, connection=caller.id, pkg_id=pkg_id
            )
        return status, reply


def _decode(route: PacketRoute, codec: Codec, packet: Packet) -> Any:
    decoder = route.decoders[codec.name]
    raw = packet.data or codec.empty_object
    try:
        # The usual case, in one call. After a failure, the data is parsed again below, to name every fault.
        data = decoder.decode(raw)
    except MALFORMED:
        data = None
    if data is not None:
        return data
    try:
        data = decode_or_explain(decoder, codec.parse, raw, route.payload)
        # `null` means `{}`, and is decoded as such, so that the error names the missing members.
        return decode_or_explain(decoder, codec.parse, codec.empty_object, route.payload) if data is None else data
    except MALFORMED:
        # The envelope was valid, but its `data` is not in the codec, so the whole frame is not.
        raise BadFrameError from None


def _encode(codec: Codec, pkg_id: int, req_id: UUID, result: Any) -> tuple[int, bytes]:
    kind = type(result)
    if kind is Page:
        reply = ResponseModel(pkg_id, req_id, 0, result.items, result.meta)
    elif kind is ResponseModel:
        # The ids are always those of the packet, whatever the handler put into its reply.
        reply = result
        reply.pkg_id, reply.req_id = pkg_id, req_id
    else:
        reply = ResponseModel(pkg_id, req_id, 0, {} if result is None else result)
    return reply.status_code, codec.encode(reply)
