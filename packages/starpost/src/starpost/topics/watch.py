"""Watches: connections that get the changes of a topic's presence."""

import asyncio

import msgspec
import structlog

from starpost.errors import AppError
from starpost.topics.event import Frames
from starpost.topics.presence import parse_change
from starpost.topics.subscriber import Subscriber

log = structlog.get_logger(__name__)


class Watcher:
    """One connection's watch of one topic.

    Changes are held back until the reply to its PRESENCE is written, and while a check decides whether the connection
    may still have them.
    """

    __slots__ = ("_held", "_is_begun", "_is_suspended", "_subscriber", "ended")

    def __init__(self, subscriber: Subscriber) -> None:
        self.ended: AppError | None = None
        """Reason of its end; ``None`` while it is active."""
        self._subscriber = subscriber
        self._held: list[Frames] = []
        self._is_begun = False
        self._is_suspended = False

    def begin(self) -> None:
        """The reply has been written."""
        self._is_begun = True
        self._release()

    def suspend(self) -> None:
        """Hold changes back until ``resume``."""
        self._is_suspended = True

    def resume(self) -> None:
        """Send what was held back, and go on."""
        self._is_suspended = False
        self._release()

    def end(self, reason: AppError) -> None:
        """Send nothing more."""
        self.ended = reason
        self._held.clear()

    def check(self) -> None:
        """Find out, after waiting, that it has ended meanwhile.

        Raises:
            AppError: Why it has.
        """
        if self.ended is not None:
            raise self.ended

    def tell(self, frames: Frames) -> None:
        """Send a change."""
        self._held.append(frames)
        self._release()

    def _release(self) -> None:
        if self._is_begun and not self._is_suspended:
            held, self._held = self._held, []
            for frames in held:
                self._subscriber.push_frames(frames)


class Watchers:
    """Watchers of one topic's presence in this worker. A ``Listener`` of its Redis channel."""

    def __init__(self, name: str, pkg_id: int) -> None:
        self._name = name
        self._pkg_id = pkg_id
        self.of_connection: dict[str, Watcher] = {}
        self.has_joined = asyncio.Event()

    def joined(self) -> None:
        """See ``Listener``."""
        self.has_joined.set()

    def lost(self) -> None:
        """See ``Listener``."""
        self.has_joined.clear()

    def message(self, data: bytes) -> None:
        """See ``Listener``."""
        frames = Frames(self._pkg_id, msgspec.json.encode(parse_change(self._name, data)))
        for watcher in list(self.of_connection.values()):
            try:
                watcher.tell(frames)
            except Exception:
                log.exception("presence_not_told", topic=self._name)
