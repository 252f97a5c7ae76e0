"""One client's socket, from the first packet to the close frame.

A connection is one task. It reads a frame, runs its packets, writes the reply, and reads again: nothing is handed to
another task on the way. Two things follow.

- Only this task may close the socket (a close from another task never reaches the client while a read is pending).
  Everyone else calls ``stop``, which leaves the verdict and wakes the task if it waits for a frame.
- While a packet runs nobody reads. When one runs for longer than a tick, an *attendant* task reads on: it answers PING
  and CANCEL at once, keeps other frames, in order, for the connection's own task, and notices when the client leaves.

With ``WS_MAX_PARALLEL`` above 1 each frame gets a task, and the connection's own one only reads; while it waits for a
slot, the attendant does.

Nothing ends at once: what runs has a grace period, after a verdict and after the client has left. What has not begun by
its end does not begin, nor does anything once the client is no longer signed in.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final, Protocol
from uuid import UUID, uuid4

import structlog

from starpost.auth.challenge import MissingTokenError
from starpost.auth.principal import Principal
from starpost.connections.channel import Channel, gone
from starpost.connections.heartbeat import Heartbeat, Pulse
from starpost.connections.hub import CLOSE_TIMEOUT, TICK, ConnectionHub
from starpost.connections.inbox import Inbox
from starpost.connections.limits import (
    STRANGER_BUDGET,
    STRANGER_MAX_BYTES,
    UNIT,
    ConnectionLimits,
    PacketRate,
    cost_of,
)
from starpost.connections.outbox import Outbox
from starpost.connections.parallel import ParallelPackets
from starpost.connections.places import Place
from starpost.connections.registry import ConnectionRegistry, TooManyConnectionsError
from starpost.connections.token_clock import TokenClock
from starpost.errors import (
    AppError,
    BadFrameError,
    ConflictError,
    DifferentUserError,
    RateLimitedError,
    TimeoutExceededError,
    TokenExpiredError,
    UnauthenticatedError,
    UnavailableError,
)
from starpost.limits import UserBudgets
from starpost.observability.metrics import Metrics
from starpost.observability.security_log import SecurityLog
from starpost.packets.dispatcher import Dispatcher
from starpost.packets.numbers import SystemPacket
from starpost.packets.system import Closing
from starpost.protocol.close_codes import CloseCode, Verdict
from starpost.protocol.codecs import BadPacket, Codec
from starpost.protocol.envelope import NIL, Packet, ServerPacket
from starpost.topics.event import Frames
from starpost.topics.hub import TopicHub
from starpost.topics.subscriber import EventSource

Found = Packet | BadPacket | list[Packet | BadPacket]

QUIET: Final = 0.05
"""Seconds without a frame after which a client is taken to have heard that it shall stop."""

REVOKED_GRACE: Final = 0.5
"""Seconds that a running packet has left when its sender is no longer welcome."""

GONE_GRACE: Final = 1.0
"""Grace period, in seconds, for what runs when its client has left: enough for a write that is about to commit."""

_PING = int(SystemPacket.PING)
_AUTH = int(SystemPacket.AUTH)
_CONTROL = frozenset({_PING, int(SystemPacket.CANCEL)})
_UNREAD: Final = BadPacket(RateLimitedError())

log = structlog.get_logger(__name__)


class Verifier(Protocol):
    """Makes a principal of a token."""

    async def verify(self, token: str) -> Principal:
        """Raises ``UnauthenticatedError`` or ``UnavailableError``."""
        ...

    def check(self, principal: Principal) -> None:
        """Look again at one that was verified before an ``await``; raises the same."""
        ...


def verdict_on(error: AppError) -> Verdict | None:
    """How a client is turned away that could not be let in for this reason; ``None``: it may try again."""
    match error:
        case UnauthenticatedError():
            return Verdict(CloseCode.UNAUTHENTICATED, error.code)
        case TooManyConnectionsError():
            return Verdict(CloseCode.TOO_MANY, "too_many_connections")
        case RateLimitedError():
            return Verdict(CloseCode.TOO_MANY, error.code, int(1000 * (error.retry_after or 0)))
        case UnavailableError():
            return Verdict(CloseCode.TRY_AGAIN_LATER, error.code)
    return None


class Connection:
    """A client's socket; to packets, the ``Caller``."""

    def __init__(
        self,
        *,
        channel: Channel,
        codec: Codec,
        hub: ConnectionHub,
        registry: ConnectionRegistry,
        dispatcher: Dispatcher,
        verifier: Verifier,
        allowed_for: Callable[[frozenset[str]], frozenset[int]],
        limits: ConnectionLimits,
        topics: TopicHub,
        budgets: UserBudgets,
        metrics: Metrics,
        security: SecurityLog,
        address: str | None,
        on_known: Callable[[], None],
    ) -> None:
        self.id = uuid4().hex
        self.address = address
        self.codec = codec
        self.principal: Principal | None = None
        self.session_id: str | None = None
        self.place: Place | None = None
        self.allowed: frozenset[int] = frozenset()
        self.interrupted: str | None = None
        self.since = datetime.now(UTC)
        self.last_seen = hub.now
        self.verdict: Verdict | None = None
        self.outbox = Outbox(
            channel.send,
            codec.frame_key,
            max_messages=limits.outbox_messages,
            max_bytes=limits.outbox_bytes,
            on_overflow=self._overflow,
            on_drop=self._drop,
            clock=hub.clock,
            is_eager=channel.is_eager,
        )
        self._receive = channel.receive
        self._send = channel.send
        self._link = channel.link
        # Before the upgrade is accepted, after which a client may send as much as it likes.
        self._received_before = None if channel.link is None else hub.received.of(channel.link)
        self._hub = hub
        self._registry = registry
        self._dispatcher = dispatcher
        self._verifier = verifier
        self._allowed_for = allowed_for
        self._limits = limits
        self._topics = topics
        self._metrics = metrics
        self._security = security
        self._after_reply: list[Callable[[], None]] = []
        self._budgets = budgets
        self._on_known = on_known
        self._rate = PacketRate(limits.rate_limit, budgets.clock)
        self._task: asyncio.Task[Any] | None = None
        self._is_waiting = False
        self._is_gone = False
        self._is_held = False
        """Whether the connection's own task waits for packets that have tasks of their own."""
        self._is_signing_in = False
        self._bad_frames = 0
        self._running: Packet | None = None
        self._started_at = 0.0
        self._deadline = 0.0
        self._grace_until: float | None = None
        self._attendant: asyncio.Task[None] | None = None
        self._inbox = Inbox()
        self._parallel = ParallelPackets(self, dispatcher, limits.max_parallel) if limits.max_parallel > 1 else None
        self._has_replied = False
        self._heartbeat = Heartbeat(limits.heartbeat, limits.heartbeat_timeout)
        self._token_clock = TokenClock(
            limits.token_warning,
            lambda warning: self.push(ServerPacket(SystemPacket.TOKEN_EXPIRING, warning)),
            lambda: self.stop(Verdict(CloseCode.UNAUTHENTICATED, "token_expired")),
        )
        self._auth_timer: asyncio.TimerHandle | None = None

    # ---- what others may do ------------------------------------------------------------------------------------------

    def stop(self, verdict: Verdict, *, grace: float = REVOKED_GRACE) -> None:
        """Close, soon, for the first reason given. May be called from anywhere in the loop.

        Args:
            verdict: Why.
            grace: Seconds for the packet that is running.
        """
        if self.verdict is not None:
            return
        self.verdict = verdict
        self._end_within(grace)
        if self._is_waiting and self._task is not None:
            self._task.cancel()

    def give_back_place(self) -> None:
        """Let another have the place, if there is one."""
        if self.place is not None:
            self.place.give_back()

    def let_go(self) -> None:
        """Hold the user's budget and the server's end no longer; see ``forget_channel``."""
        self._rate.belong_to(None)
        self._receive = self._send = gone
        self.outbox.let_go()

    def push(self, packet: ServerPacket) -> None:
        """Send something unasked."""
        self.outbox.push(self.codec.frame(self.codec.encode(packet)))

    def push_frames(self, frames: Frames) -> None:
        """Send something unasked that others get too."""
        self.outbox.push(frames.of(self.codec))

    def after_reply(self, call: Callable[[], None]) -> None:
        """See ``Subscriber``."""
        self._after_reply.append(call)

    async def authenticate(self, token: str) -> Principal:
        """See ``Caller``."""
        try:
            principal = await self._verifier.verify(token)
        except UnauthenticatedError as error:
            if self.principal is None:
                # A first AUTH with a bad token: answered, then closed.
                self.stop(Verdict(CloseCode.UNAUTHENTICATED, error.code))
            raise
        if self.principal is None:
            try:
                await self.admit(principal)
            except AppError as error:
                if (verdict := verdict_on(error)) is not None:
                    self.stop(verdict)
                raise
            return principal
        if principal.user_id != self.principal.user_id:
            raise DifferentUserError
        self._identify(principal)
        self._registry.update(self.id, principal)
        return principal

    async def admit(self, principal: Principal) -> None:
        """Let a client in that has shown who it is: the one way for a handshake and for a first AUTH.

        Raises:
            RateLimitedError: The user has no budget left: a handshake is a request.
            TooManyConnectionsError: The user has as many connections as one may have.
            UnavailableError: Redis is away, so they cannot be counted.
            UnauthenticatedError: The session was ended meanwhile.
            ConflictError: Another AUTH of this connection is being judged.
        """
        if self._is_signing_in:
            raise ConflictError("Another AUTH is being judged")
        self._on_known()
        budget = self._budgets.of(principal.user_id)
        if (wait := budget.take(self._budgets.clock())) > 0:
            raise RateLimitedError(retry_after=wait)
        self._rate.belong_to(budget)
        self._is_signing_in = True
        try:
            await self._registry.enter(self.id, principal, self.since)
            # Whoever ended the session while Redis was asked did not find this connection among its sockets.
            self._verifier.check(principal)
        finally:
            self._is_signing_in = False
        self._identify(principal)

    def _identify(self, principal: Principal) -> None:
        """Take a verified principal: its permissions, its session and its time."""
        if self.principal is None:
            self._bad_frames = 0
            self._security.record("connected", user=principal.username, address=self.address, connection=self.id)
        self.principal = principal
        if self.place is not None:
            self.place.sign_in()
        self.allowed = self._allowed_for(principal.roles)
        self._hub.identify(self)
        self.session_id = principal.session_id
        if self._auth_timer is not None:
            self._auth_timer.cancel()
        self._token_clock.watch(principal.expires_at)
        self._topics.recheck(self)

    def cancel(self, req_id: UUID) -> bool:
        """See ``Caller``."""
        if self._parallel is not None:
            return self._parallel.cancel(req_id)
        # Asked by its own task, what runs is the CANCEL itself, which has no `await` to be interrupted at.
        if self._running is None or self._running.req_id != req_id or asyncio.current_task() is self._task:
            return False
        self._interrupt("Cancelled by the client")
        return True

    # ---- the pulse ---------------------------------------------------------------------------------------------------

    def tick(self, now: float) -> None:
        """Look after a running packet and a frame that is being written."""
        if self._parallel is not None:
            self._parallel.tick(now)
        elif self._running is not None and now >= self._deadline:
            self._interrupt("The request took too long")
        if self._is_occupied and now - self._started_at > TICK and self._attendant is None and self._may_read_ahead:
            self._attendant = asyncio.create_task(self._read_ahead())
        if self._grace_until is not None and now >= self._grace_until:
            self._interrupt_all("The connection is closing")
        writing_since = self.outbox.writing_since
        if writing_since is not None and now - writing_since > self._limits.send_timeout:
            self._tell_slow("stalled", None)
            self.stop(Verdict(CloseCode.TRY_AGAIN_LATER, "slow_consumer"), grace=0)
            self._abandon_writing()

    def sweep(self, now: float) -> None:
        """Keep the heartbeat, and see to a push that nobody reads."""
        if self.outbox.writing_since is not None:
            self.tick(now)
        if self.principal is None or self.verdict is not None:
            return
        match self._heartbeat.judge(now, self.last_seen):
            case Pulse.PING:
                self.push(ServerPacket(SystemPacket.PING, {}))
            case Pulse.LOST:
                self.stop(Verdict(CloseCode.TIMEOUT, "heartbeat_lost"))

    def weigh(self, now: float) -> None:  # noqa: ARG002 - as the other checks
        """Close a stranger's socket that has sent too much, though none of it need have come to us yet."""
        if self.verdict is not None or self._link is None or self._received_before is None:
            return
        received = self._hub.received.of(self._link)
        if received is not None and received - self._received_before > STRANGER_BUDGET:
            self.stop(Verdict(CloseCode.MESSAGE_TOO_BIG, "message_too_big"))

    # ---- the connection's own task -----------------------------------------------------------------------------------

    async def run(self) -> None:
        """Serve the client until it goes or a verdict falls; then close. The socket has been accepted."""
        self._task = asyncio.current_task()
        self._hub.add(self)
        if self.principal is None and self.verdict is None:
            self._auth_timer = asyncio.get_running_loop().call_later(
                self._limits.auth_timeout, self.stop, Verdict(CloseCode.TIMEOUT, "auth_timeout")
            )
        try:
            while self.verdict is None:
                if self._inbox or self._attendant is not None:
                    message = await self._next_message()
                else:
                    # The usual case, without a coroutine for it.
                    self._is_waiting = True
                    try:
                        message = await self._receive()
                    finally:
                        self._is_waiting = False
                if message["type"] == "websocket.disconnect":
                    self._leave()
                    break
                self._hub.busy.add(self)
                await self._handle(message)
                if self._parallel is None or self._parallel.is_idle:
                    self._hub.busy.discard(self)
        except asyncio.CancelledError:
            if self.verdict is None:
                raise  # somebody ends the server, not this connection
            self._uncancel()
        finally:
            await self._end()

    async def _next_message(self) -> Any:
        """What the attendant has read, or reads now: it has a read pending, and two readers would race."""
        if not self._inbox and self._attendant is not None:
            self._is_waiting = True
            try:
                await asyncio.shield(self._attendant)
            finally:
                self._is_waiting = False
        if self._is_gone and self._is_grace_over:
            self._inbox.skip_to_last()
        return self._inbox.take()

    async def _handle(self, message: Any) -> None:
        self.last_seen = self._hub.now
        frame = _frame_of(message)
        if self._is_too_big(frame):
            self.stop(Verdict(CloseCode.MESSAGE_TOO_BIG, "message_too_big"))
            return
        found = self._found(frame)
        if self._parallel is not None:
            self._started_at = self._hub.now
            self._is_held = True
            try:
                await self._parallel.run(found, self._hub.now)
            finally:
                self._is_held = False
            return
        is_batch = type(found) is list
        packets: list[Packet | BadPacket] = found if is_batch else [found]  # type: ignore[list-item,assignment]
        replies = []
        for each in packets:
            packet = each if self._grace_until is None else self.unless_ending(each)
            if type(packet) is Packet:
                if packet.pkg_id == _PING and not is_batch and self._is_pong(packet):
                    return
                self._deadline = self.deadline_of(packet)
                self._started_at = self._hub.now
                self._running = packet
            try:
                replies.append(await self._dispatcher.answer(self, packet))
            finally:
                self._running = None
                if self.interrupted is not None:
                    self.interrupted = None
                    self._uncancel()
        encoded = self.codec.join(replies) if is_batch else replies[0]
        frame = self.codec.frame(encoded)
        # The usual case, without a coroutine for it.
        if not self.outbox.offer(frame):
            await self.outbox.write(frame)
        if self._after_reply or not self._has_replied:
            self._replied()

    def _found(self, frame: str | bytes) -> Found:
        """The packets of a frame; what the limits refuse becomes a ``BadPacket``."""
        paid = 0
        if len(frame) > UNIT:
            # Before it is decoded: that is what a large frame costs. So what it is cannot be said.
            paid = min(cost_of(frame), self._rate.burst)
            if (wait := self._rate.take(paid)) > 0:
                return self._refused(_UNREAD, wait, paid)
        is_stranger = self.principal is None
        if type(frame) is self.codec.frame_type:
            found = self.codec.decode(frame, 1 if is_stranger else self._limits.max_batch)
        else:
            found = self.codec.wrong_frame_type()
        if is_stranger:
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
        return found if paid else self._within_rate(found)  # type: ignore[arg-type]  # no list is left

    def _from_stranger(self, found: Found) -> Packet | BadPacket:
        """AUTH, or what is said to everything else: whoever is unknown learns nothing."""
        if type(found) is Packet and found.pkg_id == _AUTH and self._bad_frames < self._limits.max_bad_frames:
            # Counted until one signs somebody in: a handshake is charged to its address, what comes behind it is not.
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
            self.stop(Verdict(CloseCode.TOO_MANY_BAD_FRAMES, "too_many_bad_frames"))

    def _within_rate(self, packet: Packet | BadPacket) -> Packet | BadPacket:
        wait = self._rate.take()
        return self._refused(packet, wait) if wait else packet

    def _refused(self, packet: Packet | BadPacket, wait: float, cost: int = 1) -> BadPacket:
        """What is answered to a packet that the rate has no room for."""
        self._metrics.rate_limited("packet")
        if self._rate.is_deaf(cost):
            self.stop(Verdict(CloseCode.TOO_MANY, "too_many_packets", int(wait * 1000)))
        msg = "The frame was not read: there is no room for its size" if cost > 1 else None
        return BadPacket(RateLimitedError(msg, retry_after=round(wait, 3) or 0.001), packet.pkg_id, packet.req_id)

    def unless_ending(self, packet: Packet | BadPacket) -> Packet | BadPacket:
        """The packet, or the refusal of one that may not begin: its sender is not signed in any more, or time is up."""
        if self.verdict is not None and self.verdict.code is CloseCode.UNAUTHENTICATED:
            is_expired = self.verdict.reason == TokenExpiredError.code
            error: AppError = TokenExpiredError() if is_expired else UnauthenticatedError()
        elif self._is_grace_over:
            error = TimeoutExceededError("The connection is closing")
        else:
            return packet
        return BadPacket(error, packet.pkg_id, packet.req_id)

    def deadline_of(self, packet: Packet) -> float:
        """When a packet that starts now has to be done, on the hub's clock."""
        limit = self._limits.max_timeout
        return self._hub.now + (limit if packet.timeout_ms is None else min(limit, packet.timeout_ms / 1000))

    def frame_done(self, task: asyncio.Task[None]) -> None:
        """A frame's task has ended (``WS_MAX_PARALLEL`` above 1)."""
        if not task.cancelled() and task.exception() is not None:
            log.error("frame_failed", connection_id=self.id, exc_info=task.exception())
            self.stop(Verdict(CloseCode.INTERNAL_ERROR, "internal_error"))
        if self._parallel is not None and self._parallel.is_idle:
            self._hub.busy.discard(self)

    def _is_pong(self, packet: Packet) -> bool:
        """Whether a PING answers ours: it repeats the nil ``req_id``, and is not answered in turn."""
        self._heartbeat.knows_ping = True
        return packet.req_id == NIL and self.principal is not None

    async def reply(self, encoded: bytes) -> None:
        """Send a reply, and what had to wait for the first one."""
        frame = self.codec.frame(encoded)
        if not self.outbox.offer(frame):
            await self.outbox.write(frame)
        self._replied()

    def _replied(self) -> None:
        """Do what had to wait for a reply."""
        if self._after_reply:
            calls, self._after_reply = self._after_reply, []
            for call in calls:
                call()
        if not self._has_replied:
            self._has_replied = True
            self._token_clock.allow_warning()

    def _is_too_big(self, frame: str | bytes) -> bool:
        limit = self._limits.max_message_bytes
        if self.principal is None:
            limit = min(limit, STRANGER_MAX_BYTES)
        if isinstance(frame, bytes):
            return len(frame) > limit
        # A character takes one to four bytes of UTF-8: count them only where it matters.
        return len(frame) > limit or (len(frame) * 4 > limit and len(frame.encode()) > limit)

    # ---- reading on while packets run ------------------------------------------------------------------------------

    @property
    def _is_occupied(self) -> bool:
        """Whether the connection's own task reads no frames now."""
        return self._running is not None or self._is_held

    @property
    def _may_read_ahead(self) -> bool:
        limit = self._limits.max_message_bytes
        return not self._is_gone and self._inbox.has_room(STRANGER_MAX_BYTES if self.principal is None else limit)

    async def _read_ahead(self) -> None:
        """Read until the packet has ended and one more frame has come; control packets are answered at once."""
        try:
            while self._may_read_ahead:
                message = await self._receive()
                if message["type"] == "websocket.disconnect":
                    self._inbox.put(message)
                    self._leave()
                    return
                self.last_seen = self._hub.now
                frame = _frame_of(message)
                if self._is_too_big(frame):
                    self.stop(Verdict(CloseCode.MESSAGE_TOO_BIG, "message_too_big"))
                    return
                control = self._control(frame)
                if control is None:
                    self._inbox.put(message)
                    if not self._is_occupied:
                        return
                elif control.pkg_id != _PING or not self._is_pong(control):
                    await self.reply(await self._dispatcher.answer(_Aside(self), control))
        finally:
            self._attendant = None

    def _control(self, frame: str | bytes) -> Packet | None:
        """The PING or CANCEL in a frame, if that is all there is in it and the rate allows it."""
        if self.principal is None or type(frame) is not self.codec.frame_type or len(frame) > UNIT:
            return None
        found = self.codec.decode(frame, 1)
        if type(found) is not Packet or found.pkg_id not in _CONTROL or self._rate.take():
            return None
        return found

    # ---- interrupting ------------------------------------------------------------------------------------------------

    def _leave(self) -> None:
        """The client is gone: nobody hears what is sent, and what runs has to end soon."""
        self._is_gone = True
        self._end_within(GONE_GRACE)
        self.outbox.discard()

    def _end_within(self, grace: float) -> None:
        """End what runs after so many seconds; a second reason makes it no later."""
        end = self._hub.now + grace
        self._grace_until = end if self._grace_until is None else min(end, self._grace_until)

    @property
    def _is_grace_over(self) -> bool:
        return self._grace_until is not None and self._hub.now >= self._grace_until

    def _interrupt(self, reason: str) -> None:
        """Cancel the running packet. It is at an ``await`` of its own, so the cancellation is delivered to it."""
        if self.interrupted is None and self._running is not None and self._task is not None:
            self.interrupted = reason
            self._task.cancel()

    def _interrupt_all(self, reason: str) -> None:
        if self._parallel is not None:
            self._parallel.interrupt_all(reason)
        self._interrupt(reason)

    def _abandon_writing(self) -> None:
        """The client does not read: nobody may go on waiting for it."""
        if self.outbox.is_written_by_owner and self._parallel is None and self._task is not None:
            self._task.cancel()
        self.outbox.discard()

    def _uncancel(self) -> None:
        if self._task is not None and self._task.cancelling():
            self._task.uncancel()

    def _overflow(self, source: EventSource | None) -> None:
        self._metrics.outbox_overflow("close")
        self._tell_slow("full", source)
        self.stop(Verdict(CloseCode.TRY_AGAIN_LATER, "slow_consumer"))

    def _drop(self, source: EventSource) -> None:
        self._metrics.outbox_overflow(source.overflow)
        log.debug("events_dropped", connection_id=self.id, topic=source.name, depth=self.outbox.depth)

    def _tell_slow(self, cause: str, source: EventSource | None) -> None:
        """Say once who reads too slowly; the client is told by the close."""
        if self.verdict is None:
            log.warning(
                "slow_consumer",
                cause=cause,
                user=None if self.principal is None else self.principal.username,
                connection_id=self.id,
                topic=None if source is None else source.name,
                depth=self.outbox.depth,
                bytes=self.outbox.waiting_bytes,
            )

    # ---- the end -----------------------------------------------------------------------------------------------------

    async def _end(self) -> None:
        if self._auth_timer is not None:
            self._auth_timer.cancel()
        self._token_clock.stop()
        try:
            if self._parallel is not None:
                self._hub.busy.add(self)  # for the pulse, which bounds what still runs
                self._started_at = self._hub.now
                self._is_held = True
                await self._parallel.finish()
                self._is_held = False
            if self._attendant is not None:
                self._attendant.cancel()
                with suppress(asyncio.CancelledError):
                    await self._attendant
            if self.verdict is not None and not self._is_gone:
                await self._say_goodbye(self.verdict)
        finally:
            self.outbox.discard()
            self._topics.release(self)
            self._metrics.connection_closed(CloseCode.NORMAL if self.verdict is None else self.verdict.code)
            self._security.record(
                "disconnected",
                reason="client" if self.verdict is None else self.verdict.reason,
                user=None if self.principal is None else self.principal.username,
                address=self.address,
                connection=self.id,
                seconds=round((datetime.now(UTC) - self.since).total_seconds(), 3),
            )
            self._hub.remove(self)

    async def close_at_once(self, verdict: Verdict) -> None:
        """Close one that does not run, without a word: the code says enough."""
        self._metrics.connection_closed(verdict.code)
        await self._send({"type": "websocket.close", "code": int(verdict.code), "reason": verdict.reason})

    async def _say_goodbye(self, verdict: Verdict) -> None:
        closing = Closing(verdict.code, verdict.reason, verdict.should_reconnect, verdict.after_ms)
        frame = self.codec.frame(self.codec.encode(ServerPacket(SystemPacket.CLOSING, closing)))
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT):
                if verdict.code is CloseCode.UNAUTHENTICATED:
                    await self._refuse_waiting()
                await self.outbox.flush()
                await self._send({"type": "websocket.send", self.codec.frame_key: frame})
                await self._read_until_quiet()
                await self._send({"type": "websocket.close", "code": int(verdict.code), "reason": verdict.reason})
        except TimeoutError:
            log.info("close_not_read", connection_id=self.id, code=int(verdict.code))
        log.debug("connection_closed", connection_id=self.id, code=int(verdict.code), reason=verdict.reason)

    async def _refuse_waiting(self) -> None:
        """Answer the frames whose turn has not come."""
        while self._inbox:
            await self._handle(self._inbox.take())
        if self._parallel is not None:
            await self._parallel.finish()

    async def _read_until_quiet(self) -> None:
        """Drop what the client still sends, until it pauses.

        A socket that is closed with unread data is reset by TCP, and the client would see neither CLOSING nor the
        code. After our close frame Granian reads no more, so this comes before it.
        """
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + CLOSE_TIMEOUT / 2
        try:
            while loop.time() < give_up_at:
                async with asyncio.timeout(QUIET):
                    message = await self._receive()
                if message["type"] == "websocket.disconnect":
                    return
        except TimeoutError:
            # The inner one: quiet. The outer one comes as a cancellation.
            return


def _frame_of(message: Any) -> str | bytes:
    """What an ASGI message holds: one of the two members is missing, or ``None``."""
    frame: str | bytes | None = message.get("text")
    return message["bytes"] if frame is None else frame


class _Aside:
    """The connection as a caller of control packets, which run beside its own packet and cannot be interrupted."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.interrupted: str | None = None
        self.id = connection.id
        self.address = connection.address
        self.principal = connection.principal
        self.allowed = connection.allowed
        self.codec = connection.codec

    async def authenticate(self, token: str) -> Principal:
        return await self._connection.authenticate(token)

    def cancel(self, req_id: UUID) -> bool:
        return self._connection.cancel(req_id)
