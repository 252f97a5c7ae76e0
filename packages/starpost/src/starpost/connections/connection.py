"""Connection: one client's socket, from the first packet to the close frame.

A connection is one task. It reads a frame, runs its packets, writes the reply, and reads again: nothing is handed to
another task on the way. ``Intake`` makes packets of the frame, ``Serial`` runs them. Where the server can, a frame that
comes while the task waits for one is run in its place, up to the first wait (``first_step``). Two things follow.

- Only this task may close the socket (a close from another task never reaches the client while a read is pending).
  Everyone else calls ``stop``, which leaves the verdict and wakes the task if it waits for a frame.
- While a packet runs nobody reads. When one runs for longer than a tick, an ``Attendant`` reads on: it answers PING
  and CANCEL at once, keeps other frames, in order, for the connection's own task, and notices when the client leaves.

With ``WS_MAX_PARALLEL`` above 1 each frame gets a task (``Parallel``), and the connection's own one only reads; while
it waits for a slot, the attendant does.

Nothing ends at once: what runs has a grace period, after a verdict and after the client has left (``Ending``). What has
not begun by its end does not begin, nor does anything once the client is no longer signed in.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final, Protocol
from uuid import UUID

import structlog

from starpost.auth.principal import Principal
from starpost.connections.attendant import Attendant
from starpost.connections.ending import REVOKED_GRACE, Ending
from starpost.connections.execution import Execution, Serial
from starpost.connections.first_step import begin, failed
from starpost.connections.heartbeat import Heartbeat, Judgement
from starpost.connections.hub import CLOSE_TIMEOUT, ConnectionHub
from starpost.connections.intake import Intake
from starpost.connections.limits import STRANGER_BUDGET, ConnectionLimits
from starpost.connections.outbox import Outbox
from starpost.connections.parallel import Parallel
from starpost.connections.places import Place
from starpost.connections.pulse import TICK
from starpost.connections.received import Link
from starpost.connections.registry import ConnectionRegistry, TooManyConnectionsError
from starpost.connections.token_clock import TokenClock
from starpost.connections.transport import Transport, frame_in, gone, to_receive
from starpost.errors import (
    AppError,
    ConflictError,
    DifferentUserError,
    RateLimitedError,
    UnauthenticatedError,
    UnavailableError,
)
from starpost.limits import UserBudgets
from starpost.observability.correlation import new_id
from starpost.observability.metrics import Metrics
from starpost.observability.security_log import SecurityLog
from starpost.packets.dispatcher import Dispatcher
from starpost.packets.numbers import SystemPacket
from starpost.packets.system import Closing
from starpost.protocol.close_codes import CloseCode, Verdict
from starpost.protocol.codecs import Codec
from starpost.protocol.envelope import Packet, ServerPacket
from starpost.topics.event import Frames
from starpost.topics.hub import TopicHub
from starpost.topics.subscriber import EventSource

BEGUN: Final = {"type": "starpost.begun"}
"""Message that ends the wait for a frame when one has begun without the connection's own task."""

QUIET: Final = 0.05
"""Silence, in seconds, after which we assume that the client has read CLOSING."""

log = structlog.get_logger(__name__)


class Verifier(Protocol):
    """Verifier of tokens."""

    async def verify(self, token: str) -> Principal:
        """Return the principal of a token; raises ``UnauthenticatedError`` or ``UnavailableError``."""
        ...

    def check(self, principal: Principal) -> None:
        """Check a principal again that was verified before an ``await``; raises the same errors."""
        ...


def verdict_on(error: AppError) -> Verdict | None:
    """Return the verdict for a client that is refused for this reason; ``None`` if it may try again."""
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
    """Connection of a client; for packets, the ``Caller``."""

    __slots__ = (
        "_after_reply", "_allowed_for", "_attendant", "_auth_timer", "_begun", "_budgets", "_deliver_to",
        "_dispatcher", "_ending", "_execution", "_heartbeat", "_hub", "_intake", "_is_signing_in", "_is_waiting",
        "_limits", "_link", "_metrics", "_on_known", "_pulse", "_receive", "_received_before", "_refused",
        "_registry", "_security", "_send", "_task", "_token_clock", "_topics", "_verifier", "address", "allowed",
        "codec", "id", "outbox", "place", "principal", "since",
    )  # fmt: skip

    def __init__(
        self,
        *,
        transport: Transport,
        link: Link | None,
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
        self.id = new_id()
        self.address = address
        self.codec = codec
        self.principal: Principal | None = None
        self.place: Place | None = None
        self.allowed: frozenset[int] = frozenset()
        self.since = datetime.now(UTC)
        self.outbox = Outbox(
            transport.send,
            codec.frame_key,
            max_messages=limits.outbox_messages,
            max_bytes=limits.outbox_bytes,
            on_overflow=self._overflow,
            on_drop=self._drop,
            clock=hub.pulse.clock,
            is_eager=transport.is_eager,
            send_frame=transport.send_frame,
            send_many=transport.send_many,
        )
        self._receive = transport.receive
        self._send = transport.send
        self._deliver_to = transport.deliver_to
        self._link = link
        # Counted before the upgrade is accepted, after which a client may send.
        self._received_before = None if link is None else hub.received.of(link)
        self._hub = hub
        self._pulse = hub.pulse
        self._registry = registry
        self._dispatcher = dispatcher
        self._verifier = verifier
        self._allowed_for = allowed_for
        self._limits = limits
        self._topics = topics
        self._metrics = metrics
        self._security = security
        self._budgets = budgets
        self._on_known = on_known
        self._task: asyncio.Task[Any] | None = None
        self._is_waiting = False
        """Set while the connection's own task waits for a frame, and none is being run in its place."""
        self._begun: Awaitable[None] | None = None
        """Rest of a frame that has begun in the place of the connection's own task."""
        self._is_signing_in = False
        self._refused: tuple[int, str] | None = None
        """Code and reason with which the server below has closed a socket that broke the protocol."""
        self._auth_timer: asyncio.TimerHandle | None = None
        self._ending = Ending(hub.pulse, self._wake)
        self._heartbeat = Heartbeat(limits.heartbeat, limits.heartbeat_timeout)
        self._token_clock = TokenClock(
            limits.token_warning,
            lambda warning: self.push(ServerPacket(SystemPacket.TOKEN_EXPIRING, warning)),
            lambda: self.stop(Verdict(CloseCode.UNAUTHENTICATED, "token_expired")),
        )
        self._intake = Intake(
            codec,
            limits,
            heartbeat=self._heartbeat,
            pulse=hub.pulse,
            clock=budgets.clock,
            metrics=metrics,
            stop=self._ending.stop,
        )
        self._after_reply: list[Callable[[], None]] = [self._token_clock.allow_warning]
        self._execution = self._make_execution()
        self._attendant: Attendant | None = None
        """Made for the first packet that outlasts a tick: it is a fifth of a connection, and most never need one."""

    def _make_execution(self) -> Execution:
        if self._limits.max_parallel > 1:
            return Parallel(
                self,
                self._dispatcher,
                self._ending,
                self._pulse,
                limit=self._limits.max_parallel,
                max_timeout=self._limits.max_timeout,
                reply=self._reply,
                on_idle=lambda: self._pulse.busy.discard(self),
            )
        return Serial(
            self,
            self._dispatcher,
            self.outbox,
            self._ending,
            self._pulse,
            max_timeout=self._limits.max_timeout,
            after_reply=self._after_reply,
            cancel=self._cancel,
            uncancel=self._uncancel,
        )

    def _make_attendant(self) -> Attendant:
        return Attendant(
            self._receive,
            self._intake,
            self._ending,
            is_needed=lambda: self._execution.occupied_since is not None,
            answer=self._answer_aside,
            on_gone=self._leave,
        )

    # ---- what others may do ------------------------------------------------------------------------------------------

    def stop(self, verdict: Verdict, *, grace: float = REVOKED_GRACE) -> None:
        """Close, soon, for the first reason given. May be called from anywhere in the loop.

        Args:
            verdict: Why.
            grace: Seconds for the packet that is running.
        """
        self._ending.stop(verdict, grace)

    @property
    def verdict(self) -> Verdict | None:
        """Reason for which the server closes; ``None`` while it does not."""
        return self._ending.verdict

    @property
    def interrupted(self) -> str | None:
        """See ``Caller``."""
        return self._execution.interrupted

    def push(self, packet: ServerPacket) -> None:
        """Push a packet."""
        self.outbox.push(self.codec.frame(self.codec.encode(packet)))

    def push_frames(self, frames: Frames) -> None:
        """Push a packet that others get too."""
        self.outbox.push(frames.of(self.codec))

    def after_reply(self, call: Callable[[], None]) -> None:
        """See ``Subscriber``."""
        self._after_reply.append(call)

    def cancel(self, req_id: UUID) -> bool:
        """See ``Caller``."""
        return self._execution.cancel(req_id)

    # ---- identity ----------------------------------------------------------------------------------------------------

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
            ConflictError: Another AUTH of this connection is being verified.
        """
        if self._is_signing_in:
            raise ConflictError("Another AUTH is being judged")
        self._on_known()
        budget = self._budgets.of(principal.user_id)
        if (wait := budget.take(self._budgets.clock())) > 0:
            raise RateLimitedError(retry_after=wait)
        self._intake.charge(budget)
        self._is_signing_in = True
        try:
            await self._registry.enter(self.id, principal, self.since)
            # If the session was ended during the call of Redis, this connection was not among its sockets yet.
            self._verifier.check(principal)
        finally:
            self._is_signing_in = False
        self._identify(principal)

    def _identify(self, principal: Principal) -> None:
        """Take a verified principal: its permissions, its session and its time."""
        if self.principal is None:
            self._security.record("connected", user=principal.username, address=self.address, connection=self.id)
        self.principal = principal
        if self.place is not None:
            self.place.sign_in()
        self.allowed = self._allowed_for(principal.roles)
        self._intake.sign_in()
        self._hub.identify(self)
        if self._auth_timer is not None:
            self._auth_timer.cancel()
        self._token_clock.watch(principal.expires_at)
        self._topics.recheck(self)

    # ---- the pulse ---------------------------------------------------------------------------------------------------

    def tick(self, now: float) -> None:
        """Check deadlines of running packets, and of a frame that is being written."""
        execution = self._execution
        execution.tick(now)
        occupied_since = execution.occupied_since
        if occupied_since is not None and now - occupied_since > TICK:
            if self._attendant is None:
                self._attendant = self._make_attendant()
            self._attendant.begin()
        if self._ending.is_grace_over:
            execution.interrupt("The connection is closing")
        writing_since = self.outbox.writing_since
        if writing_since is not None and now - writing_since > self._limits.send_timeout:
            self._tell_slow("stalled", None)
            self.stop(Verdict(CloseCode.TRY_AGAIN_LATER, "slow_consumer"), grace=0)
            execution.abandon_reply()
            self.outbox.discard()

    def sweep(self, now: float) -> None:
        """Check the heartbeat, and a push that the client does not read."""
        if self.outbox.writing_since is not None:
            self.tick(now)
        if self.principal is None or self._ending.verdict is not None:
            return
        match self._heartbeat.judge(now, self._intake.last_seen):
            case Judgement.PING:
                self.push(ServerPacket(SystemPacket.PING, {}))
            case Judgement.LOST:
                self.stop(Verdict(CloseCode.TIMEOUT, "heartbeat_lost"))

    def weigh(self, now: float) -> None:  # noqa: ARG002 - as the other checks
        """Close a stranger's socket that has sent too much, even if none of it has reached us yet."""
        if self._ending.verdict is not None or self._link is None or self._received_before is None:
            return
        received = self._hub.received.of(self._link)
        if received is not None and received - self._received_before > STRANGER_BUDGET:
            self.stop(Verdict(CloseCode.MESSAGE_TOO_BIG, "message_too_big"))

    # ---- the connection's own task -----------------------------------------------------------------------------------

    async def run(self) -> None:
        """Serve the client until it leaves or a verdict is given, then close. The socket must be accepted."""
        self._task = asyncio.current_task()
        self._hub.add(self)
        self._deliver_to(self._take)
        ending, execution, busy = self._ending, self._execution, self._pulse.busy
        if self.principal is None and ending.verdict is None:
            self._auth_timer = asyncio.get_running_loop().call_later(
                self._limits.auth_timeout, self.stop, Verdict(CloseCode.TIMEOUT, "auth_timeout")
            )
        try:
            while ending.verdict is None:
                attendant = self._attendant
                if attendant is not None and attendant.has_next:
                    message = await self._next_kept(attendant)
                else:
                    # The usual case, without a coroutine for it.
                    self._is_waiting = True
                    try:
                        message = await self._receive()
                    except asyncio.CancelledError:
                        if self._begun is None:
                            raise
                        self._cancel_again()
                        message = BEGUN
                    finally:
                        self._is_waiting = False
                if message is BEGUN:
                    work, self._begun = self._begun, None
                elif message["type"] == "websocket.disconnect":
                    self._note_refusal(message)
                    self._leave()
                    break
                else:
                    found = self._intake.read(frame_in(message))
                    work = None if found is None else execution.run(found)
                if work is not None:
                    busy.add(self)
                    await work
                    if execution.is_idle:
                        busy.discard(self)
        except asyncio.CancelledError:
            if ending.verdict is None:
                raise  # somebody ends the server, not this connection
            self._uncancel()
        finally:
            await self._end()

    def _take(self, frame: str | bytes) -> Any:
        """Run a frame where it arrives, in the place of the connection's own task, up to its first wait.

        Returns:
            What the task is to receive: the frame, if it has to run it, or ``BEGUN``; ``None`` if the frame is done.
        """
        attendant = self._attendant
        if (
            not self._is_waiting
            or self._task is None
            or self._ending.verdict is not None
            or (attendant is not None and attendant.has_next)
        ):
            return frame
        self._is_waiting = False
        try:
            found = self._intake.read(frame)
            if found is not None:
                self._begun = begin(self._execution.run(found), self._task)
        except Exception as error:  # noqa: BLE001 - raised in the task
            self._begun = failed(error)
        if self._begun is not None:
            return BEGUN
        if not self._execution.is_idle:
            self._pulse.busy.add(self)
        self._is_waiting = True
        if self.verdict is not None:
            self._wake()
        return None

    async def _next_kept(self, attendant: Attendant) -> Any:
        """The next message of those that the attendant has read, or reads now."""
        if not attendant.inbox and attendant.task is not None:
            self._is_waiting = True
            try:
                await asyncio.shield(attendant.task)
            finally:
                self._is_waiting = False
        return attendant.take()

    async def _answer_aside(self, control: Packet) -> None:
        """Answer PING or CANCEL beside what runs; their handlers never wait, so that nothing can interrupt them."""
        await self._reply(await self._dispatcher.answer(self, control))

    async def _reply(self, encoded: bytes) -> None:
        frame = self.codec.frame(encoded)
        if not self.outbox.offer(frame):
            await self.outbox.write(frame)
        self._token_clock.allow_warning()

    def _note_refusal(self, message: Any) -> None:
        if message.get("is_refusal"):
            self._refused = message["code"], message["reason"]

    def _leave(self) -> None:
        """Note that the client has left."""
        self._ending.client_left()
        self.outbox.discard()

    def _wake(self) -> None:
        """End the wait for a frame, since a verdict is given."""
        if self._is_waiting:
            self._cancel()

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _cancel_again(self) -> None:
        """Let a cancellation that came before the task could go on with the frame reach what the frame waits for."""
        self._uncancel()
        self._cancel()

    def _uncancel(self) -> None:
        if self._task is not None and self._task.cancelling():
            self._task.uncancel()

    # ---- a client that reads too slowly ------------------------------------------------------------------------------

    def _overflow(self, source: EventSource | None) -> None:
        self._metrics.outbox_overflow("close")
        self._tell_slow("full", source)
        self.stop(Verdict(CloseCode.TRY_AGAIN_LATER, "slow_consumer"))

    def _drop(self, source: EventSource) -> None:
        self._metrics.outbox_overflow(source.overflow)
        log.debug("events_dropped", connection_id=self.id, topic=source.name, depth=self.outbox.depth)

    def _tell_slow(self, cause: str, source: EventSource | None) -> None:
        """Log once that the client reads too slowly. The close tells the client."""
        if self._ending.verdict is None:
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

    async def turn_away(self, verdict: Verdict, *, is_there_time: bool) -> None:
        """Close a connection that is refused.

        Args:
            verdict: Reason of the refusal.
            is_there_time: Send CLOSING and wait until the client has read it; if false, send the close code only.
        """
        self._give_back_place()
        self.stop(verdict)
        if is_there_time:
            await self.run()
        else:
            self._metrics.connection_closed(verdict.code)
            await self._send_close(verdict)

    def release(self) -> None:
        """Give everything back, also what one that never ran has: its place, its count, its user, the server's end.

        The connection and its parts hold each other. They let go, so that neither waits for the garbage collector,
        which took an eighth of a handshake's time.
        """
        # With its last reference the socket of a client that does not read closes: see ``forget_transport``.
        self._give_back_place()
        self._registry.leave(self.id)
        self._intake.charge(None)
        self._receive = self._send = gone
        self._deliver_to = to_receive
        self._task = None
        if self._attendant is not None:
            self._attendant.let_go()
        self._after_reply.clear()
        self._execution.let_go()
        self._token_clock.let_go()
        self._ending.let_go()
        self.outbox.let_go()

    def _give_back_place(self) -> None:
        if self.place is not None:
            self.place.give_back()

    async def _end(self) -> None:
        if self._auth_timer is not None:
            self._auth_timer.cancel()
        self._token_clock.stop()
        self._deliver_to(None)
        try:
            if not self._execution.is_idle:
                self._pulse.busy.add(self)  # for the pulse, which bounds what still runs
                await self._execution.finish()
            if self._attendant is not None:
                await self._attendant.end()
            verdict = self._ending.verdict
            if verdict is not None and not self._ending.is_client_gone:
                await self._say_goodbye(verdict)
        finally:
            verdict = self._ending.verdict
            self.outbox.discard()
            self._topics.release(self)
            if verdict is not None:
                code, reason = int(verdict.code), verdict.reason
            else:
                code, reason = self._refused or (int(CloseCode.NORMAL), "client")
            self._metrics.connection_closed(code)
            self._security.record(
                "disconnected",
                reason=reason,
                user=None if self.principal is None else self.principal.username,
                address=self.address,
                connection=self.id,
                seconds=round((datetime.now(UTC) - self.since).total_seconds(), 3),
            )
            self._hub.remove(self)

    async def _send_close(self, verdict: Verdict) -> None:
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
                await self._send_close(verdict)
        except TimeoutError:
            log.info("close_not_read", connection_id=self.id, code=int(verdict.code))
            # Begun and not waited for: a client that reads on before the server cuts the socket gets its code.
            with suppress(TimeoutError):
                async with asyncio.timeout(0):
                    await self._send_close(verdict)
        log.debug("connection_closed", connection_id=self.id, code=int(verdict.code), reason=verdict.reason)

    async def _refuse_waiting(self) -> None:
        """Answer the waiting frames."""
        while self._attendant is not None and self._attendant.inbox:
            found = self._intake.read(frame_in(self._attendant.inbox.take()))
            if found is not None:
                await self._execution.run(found)
        await self._execution.finish()

    async def _read_until_quiet(self) -> None:
        """Read and drop the client's frames until it pauses.

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
