"""A connection, as far as topics see it."""

from collections.abc import Callable
from typing import Protocol

from starpost.auth.principal import Principal
from starpost.protocol.codecs import Codec
from starpost.topics.event import Frames
from starpost.topics.topic import Overflow


class EventSource(Protocol):
    """Where events in an outbox come from, and what becomes of them when there is no room."""

    overflow: Overflow

    @property
    def name(self) -> str:
        """The topic, as the log names it."""
        ...

    def gap_frame(self, first: int | None, last: int | None) -> str | bytes:
        """The frame that tells of events that do not come."""
        ...


class EventOutbox(Protocol):
    """Takes events without waiting."""

    def push_event(self, frame: str | bytes, source: EventSource, seq: int) -> None:
        """Send an event, or do what its source says when there is no room."""
        ...

    def push_gap(self, source: EventSource, first: int | None, last: int | None) -> None:
        """Tell of events that do not come."""
        ...


class Subscriber(Protocol):
    """Who subscribes."""

    @property
    def id(self) -> str:
        """The connection's id."""
        ...

    @property
    def principal(self) -> Principal | None:
        """Who it is."""
        ...

    @property
    def codec(self) -> Codec:
        """How it reads packets."""
        ...

    @property
    def outbox(self) -> EventOutbox:
        """Its sending side."""
        ...

    def push_frames(self, frames: Frames) -> None:
        """Send something unasked."""
        ...

    def after_reply(self, call: Callable[[], None]) -> None:
        """Be called when the reply to the packet that runs now has been written."""
        ...
