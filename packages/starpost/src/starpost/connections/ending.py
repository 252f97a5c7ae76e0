"""End of one connection: its verdict, its grace period, and the packets that may still begin."""

from collections.abc import Callable
from typing import Final

from starpost.connections.pulse import Pulse
from starpost.errors import AppError, TimeoutExceededError, TokenExpiredError, UnauthenticatedError
from starpost.protocol.close_codes import CloseCode, Verdict
from starpost.protocol.codecs import BadPacket
from starpost.protocol.envelope import Packet

REVOKED_GRACE: Final = 0.5
"""Grace period, in seconds, for a packet that runs when its connection is revoked."""

GONE_GRACE: Final = 1.0
"""Grace period, in seconds, for what runs when its client has left: enough for a write that is about to commit."""


def _nobody() -> None:
    """In the place of a connection that was let go."""


class Ending:
    """Ending of a connection: its reason and its time.

    Args:
        pulse: Clock.
        on_verdict: Called once, when a verdict is given.
    """

    __slots__ = ("_on_verdict", "_pulse", "grace_until", "is_client_gone", "verdict")

    def __init__(self, pulse: Pulse, on_verdict: Callable[[], None]) -> None:
        self._pulse = pulse
        self._on_verdict = on_verdict
        self.verdict: Verdict | None = None
        """Reason for which the server closes; ``None`` while it does not, or if the client has left first."""
        self.is_client_gone = False
        self.grace_until: float | None = None
        """Time at which running packets are interrupted, on the pulse's clock; ``None`` while the connection stays."""

    def stop(self, verdict: Verdict, grace: float = REVOKED_GRACE) -> None:
        """Close, soon, for the first reason given."""
        if self.verdict is None:
            self.verdict = verdict
            self._end_within(grace)
            self._on_verdict()

    def client_left(self) -> None:
        """Note that the client has left: sending is useless, and running packets have a grace period."""
        self.is_client_gone = True
        self._end_within(GONE_GRACE)

    def let_go(self) -> None:
        """Hold the connection no longer. A verdict that is given after this wakes nobody."""
        self._on_verdict = _nobody

    @property
    def is_grace_over(self) -> bool:
        """True if the grace period is over, so that no packet may run."""
        return self.grace_until is not None and self._pulse.now >= self.grace_until

    def unless_over(self, packet: Packet | BadPacket) -> Packet | BadPacket:
        """Return the packet, or its refusal if it may not begin: the sender is signed out, or the time is up."""
        if self.verdict is not None and self.verdict.code is CloseCode.UNAUTHENTICATED:
            is_expired = self.verdict.reason == TokenExpiredError.code
            error: AppError = TokenExpiredError() if is_expired else UnauthenticatedError()
        elif self.is_grace_over:
            error = TimeoutExceededError("The connection is closing")
        else:
            return packet
        return BadPacket(error, packet.pkg_id, packet.req_id)

    def _end_within(self, grace: float) -> None:
        """End running packets after ``grace`` seconds. A second call does not extend the time."""
        end = self._pulse.now + grace
        self.grace_until = end if self.grace_until is None else min(end, self.grace_until)
