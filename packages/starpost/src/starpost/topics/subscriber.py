"""Connection, as topics see it."""

from collections.abc import Callable
from typing import Protocol

from starpost.auth.principal import Principal
from starpost.protocol.codecs import Codec
from starpost.topics.event import Frames, Run
from starpost.topics.topic import Overflow


class EventSource(Protocol):
    """Source of events in an outbox, with the policy for a full one."""

    @property
    def overflow(self) -> Overflow:
        """Policy of its topic."""
        ...

    @property
    def name(self) -> str:
        """Name of the topic in the log."""
        ...

    def gap_frame(self, first: int | None, last: int | None) -> str | bytes:
        """Return the GAP frame for events that will not come."""
        ...


class EventOutbox(Protocol):
    """Outbox that takes events without waiting."""

    def push_events(self, run: Run, source: EventSource) -> None:
        """Send events, or apply the policy of their source if there is no room."""
        ...

    def push_gap(self, source: EventSource, first: int | None, last: int | None) -> None:
        """Send a GAP for events that will not come."""
        ...


class Subscriber(Protocol):
    """Subscriber: a connection."""

    @property
    def id(self) -> str:
        """Id of the connection."""
        ...

    @property
    def principal(self) -> Principal | None:
        """Principal of the connection; ``None`` until it is authenticated."""
        ...

    @property
    def codec(self) -> Codec:
        """Codec of its frames."""
        ...

    @property
    def outbox(self) -> EventOutbox:
        """Outbox of the connection."""
        ...

    def push_frames(self, frames: Frames) -> None:
        """Push a packet."""
        ...

    def after_reply(self, call: Callable[[], None]) -> None:
        """Call ``call`` when the reply to the running packet has been written."""
        ...
