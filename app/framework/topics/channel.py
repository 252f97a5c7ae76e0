"""One topic in this worker: who is subscribed here, and every event to them, in order, each once.

Live events come from pub/sub, which may lose some; the stream in Redis has them all, as far as its history reaches.
The numbers tell: the next one is delivered, an older one is ignored, and a hole is filled from the stream. What cannot
be filled is told to the subscribers as a GAP.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final, Protocol

import structlog

from app.framework.errors import UnavailableError
from app.framework.redis import REDIS_FAULTS
from app.framework.topics.event import EventMeta, Frames
from app.framework.topics.links import pause
from app.framework.topics.stream import Snapshot, Streams, parse_message
from app.framework.topics.topic import Topic

MAX_BUFFER: Final = 10_000
"""Events kept while the stream is being read; more are dropped and fetched from the stream again."""

log = structlog.get_logger(__name__)


class Receiver(Protocol):
    """A subscription, as its channel sees it. Neither method may block or raise."""

    def deliver(self, seq: int, frames: Frames) -> None:
        """The next event."""
        ...

    def gap(self, first: int, last: int) -> None:
        """Events that will not come."""
        ...

    def reset(self, seq: int) -> None:
        """Redis has lost the topic: what was missed cannot be known, and the next event is ``seq + 1``."""
        ...


class TopicChannel:
    """One topic, by its canonical name, in this worker. A ``Listener`` of its Redis channel."""

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
        self.seq = 0
        self.is_live = False
        """Whether every event up to ``seq``, and none else, has been delivered, and the next ones arrive."""
        self._streams = streams
        self._spawn = spawn
        self._is_joined = False
        self._buffer: list[tuple[str, int, bytes]] = []
        self._reading: asyncio.Task[None] | None = None
        self._went_live = asyncio.Event()

    async def live(self, patience: float) -> None:
        """Wait until it is live.

        Raises:
            UnavailableError: It is not, after ``patience`` seconds: Redis is away.
        """
        if self.is_live:
            return
        try:
            async with asyncio.timeout(patience):
                await self._went_live.wait()
        except TimeoutError:
            raise UnavailableError("The topic cannot be reached") from None

    async def read(self, since: int) -> Snapshot:
        """The topic in Redis now, with the events behind ``since``; raises ``REDIS_AWAY``."""
        return await self._streams.read(self.name, since)

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
        elif epoch == self.epoch and seq <= self.seq + 1:
            self._advance(seq, payload)
        else:
            self._stop_being_live()
            self._buffer.append((epoch, seq, payload))
            self._read_up()

    # ---- reading what was missed -------------------------------------------------------------------------------------

    def _stop_being_live(self) -> None:
        self.is_live = False
        self._went_live.clear()

    def _read_up(self) -> None:
        if self._reading is None or self._reading.done():
            self._reading = self._spawn(self._read())

    async def _read(self) -> None:
        """Read the stream until this channel has caught up with it."""
        tries = 0
        while self._is_joined and not self.is_live:
            came_before = len(self._buffer)
            try:
                snapshot = await self._streams.read(self.name, None if self.epoch is None else self.seq, is_seen=True)
            except REDIS_FAULTS as error:
                log.warning("topic_not_read", topic=self.name, cause=repr(error))
                await asyncio.sleep(pause(tries))
                tries += 1
                continue
            self._catch_up(snapshot, came_before)

    def _catch_up(self, snapshot: Snapshot, came_before: int) -> None:
        """Take a snapshot, then what is buffered. The first ``came_before`` messages are older than the snapshot."""
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
                    receiver.reset(self.seq)
        buffered, self._buffer = self._buffer, []
        for index, (epoch, seq, payload) in enumerate(buffered):
            if epoch == self.epoch and seq <= self.seq + 1:
                self._advance(seq, payload)
            elif index >= came_before:
                # Still behind: the loop in `_read` looks again.
                self._buffer = buffered[index:]
                return
        self.is_live = True
        self._went_live.set()

    def _advance(self, seq: int, payload: bytes) -> None:
        if seq <= self.seq:
            return
        self._skip_to(seq - 1)
        self.seq = seq
        frames = self.frames(seq, payload)
        for receiver in list(self.receivers):
            receiver.deliver(seq, frames)

    def _skip_to(self, seq: int) -> None:
        """Give up the events up to ``seq`` that are not to be had any more."""
        if seq > self.seq:
            for receiver in list(self.receivers):
                receiver.gap(self.seq + 1, seq)
            self.seq = seq

    def frames(self, seq: int, payload: bytes) -> Frames:
        """An event as clients get it."""
        return Frames(self.topic.pkg_id, payload, EventMeta(self.name, str(seq)))
