"""Subscription of one connection to one topic."""

from itertools import islice
from typing import Final

import msgspec

from starpost.errors import AppError
from starpost.packets.numbers import SystemPacket
from starpost.protocol.envelope import ServerPacket
from starpost.topics.event import Events, Frames, together
from starpost.topics.feed import TopicFeed
from starpost.topics.subscriber import Subscriber
from starpost.topics.topic import Overflow

MAX_HELD: Final = 1000
"""Events kept until the reply to SUBSCRIBE is written, or a check has answered. A GAP replaces further ones."""


class Gap(msgspec.Struct, frozen=True, rename={"first": "from", "last": "to"}):
    """Events that this client did not get. ``lost`` is ``None`` if the number is unknown: load the state anew."""

    topic: str
    lost: int | None
    first: str | None
    last: str | None

    @classmethod
    def of(cls, topic: str, first: int | None, last: int | None) -> "Gap":
        """Make the gap from the event ``first`` to the event ``last``."""
        if first is None or last is None:
            return cls(topic, None, None, None)
        return cls(topic, last - first + 1, str(first), str(last))


class Subscription:
    """Subscription, which passes a feed's events to a connection, each once.

    It holds events back until the reply to SUBSCRIBE is written, and while a check decides whether the connection may
    still have them. Once ended, it sends nothing.

    It is a ``Receiver`` of its feed, and the ``EventSource`` of its events in the outbox.

    Args:
        subscriber: The connection.
        feed: Feed of the topic.
        is_batched: The client takes one frame with an array for events that travel together.
    """

    __slots__ = (
        "_codec", "_held", "_is_begun", "_is_gap_owed", "_is_suspended", "_outbox", "ended", "feed", "is_batched",
        "is_reset", "position",
    )  # fmt: skip

    def __init__(self, subscriber: Subscriber, feed: TopicFeed, *, is_batched: bool = False) -> None:
        # Not by way of the connection: of a thousand subscribers, each object costs an event a miss of the caches.
        self._outbox = subscriber.outbox
        self._codec = subscriber.codec
        self.feed = feed
        self.is_batched = is_batched
        self.position = 0
        """Number of the last event that was sent, or reported as lost."""
        self.is_reset = False
        """True if Redis lost the topic while events were held back."""
        self.ended: AppError | None = None
        """Reason of its end; ``None`` while it is active."""
        self._held: list[tuple[int, Frames]] | None = []
        self._is_begun = False
        self._is_suspended = False
        self._is_gap_owed = False

    @property
    def name(self) -> str:
        """See ``EventSource``."""
        return self.feed.name

    @property
    def overflow(self) -> Overflow:
        """See ``EventSource``."""
        return self.feed.topic.overflow

    def check(self) -> None:
        """Check, after a wait, that the subscription has not ended.

        Raises:
            AppError: The reason of its end.
        """
        if self.ended is not None:
            raise self.ended

    def begin(self, missed: list[tuple[int, bytes]]) -> None:
        """Send what the client missed, then what came meanwhile; the reply to SUBSCRIBE has been written."""
        self._is_begun = True
        if self.ended is not None:
            if self._is_gap_owed:
                self._outbox.push_gap(self, None, None)
            return
        if self._held is not None and not self.is_reset:
            self._held[:0] = [(seq, self.feed.frames(seq, payload)) for seq, payload in missed]
        self._release()

    def suspend(self) -> None:
        """Hold events back until ``resume``."""
        self._is_suspended = True
        if self._held is None:
            self._held = []

    def resume(self) -> None:
        """Send what was held back, and go on."""
        self._is_suspended = False
        self._release()

    def _release(self) -> None:
        if self._held is None or self._is_suspended or not self._is_begun:
            return
        held, self._held = self._held, None
        if self.is_reset:
            self.is_reset = False
            self._outbox.push_gap(self, None, None)
        for events in together(self.feed.name, held):
            self.deliver(events)
        # More events may have come than were held back, or the feed has reported a hole.
        self.gap(self.position + 1, self.feed.seq)

    def deliver(self, events: Events) -> None:
        """See ``Receiver``."""
        if self._held is not None:
            self._held += islice(enumerate(events.frames, events.first), max(0, MAX_HELD - len(self._held)))
            return
        if events.first <= self.position:
            if events.last <= self.position:
                return
            events = events.after(self.position)
        for run in events.runs(self._codec, is_batched=self.is_batched):
            if run.first > self.position + 1:
                self.gap(self.position + 1, run.first - 1)
            self._outbox.push_events(run, self)
            # Last, so that events whose frame failed still count as missing, and get a gap.
            self.position = run.last
        if events.last > self.position:
            self.gap(self.position + 1, events.last)

    def gap(self, first: int, last: int) -> None:
        """See ``Receiver``."""
        if self._held is None and last > self.position:
            self._outbox.push_gap(self, max(first, self.position + 1), last)
            self.position = last

    def reset(self, seq: int) -> None:
        """See ``Receiver``."""
        self.position = seq
        if self._held is None:
            self._outbox.push_gap(self, None, None)
        else:
            self._held.clear()
            self.is_reset = True

    def end(self, reason: AppError) -> None:
        """Send nothing more."""
        self.ended = reason
        self._held = []
        self._is_suspended = True

    def deny(self, reason: AppError) -> None:
        """Send nothing more, and tell the client so: it may not see the topic any longer."""
        self.end(reason)
        if self._is_begun:
            self._outbox.push_gap(self, None, None)
        else:
            # Told after the reply, should it still say that the client is subscribed.
            self._is_gap_owed = True

    def gap_frame(self, first: int | None, last: int | None) -> str | bytes:
        """See ``EventSource``."""
        codec = self._codec
        gap = Gap.of(self.feed.name, first, last)
        return codec.frame(codec.encode(ServerPacket(SystemPacket.GAP, gap)))
