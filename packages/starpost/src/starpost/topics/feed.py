"""Feed of one topic in this worker: delivers every event to the local subscribers, in order, once.

What comes in one turn of the loop is delivered together, when the turn is over.

Live events come from pub/sub, which may lose some. The stream in Redis has all of them, as far as its history reaches.
Events are numbered: the feed delivers the next one, ignores an older one, and fills a hole from the stream. Subscribers
get a GAP for a hole that cannot be filled.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, Final, Protocol
from uuid import uuid4

import structlog

from starpost.backoff import Backoff
from starpost.errors import UnavailableError
from starpost.redis import REDIS_FAULTS
from starpost.topics.event import EventMeta, Events, Frames, is_full
from starpost.topics.stream import UNBORN, Snapshot, Streams, parse_message
from starpost.topics.topic import Topic

MAX_BUFFER: Final = 10_000
"""Events that are kept while the stream is read. More are dropped, and read from the stream again."""

log = structlog.get_logger(__name__)


class Receiver(Protocol):
    """Subscription, as its feed sees it. No method may block. An exception is logged, and affects no other receiver."""

    def deliver(self, events: Events) -> None:
        """Take the next events."""
        ...

    def gap(self, first: int, last: int) -> None:
        """Note events that will not come."""
        ...

    def reset(self, seq: int) -> None:
        """Note that Redis has lost the topic: the missed events are unknown, and the next one is ``seq + 1``."""
        ...


class TopicFeed:
    """Feed of one topic, by its canonical name, in this worker. A ``Listener`` of its Redis channel."""

    def __init__(
        self,
        topic: Topic[Any],
        name: str,
        streams: Streams,
        spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
    ) -> None:
        self.topic = topic
        self.name = name
        self.receivers: set[Receiver] = set()
        self.epoch: str | None = None
        """Epoch in Redis: ``None`` before it was read, ``UNBORN`` before the first event."""
        self.seq = 0
        """Number of the last event that was delivered."""
        self.is_live = False
        """True if exactly the events up to ``seq`` have been delivered, and the next ones arrive."""
        self._streams = streams
        self._spawn = spawn
        self._is_joined = False
        self._buffer: list[tuple[str, int, bytes]] = []
        self._ready: list[Frames] = []
        """Events after ``seq``, which are delivered at the end of the turn."""
        self._ready_bytes = 0
        self._is_turn_watched = False
        self._reading: asyncio.Task[None] | None = None
        self._went_live = asyncio.Event()
        self._promised = uuid4().hex

    @property
    def promised_epoch(self) -> str:
        """Epoch for clients. Before the first event it is a promise, which becomes a name of the first epoch."""
        return self.epoch or self._promised

    async def live(self, patience: float) -> None:
        """Wait until the feed is live.

        Raises:
            UnavailableError: It is not live after ``patience`` seconds: Redis is away.
        """
        if self.is_live:
            return
        try:
            async with asyncio.timeout(patience):
                await self._went_live.wait()
        except TimeoutError:
            raise UnavailableError("The topic cannot be reached") from None

    async def recover(self, since: int, epoch: str | None) -> tuple[Snapshot, bool]:
        """Read the topic from Redis, with the events after ``since``, and whether they are all that a client missed.

        Args:
            since: Last number that the client has seen.
            epoch: Epoch that the client has kept; ``None`` accepts any.

        Raises:
            redis.exceptions.RedisError: Redis is away.
        """
        snapshot = await self._streams.read(self.name, since, claimed=epoch or UNBORN)
        is_unborn = snapshot.epoch == UNBORN
        is_same = epoch is None or snapshot.is_claimed or (is_unborn and epoch == self._promised)
        first = snapshot.events[0][0] if snapshot.events else snapshot.seq + 1
        is_complete = len(snapshot.events) == snapshot.seq - since and first == since + 1
        return snapshot, is_same and is_complete and since <= snapshot.seq

    # ---- as a listener -----------------------------------------------------------------------------------------------

    def joined(self) -> None:
        """See ``Listener``."""
        self._is_joined = True
        self._read_up()

    def lost(self) -> None:
        """See ``Listener``."""
        self._is_joined = False
        self._stop_being_live()

    def message(self, data: bytes) -> None:
        """See ``Listener``."""
        epoch, seq, payload = parse_message(data)
        if not self.is_live:
            if len(self._buffer) >= MAX_BUFFER:
                self._buffer.clear()
            self._buffer.append((epoch, seq, payload))
        elif epoch == self.epoch and seq <= self._last + 1:
            self._advance(seq, payload)
        elif self.epoch == UNBORN and seq == 1:
            self._begin(epoch)
            self._advance(seq, payload)
        else:
            self._stop_being_live()
            self._buffer.append((epoch, seq, payload))
            self._read_up()

    # ---- reading what was missed -------------------------------------------------------------------------------------

    @property
    def _last(self) -> int:
        """Number of the last event that has come."""
        return self.seq + len(self._ready)

    def _stop_being_live(self) -> None:
        self._deliver()
        self.is_live = False
        self._went_live.clear()

    def _read_up(self) -> None:
        if self._reading is None or self._reading.done():
            self._reading = self._spawn(self._read())

    async def _read(self) -> None:
        """Read the stream until this feed has caught up with it."""
        backoff = Backoff()
        while self._is_joined and not self.is_live:
            came_before = len(self._buffer)
            try:
                snapshot = await self._streams.read(self.name, None if self.epoch is None else self.seq, is_seen=True)
            except REDIS_FAULTS as error:
                log.warning("topic_not_read", topic=self.name, cause=repr(error))
                await backoff.pause()
                continue
            self._catch_up(snapshot, came_before)

    def _catch_up(self, snapshot: Snapshot, came_before: int) -> None:
        """Apply a snapshot, then the buffer. The first ``came_before`` messages are older than the snapshot."""
        if self.epoch == UNBORN != snapshot.epoch:
            self._begin(snapshot.epoch)
        if snapshot.epoch == self.epoch:
            for seq, payload in snapshot.events:
                self._advance(seq, payload)
            self._skip_to(snapshot.seq)
        else:
            is_known = self.epoch is not None
            self.epoch, self.seq = snapshot.epoch, snapshot.seq
            if is_known:
                log.warning("topic_epoch_changed", topic=self.name)
                for receiver in list(self.receivers):
                    with self._isolated():
                        receiver.reset(self.seq)
        buffered, self._buffer = self._buffer, []
        for index, (epoch, seq, payload) in enumerate(buffered):
            if epoch == self.epoch and seq <= self._last + 1:
                self._advance(seq, payload)
            elif index >= came_before:
                # Still behind: the loop in `_read` looks again.
                self._buffer = buffered[index:]
                self._deliver()
                return
        self._deliver()
        self.is_live = True
        self._went_live.set()

    def _begin(self, epoch: str) -> None:
        """Begin the first epoch, of which no event was missed. Clients know it by the promised name."""
        self.epoch = epoch
        promised, self._promised = self._promised, uuid4().hex
        self._spawn(self._keep_promise(epoch, promised))

    async def _keep_promise(self, epoch: str, promised: str) -> None:
        backoff = Backoff()
        while self.epoch == epoch:
            try:
                await self._streams.promise(self.name, epoch, promised)
            except REDIS_FAULTS as error:
                # The promise is not stored: a client that returns must load its state anew.
                log.warning("topic_epoch_not_kept", topic=self.name, cause=repr(error))
                await backoff.pause()
            else:
                return

    def _advance(self, seq: int, payload: bytes) -> None:
        if seq <= self._last:
            return
        self._skip_to(seq - 1)
        self._ready.append(self.frames(seq, payload))
        self._ready_bytes += len(payload)
        if is_full(len(self._ready), self._ready_bytes):
            self._deliver()
        elif not self._is_turn_watched:
            self._is_turn_watched = True
            asyncio.get_running_loop().call_soon(self._end_turn)

    def _end_turn(self) -> None:
        self._is_turn_watched = False
        self._deliver()

    def _deliver(self) -> None:
        """Deliver what has come."""
        if not self._ready:
            return
        events = Events(self.name, self.seq + 1, self._ready)
        self._ready, self._ready_bytes, self.seq = [], 0, events.last
        for receiver in list(self.receivers):
            try:
                receiver.deliver(events)
            except Exception:
                log.exception("event_not_delivered", topic=self.name, seq=events.first)
                with self._isolated():
                    receiver.gap(events.first, events.last)

    def _skip_to(self, seq: int) -> None:
        """Give up the events up to ``seq``, which cannot be fetched any more."""
        if seq > self._last:
            self._deliver()
            for receiver in list(self.receivers):
                with self._isolated():
                    receiver.gap(self.seq + 1, seq)
            self.seq = seq

    @contextmanager
    def _isolated(self) -> Iterator[None]:
        """Log the exception of one receiver, so that it does not affect the next."""
        try:
            yield
        except Exception:
            log.exception("gap_not_delivered", topic=self.name, seq=self.seq)

    def frames(self, seq: int, payload: bytes) -> Frames:
        """Return an event in the form for clients."""
        return Frames(self.topic.pkg_id, payload, EventMeta(self.name, str(seq)))
