"""Intake of one connection: from a frame to packets. It waits for nothing.

A frame is measured, paid for and decoded. What may not run becomes a ``BadPacket``, which is answered in its turn.
"""

from collections.abc import Callable
from typing import Final

from starpost.auth.challenge import MissingTokenError
from starpost.connections.heartbeat import Heartbeat
from starpost.connections.limits import STRANGER_MAX_BYTES, UNIT, ConnectionLimits, PacketRate, cost_of
from starpost.connections.pulse import Pulse
from starpost.errors import BadFrameError, RateLimitedError
from starpost.limits import UserBudget
from starpost.observability.metrics import Metrics
from starpost.packets.numbers import SystemPacket
from starpost.protocol.close_codes import CloseCode, Verdict
from starpost.protocol.codecs import BadPacket, Codec
from starpost.protocol.envelope import NIL, Packet

Found = Packet | BadPacket | list[Packet | BadPacket]

_PING = int(SystemPacket.PING)
_AUTH = int(SystemPacket.AUTH)
_CONTROL = frozenset({_PING, int(SystemPacket.CANCEL)})
_UNREAD: Final = BadPacket(RateLimitedError())


class Intake:
    """Intake of a client's frames, within its limits.

    Args:
        codec: Codec of the client.
        limits: Limits of the client.
        heartbeat: Told when the client knows PING.
        pulse: Clock of ``last_seen``.
        clock: Clock of the users' budgets.
        metrics: Counts bad frames and refusals.
        stop: Closes the connection.
    """

    __slots__ = (
        "_bad_frames", "_codec", "_heartbeat", "_limits", "_max_bytes", "_metrics", "_pulse", "_rate", "_stop",
        "is_stranger", "last_seen",
    )  # fmt: skip

    def __init__(
        self,
        codec: Codec,
        limits: ConnectionLimits,
        *,
        heartbeat: Heartbeat,
        pulse: Pulse,
        clock: Callable[[], float],
        metrics: Metrics,
        stop: Callable[[Verdict], None],
    ) -> None:
        self._codec = codec
        self._limits = limits
        self._heartbeat = heartbeat
        self._pulse = pulse
        self._metrics = metrics
        self._stop = stop
        self._rate = PacketRate(limits.rate_limit, clock)
        self._max_bytes = min(limits.max_message_bytes, STRANGER_MAX_BYTES)
        self._bad_frames = 0
        self.is_stranger = True
        """True until the client has signed in. Before that it may send only AUTH."""
        self.last_seen = pulse.now
        """Time of the last frame, on the pulse's clock."""

    @property
    def room(self) -> int:
        """Return the bytes of waiting frames that the inbox may hold."""
        return STRANGER_MAX_BYTES if self.is_stranger else self._limits.max_message_bytes

    def sign_in(self) -> None:
        """Accept all packets from now on: the client has signed in."""
        self.is_stranger = False
        self._bad_frames = 0
        self._max_bytes = self._limits.max_message_bytes

    def charge(self, budget: UserBudget | None) -> None:
        """Charge this user, too, from now on; ``None`` charges no user."""
        self._rate.belong_to(budget)

    def read(self, frame: str | bytes) -> Found | None:
        """Decode the packets of a frame. Packets that the limits refuse become a ``BadPacket``.

        Returns:
            ``None`` if there is nothing to answer: the frame is too large, or a PING that answers ours.
        """
        if not self.fits(frame):
            return None
        paid = 0
        if len(frame) > UNIT:
            # Charged before decoding, which is the cost of a large frame. So the refusal cannot name the packet.
            paid = min(cost_of(frame), self._rate.burst)
            if (wait := self._rate.take(paid)) > 0:
                return self._refused(_UNREAD, wait, paid)
        codec = self._codec
        if type(frame) is codec.frame_type:
            found = codec.decode(frame, 1 if self.is_stranger else self._limits.max_batch)
        else:
            found = codec.wrong_frame_type()
        if self.is_stranger:
            found = self._from_stranger(found)
        elif type(found) is BadPacket and type(found.error) is BadFrameError:
            self._count_bad_frame()
        else:
            self._bad_frames = 0
        if type(found) is list:
            owed = len(found) - paid
            if owed <= 0 or not self._rate.take(owed):
                return found
            return [*found[:paid], *map(self._within_rate, found[paid:])]
        if not paid and (wait := self._rate.take()):
            return self._refused(found, wait)  # type: ignore[arg-type]  # no list is left
        return None if found.pkg_id == _PING and self.is_pong(found) else found  # type: ignore[union-attr,arg-type]

    def fits(self, frame: str | bytes) -> bool:
        """Note that a frame has come, and return whether it is small enough. If not, end the connection."""
        self.last_seen = self._pulse.now
        limit = self._max_bytes
        size = len(frame)
        # A character takes one to four bytes of UTF-8: count them only where it matters.
        if size * 4 > limit and (size > limit or (type(frame) is str and len(frame.encode()) > limit)):
            self._stop(Verdict(CloseCode.MESSAGE_TOO_BIG, "message_too_big"))
            return False
        return True

    def control(self, frame: str | bytes) -> Packet | None:
        """Return the PING or CANCEL of a frame that contains nothing else, if the rate allows it."""
        if self.is_stranger or type(frame) is not self._codec.frame_type or len(frame) > UNIT:
            return None
        found = self._codec.decode(frame, 1)
        if type(found) is not Packet or found.pkg_id not in _CONTROL or self._rate.take():
            return None
        return found

    def is_pong(self, packet: Packet | BadPacket) -> bool:
        """Return true for a PING that answers ours: it repeats the nil ``req_id``, and gets no answer."""
        if type(packet) is not Packet or packet.pkg_id != _PING:
            return False
        self._heartbeat.knows_ping = True
        return packet.req_id == NIL

    def _from_stranger(self, found: Found) -> Packet | BadPacket:
        """Return AUTH, or the refusal of any other packet, which tells a stranger nothing."""
        if type(found) is Packet and found.pkg_id == _AUTH and self._bad_frames < self._limits.max_bad_frames:
            # Counted until one succeeds: the address pays for the handshake, but not for the packets after it.
            self._bad_frames += 1
            return found
        self._count_bad_frame()
        if type(found) is list:
            return BadPacket(MissingTokenError("Send AUTH first, in a frame of its own"))
        return BadPacket(MissingTokenError("Send AUTH first"), found.pkg_id, found.req_id)  # type: ignore[union-attr]

    def _count_bad_frame(self) -> None:
        self._bad_frames += 1
        self._metrics.bad_frames.inc()
        if self._bad_frames >= self._limits.max_bad_frames:
            self._stop(Verdict(CloseCode.TOO_MANY_BAD_FRAMES, "too_many_bad_frames"))

    def _within_rate(self, packet: Packet | BadPacket) -> Packet | BadPacket:
        wait = self._rate.take()
        return self._refused(packet, wait) if wait else packet

    def _refused(self, packet: Packet | BadPacket, wait: float, cost: int = 1) -> BadPacket:
        """Return the refusal of a packet that exceeds the rate."""
        self._metrics.rate_limited("packet")
        if self._rate.is_deaf(cost):
            self._stop(Verdict(CloseCode.TOO_MANY, "too_many_packets", int(wait * 1000)))
        msg = "The frame was not read: there is no room for its size" if cost > 1 else None
        return BadPacket(RateLimitedError(msg, retry_after=round(wait, 3) or 0.001), packet.pkg_id, packet.req_id)
