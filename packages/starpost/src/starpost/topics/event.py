"""Events on their way to clients, encoded once per codec for all subscribers."""

from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

import msgspec
import structlog

from starpost.protocol.codecs import Codec
from starpost.protocol.envelope import ServerPacket

MAX_TOGETHER: Final = 128
"""Most events that travel together."""

MAX_BYTES_TOGETHER: Final = 65_536
"""Size of payloads from which no further event is added to those that travel together."""

log = structlog.get_logger(__name__)


class EventMeta(msgspec.Struct, frozen=True):
    """Position of an event in its topic."""

    topic: str
    offset: str


class Frames:
    """Frames of one packet that the server sends to many clients.

    Args:
        pkg_id: Number of the packet.
        payload: ``data`` of the packet, as JSON.
        meta: ``meta`` of the packet, if it has one.
    """

    __slots__ = ("_encoded", "_frames", "_meta", "_payload", "_pkg_id")

    def __init__(self, pkg_id: int, payload: bytes, meta: EventMeta | msgspec.UnsetType = msgspec.UNSET) -> None:
        self._pkg_id = pkg_id
        self._payload = payload
        self._meta = meta
        self._encoded: dict[str, bytes] = {}
        self._frames: dict[str, str | bytes] = {}

    @property
    def size(self) -> int:
        """Bytes of the payload."""
        return len(self._payload)

    def encoded(self, codec: Codec) -> bytes:
        """Return the packet, encoded.

        Raises:
            Exception: This codec cannot encode the payload.
        """
        encoded = self._encoded.get(codec.name)
        if encoded is None:
            data: Any = msgspec.Raw(self._payload) if codec.name == "json" else msgspec.json.decode(self._payload)
            encoded = self._encoded[codec.name] = codec.encode(ServerPacket(self._pkg_id, data, self._meta))
        return encoded

    def of(self, codec: Codec) -> str | bytes:
        """Return the frame for connections with this codec. Raises as ``encoded`` does."""
        frame = self._frames.get(codec.name)
        if frame is None:
            frame = self._frames[codec.name] = codec.frame(self.encoded(codec))
        return frame


class Parcel(NamedTuple):
    """A frame with the events from ``first`` to ``last``."""

    first: int
    last: int
    frame: str | bytes


class Run:
    """Consecutive events in the frames that a connection gets. Each subscriber reads it, so nothing is computed twice.

    Args:
        parcels: The frames, with their events.
        newest: The last event alone; the last parcel if not given.
    """

    __slots__ = ("first", "frames", "last", "newest", "parcels", "size")

    def __init__(self, parcels: tuple[Parcel, ...], newest: Parcel | None = None) -> None:
        self.parcels = parcels
        self.frames = tuple(parcel.frame for parcel in parcels)
        self.size = sum(map(len, self.frames))
        self.newest = newest or parcels[-1]
        self.first = parcels[0].first
        """Number of the first event."""
        self.last = self.newest.last
        """Number of the last event."""


class Events:
    """Consecutive events of a topic that travel together.

    Subscribers for whom the same of them are new get the same frames.

    Args:
        topic: Name of the topic.
        first: Number of the first event.
        frames: Each event.
    """

    __slots__ = ("_rests", "_runs", "_topic", "first", "frames", "last")

    def __init__(self, topic: str, first: int, frames: list[Frames]) -> None:
        self._topic = topic
        self.first = first
        self.last = first + len(frames) - 1
        self.frames = frames
        self._runs: tuple[dict[Codec, list[Run]], dict[Codec, list[Run]]] = {}, {}
        """Without arrays, and with them."""
        self._rests: dict[int, Events] = {}

    def after(self, seq: int) -> "Events":
        """Return those after ``seq``, of which there must be some."""
        if seq < self.first:
            return self
        rest = self._rests.get(seq)
        if rest is None:
            rest = self._rests[seq] = Events(self._topic, seq + 1, self.frames[seq + 1 - self.first :])
        return rest

    def runs(self, codec: Codec, *, is_batched: bool) -> list[Run]:
        """Return the frames for connections with this codec. An event that it cannot encode is left out, and logged.

        Args:
            codec: Codec of the connections.
            is_batched: One frame with an array for all events of a run, if there are several; else a frame for each.
        """
        runs = self._runs[is_batched].get(codec)
        if runs is None:
            make = _array if is_batched else _singles
            runs = self._runs[is_batched][codec] = [make(codec, run) for run in self._encodable(codec)]
        return runs

    def _encodable(self, codec: Codec) -> Iterator[list[tuple[int, Frames]]]:
        """Yield the runs of events that the codec can encode."""
        run: list[tuple[int, Frames]] = []
        for seq, frames in enumerate(self.frames, self.first):
            try:
                frames.encoded(codec)
            except Exception:
                log.exception("event_not_delivered", topic=self._topic, seq=seq, codec=codec.name)
                if run:
                    yield run
                run = []
            else:
                run.append((seq, frames))
        if run:
            yield run


def together(topic: str, events: Iterable[tuple[int, Frames]]) -> Iterator[Events]:
    """Yield events, in order, as those that travel together."""
    first, frames, size = 0, list[Frames](), 0
    for seq, event in events:
        if frames and (seq != first + len(frames) or is_full(len(frames), size)):
            yield Events(topic, first, frames)
            frames = []
        if not frames:
            first, frames, size = seq, [], 0
        frames.append(event)
        size += event.size
    if frames:
        yield Events(topic, first, frames)


def is_full(count: int, size: int) -> bool:
    """Return True if no further event is added to so many, of so many bytes."""
    return count >= MAX_TOGETHER or size >= MAX_BYTES_TOGETHER


def _singles(codec: Codec, run: list[tuple[int, Frames]]) -> Run:
    return Run(tuple(Parcel(seq, seq, frames.of(codec)) for seq, frames in run))


def _array(codec: Codec, run: list[tuple[int, Frames]]) -> Run:
    if len(run) == 1:
        return _singles(codec, run)
    array = codec.frame(codec.join([frames.encoded(codec) for _, frames in run]))
    (first, _), (last, newest) = run[0], run[-1]
    return Run((Parcel(first, last, array),), Parcel(last, last, newest.of(codec)))
