"""One connection's subscription to one topic."""

from typing import Final

import msgspec

from app.framework.packets.numbers import SystemPacket
from app.framework.protocol.envelope import ServerPacket
from app.framework.topics.channel import TopicChannel
from app.framework.topics.event import Frames
from app.framework.topics.subscriber import Subscriber
from app.framework.topics.topic import Overflow

MAX_HELD: Final = 1000
"""Events kept until the reply to SUBSCRIBE is written."""


class Gap(msgspec.Struct, frozen=True, rename={"first": "from", "last": "to"}):
    """Events that this client did not get. ``lost`` is ``None`` when nobody can know: the state must be loaded anew."""

    topic: str
    lost: int | None
    first: str | None
    last: str | None

    @classmethod
    def of(cls, topic: str, first: int | None, last: int | None) -> "Gap":
        """The gap from the event ``first`` to the event ``last``."""
        if first is None or last is None:
            return cls(topic, None, None, None)
        return cls(topic, last - first + 1, str(first), str(last))


class Subscription:
    """Hands a channel's events to a connection: held back until the reply to SUBSCRIBE is written, each once.

    A ``Receiver`` of its channel, and the ``EventSource`` of its events in the outbox.
    """

    __slots__ = ("_held", "_is_reset", "channel", "overflow", "position", "subscriber")

    def __init__(self, subscriber: Subscriber, channel: TopicChannel) -> None:
        self.subscriber = subscriber
        self.channel = channel
        self.overflow: Overflow = channel.topic.overflow
        self.position = 0
        """The number of the last event that was sent, or told as lost."""
        self._held: list[tuple[int, Frames]] | None = []
        self._is_reset = False

    @property
    def name(self) -> str:
        """See ``EventSource``."""
        return self.channel.name

    def begin(self, missed: list[tuple[int, bytes]]) -> None:
        """Send what the client missed, then what came meanwhile; from now on events go straight on."""
        held, self._held = self._held, None
        if self._is_reset:
            self.subscriber.outbox.push_gap(self, None, None)
        else:
            for seq, payload in missed:
                self.deliver(seq, self.channel.frames(seq, payload))
        for seq, frames in held or ():
            self.deliver(seq, frames)

    def deliver(self, seq: int, frames: Frames) -> None:
        """See ``Receiver``."""
        if self._held is not None:
            if len(self._held) < MAX_HELD:
                self._held.append((seq, frames))
            return
        if seq <= self.position:
            return
        # The channel has told of its own holes; here is one when more came than could be held back.
        self.gap(self.position + 1, seq - 1)
        self.position = seq
        self.subscriber.outbox.push_event(frames.of(self.subscriber.codec), self, seq)

    def gap(self, first: int, last: int) -> None:
        """See ``Receiver``."""
        if self._held is None and last > self.position:
            self.subscriber.outbox.push_gap(self, max(first, self.position + 1), last)
            self.position = last

    def reset(self, seq: int) -> None:
        """See ``Receiver``."""
        self.position = seq
        if self._held is None:
            self.subscriber.outbox.push_gap(self, None, None)
        else:
            self._held.clear()
            self._is_reset = True

    def end(self) -> None:
        """Tell the client that no more events come, since it may not see them any longer."""
        if self._held is None:
            self.subscriber.outbox.push_gap(self, None, None)

    def gap_frame(self, first: int | None, last: int | None) -> str | bytes:
        """See ``EventSource``."""
        codec = self.subscriber.codec
        gap = Gap.of(self.channel.name, first, last)
        return codec.frame(codec.encode(ServerPacket(SystemPacket.GAP, gap)))
