"""WebSocket clients that send as fast as the server answers, at a given rate, or not at all."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import cycle
from typing import Final

from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from bench.dialects import CENTRIFUGO_PING, Exchange
from bench.loads.window import WARM_UP, LoadError, Tally, Throughput, watch
from bench.packets import CodecName, Frames
from bench.server import Server

HANDSHAKES_AT_ONCE: Final = 50
HANDSHAKE_TIMEOUT: Final = 60.0
ANSWER_TIMEOUT: Final = 60.0

EVENT_MARK: Final = b"a word to all"
"""Text in every announcement, and so in every event."""

MakeFrames = Callable[[int], Frames]
"""Makes the frames of the connection with this number."""


@dataclass(frozen=True, slots=True)
class Announcement:
    """Frames that one subscriber sends in a row, and the number of events that they cause.

    Args:
        frames: Frames of the subscriber.
        events: Number of events.
        request: HTTP request that is sent instead, to a server whose events come from outside.
    """

    frames: Sequence[bytes]
    events: int
    request: bytes = b""


class _Client(WSListener):
    """Client of one connection, which sends the next frame when an answer has arrived.

    Args:
        tally: Counter of all connections.
        frames: Frames to send.
        is_echo: The server repeats each frame, so that no answer can be wrong.
    """

    def __init__(self, tally: Tally, frames: Frames, *, is_echo: bool = False) -> None:
        self._tally = tally
        self._sequence = frames.sequence
        self._kind = WSMsgType.TEXT if frames.codec == "json" else WSMsgType.BINARY
        self._good = b"" if is_echo else frames.good
        self._times = frames.packets
        self._awaited: tuple[Exchange, asyncio.Future[None]] | None = None
        self.transport: WSTransport | None = None

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Keep the transport. Nothing is sent before all clients are connected."""
        self.transport = transport

    def prepare(self, exchange: Exchange) -> None:
        """Take the next frames as answers to this exchange. Some servers speak first; that is not the answer."""
        self._awaited = exchange, asyncio.get_running_loop().create_future()

    async def say(self) -> None:
        """Send what was prepared, and wait for its answer.

        Raises:
            LoadError: The server closed the connection.
            TimeoutError: No good answer came.
        """
        assert self.transport is not None
        assert self._awaited is not None
        exchange, answered = self._awaited
        self.transport.send(WSMsgType.TEXT, exchange.said)
        async with asyncio.timeout(ANSWER_TIMEOUT):
            await answered
        self._awaited = None

    def begin(self) -> None:
        """Send one frame."""
        assert self.transport is not None
        self.transport.send(self._kind, next(self._sequence))

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Count the answer, send the next."""
        if self._awaited is not None:
            self._heard(frame)
        elif frame.msg_type is WSMsgType.CLOSE:
            self._tally.refuse(f"closed with {frame.get_close_code()} {frame.get_close_reason()}")
            transport.disconnect()
        elif frame.msg_type is WSMsgType.TEXT or frame.msg_type is WSMsgType.BINARY:
            tally = self._tally
            if self._good and frame.get_payload_as_bytes().count(self._good) != self._times:
                if self._answered_ping(transport, frame):
                    return
                tally.refuse(f"answered {frame.get_payload_as_bytes()[:500]!r}")
            tally.done += 1
            self.answered()
            if tally.is_running:
                transport.send(self._kind, next(self._sequence))

    def answered(self) -> None:
        """Handle an answer; for subclasses."""

    def _answered_ping(self, transport: WSTransport, frame: WSFrame) -> bool:
        """Answer a ping of Centrifugo, an empty object, by the same."""
        if frame.get_payload_as_bytes() != CENTRIFUGO_PING:
            return False
        transport.send(WSMsgType.TEXT, CENTRIFUGO_PING)
        return True

    def _heard(self, frame: WSFrame) -> None:
        """Take a frame as the answer to what was said, if it is."""
        assert self._awaited is not None
        exchange, answered = self._awaited
        if answered.done():
            return
        if frame.msg_type is WSMsgType.CLOSE:
            answered.set_exception(LoadError(f"closed with {frame.get_close_code()} {frame.get_close_reason()}"))
        elif exchange.answer in frame.get_payload_as_bytes():
            answered.set_result(None)

    def on_ws_disconnected(self, transport: WSTransport) -> None:  # noqa: ARG002 - picows gives it
        """A connection that ends by itself ends the measurement."""
        if self._tally.is_running:
            self._tally.refuse("disconnected")


class _TimedClient(_Client):
    """Client that records how long each answer took."""

    def __init__(self, tally: Tally, frames: Frames, *, is_echo: bool) -> None:
        super().__init__(tally, frames, is_echo=is_echo)
        self.latencies = list[float]()
        self._sent = 0.0

    def begin(self) -> None:
        """Send the first frame."""
        self._sent = time.perf_counter()
        super().begin()

    def answered(self) -> None:
        """Record the time; the next frame leaves at once."""
        now = time.perf_counter()
        self.latencies.append(now - self._sent)
        self._sent = now


class _PacedClient(_Client):
    """Client that sends when it is called, and records how long each answer took."""

    def __init__(self, tally: Tally, frames: Frames, latencies: list[float], *, is_echo: bool) -> None:
        super().__init__(tally, frames, is_echo=is_echo)
        self._latencies = latencies
        self._due: deque[float] = deque()

    def send_due(self, due: float) -> None:
        """Send one frame that should have been sent at ``due``."""
        self._due.append(due)
        self.begin()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Record how long the answer took, from the time at which its request was due."""
        if self._awaited is not None or frame.msg_type is WSMsgType.CLOSE:
            super().on_ws_frame(transport, frame)
        elif frame.msg_type is WSMsgType.TEXT or frame.msg_type is WSMsgType.BINARY:
            if self._answered_ping(transport, frame) or not self._due:
                return  # not a reply
            if self._good and self._good not in frame.get_payload_as_bytes():
                self._tally.refuse(f"answered {frame.get_payload_as_bytes()[:500]!r}")
            self._tally.done += 1
            self._latencies.append(time.perf_counter() - self._due.popleft())


async def saturate(
    server: Server, token: str, make_frames: MakeFrames, *, connections: int, seconds: float
) -> Throughput:
    """Keep one frame on the way on each connection. Return packets per second.

    Raises:
        LoadError: An answer was a refusal.
    """
    tally = Tally()
    frames = [make_frames(number) for number in range(connections)]
    clients = [_Client(tally, each, is_echo=server.subject.dialect.is_echo) for each in frames]
    async with _connected(server, token, frames[0].codec, clients, tally):
        for client in clients:
            client.begin()
        return await watch(tally, server, seconds, frames[0].packets)


async def round_trips(
    server: Server, token: str, make_frames: MakeFrames, *, seconds: float
) -> tuple[Throughput, list[float]]:
    """Send a frame on one connection whenever the one before is answered.

    Returns:
        Packets per second, and the seconds that each answer took.

    Raises:
        LoadError: An answer was a refusal.
    """
    tally = Tally()
    frames = make_frames(0)
    client = _TimedClient(tally, frames, is_echo=server.subject.dialect.is_echo)
    async with _connected(server, token, frames.codec, [client], tally):
        client.begin()
        seen = await watch(tally, server, seconds, frames.packets)
    return seen, client.latencies


async def pace(
    server: Server, token: str, make_frames: MakeFrames, *, rate: float, connections: int, seconds: float
) -> list[float]:
    """Send at a constant rate, and return the seconds that each answer took from when its request was due.

    A client that waits for slow answers would miss the requests that they delay (coordinated omission); here they
    count.

    Raises:
        LoadError: An answer was a refusal.
    """
    tally, latencies = Tally(), list[float]()
    frames = [make_frames(number) for number in range(connections)]
    clients = [_PacedClient(tally, each, latencies, is_echo=server.subject.dialect.is_echo) for each in frames]
    async with _connected(server, token, frames[0].codec, clients, tally):
        interval, sent = 1 / rate, 0
        started = time.perf_counter()
        while tally.is_running and sent < rate * (WARM_UP + seconds):
            now = time.perf_counter()
            while (due := started + sent * interval) <= now:
                clients[sent % connections].send_due(due)
                sent += 1
            # Spins, since timers of the event loop have a resolution of a millisecond, and the core is ours.
            await asyncio.sleep(0)
        await tally.wait_for(sent, ANSWER_TIMEOUT)
    # The time until a connection is entered in the registry is not a packet's latency.
    return latencies[int(rate * WARM_UP) :]


@asynccontextmanager
async def idle(
    server: Server, token: str, make_frames: MakeFrames, subscription: Exchange | None = None, *, connections: int
) -> AsyncIterator[None]:
    """Open connections that get one answer each, or two with a subscription, and are silent from then on.

    Raises:
        LoadError: An answer was a refusal.
    """
    tally, latencies = Tally(), list[float]()
    frames = make_frames(0)
    is_echo = server.subject.dialect.is_echo
    clients = [_PacedClient(tally, frames, latencies, is_echo=is_echo) for _ in range(connections)]
    async with _connected(server, token, frames.codec, clients, tally, subscription):
        for number, client in enumerate(clients):
            client.send_due(time.perf_counter())
            if number % HANDSHAKES_AT_ONCE == 0:
                await asyncio.sleep(0)
        await tally.wait_for(connections, ANSWER_TIMEOUT)
        yield


class _Subscriber(_Client):
    """Client that counts events."""

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Count the events of a frame."""
        if self._awaited is not None or frame.msg_type is WSMsgType.CLOSE:
            super().on_ws_frame(transport, frame)
        elif frame.msg_type is WSMsgType.TEXT and (events := frame.get_payload_as_bytes().count(EVENT_MARK)):
            self._tally.done += events
            self._tally.wake()
        else:
            self._answered_ping(transport, frame)


async def fan_out(
    server: Server,
    token: str,
    announcement: Announcement,
    subscription: Exchange | None,
    *,
    subscribers: int,
    seconds: float,
) -> tuple[Throughput, float]:
    """Announce, wait until every subscriber has it, announce again.

    Args:
        server: Server under test.
        token: Token of a user who may subscribe.
        announcement: What the first subscriber sends.
        subscription: The subscription of each connection; ``None`` if every connection gets everything.
        subscribers: Number of subscribers.
        seconds: Length of the measurement.

    Returns:
        Deliveries, and the mean time, in seconds, until the last subscriber had everything.

    Raises:
        LoadError: A subscriber did not get an event.
    """
    tally = Tally()
    # One after the other, without waiting: a round of announcements.
    frames = Frames("json", cycle(announcement.frames or [b""]))
    clients = [_Subscriber(tally, frames) for _ in range(subscribers)]
    async with (
        _connected(server, token, "json", clients, tally, subscription),
        _announcing(server, announcement, clients[0]) as announce,
    ):
        rounds, began, cpu, done = 0, 0.0, 0.0, 0
        started = time.perf_counter()
        while tally.is_running and (not rounds or time.perf_counter() - began < seconds):
            announce()
            await tally.reach(tally.done + subscribers * announcement.events, ANSWER_TIMEOUT)
            if not rounds and time.perf_counter() - started < WARM_UP:
                continue
            if not rounds:
                began, cpu, done = time.perf_counter(), server.cpu_seconds(), tally.done
            rounds += 1
        elapsed = time.perf_counter() - began
        delivered = tally.done - done
        cpu = server.cpu_seconds() - cpu
    if tally.fault is not None or not delivered:
        raise LoadError(tally.fault or "no event came")
    return Throughput.of(delivered, elapsed, cpu), elapsed / max(1, rounds - 1)


@asynccontextmanager
async def _announcing(server: Server, announcement: Announcement, client: _Client) -> AsyncIterator[Callable[[], None]]:
    """Return a function that sends the announcement."""

    def by_frames() -> None:
        for _ in announcement.frames:
            client.begin()

    if not announcement.request:
        yield by_frames
        return
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    # The answers do not matter: an event that does not come is seen.
    reading = asyncio.create_task(reader.read())
    try:
        yield lambda: writer.write(announcement.request)
    finally:
        reading.cancel()
        writer.close()


@asynccontextmanager
async def _connected(
    server: Server,
    token: str,
    codec: CodecName,
    clients: Iterable[_Client],
    tally: Tally,
    subscription: Exchange | None = None,
) -> AsyncIterator[None]:
    greeting = server.subject.dialect.greeting
    headers = server.subject.dialect.headers(token, codec)
    slots = asyncio.Semaphore(HANDSHAKES_AT_ONCE)

    async def connect(client: _Client) -> None:
        async with slots:
            if greeting is not None:
                client.prepare(greeting(token))
            await ws_connect(
                lambda: client,
                server.socket_url,
                extra_headers=headers,
                websocket_handshake_timeout=HANDSHAKE_TIMEOUT,
                read_buffer_init_size=1024,
            )
            if greeting is not None:
                await client.say()
            if subscription is not None:
                client.prepare(subscription)
                await client.say()

    try:
        try:
            async with asyncio.TaskGroup() as group:
                for client in clients:
                    group.create_task(connect(client))
        except* Exception as errors:
            raise LoadError(f"no connection: {errors.exceptions[0]!r}") from errors
        yield
    finally:
        tally.is_running = False
        for client in clients:
            if client.transport is not None:
                client.transport.disconnect()
        # The server's side of the closes belongs to this measurement, not to the next one.
        await asyncio.sleep(0.1)
