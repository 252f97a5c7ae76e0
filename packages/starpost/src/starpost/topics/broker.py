"""Broker of one worker: joins the channels that its sockets need, and publishes its events in order.

Only SUBSCRIBE waits for Redis. Events are queued per topic and sent by a task per topic, so that a shard that is away
delays only its own topics. Meanwhile their events wait, up to a bound.

Control messages (a logout, a connection to close) have a queue of their own, and are never dropped: a lost event is a
GAP, but a lost logout would be a socket that stays open.
"""

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from itertools import islice
from typing import Any, Final
from uuid import uuid4

import msgspec
import structlog

from starpost.backoff import Backoff
from starpost.redis import REDIS_FAULTS, RedisClients
from starpost.redis.tasks import end_task
from starpost.topics.event import Frames
from starpost.topics.feed import TopicFeed
from starpost.topics.links import Links, Listener
from starpost.topics.stream import Streams
from starpost.topics.topic import Push, Topic

MAX_OUTGOING: Final = 10_000
"""Events that may wait in this worker for Redis. Beyond that the newest are lost, and subscribers get a GAP. Control
messages are not counted."""

BATCH: Final = 128
LINGER: Final = 5.0
"""Seconds for which a topic without subscribers stays joined, since most subscribers return."""

_SPUBLISH: Final = """
for i = 1, #ARGV do
  redis.call('SPUBLISH', KEYS[1], ARGV[i])
end
"""

log = structlog.get_logger(__name__)
_encode = msgspec.json.Encoder().encode


class _Outgoing:
    """Queue of one topic or audience, on its way to Redis."""

    __slots__ = ("lost", "payloads", "task")

    def __init__(self) -> None:
        self.payloads: list[bytes] = []
        self.lost = 0
        self.task: asyncio.Task[None] | None = None


class _Audience:
    """Listener of a channel without history: of everybody, a user or a role."""

    def __init__(self, send: Callable[[Frames], None]) -> None:
        self._send = send

    def joined(self) -> None:
        """Does nothing: without history, there are no missed messages to fetch."""

    def lost(self) -> None:
        """Does nothing: these messages are not kept, so a gap cannot be filled."""

    def message(self, data: bytes) -> None:
        pkg_id, _, payload = data.partition(b" ")
        self._send(Frames(int(pkg_id), payload))


class _Control:
    """Listener of control messages between workers."""

    def __init__(self) -> None:
        self.is_joined = False
        self.handlers: dict[str, Callable[[Any], None]] = {}
        self.on_join: list[Callable[[], None]] = []

    def joined(self) -> None:
        self.is_joined = True
        for call in self.on_join:
            call()

    def lost(self) -> None:
        self.is_joined = False

    def message(self, data: bytes) -> None:
        try:
            kind, content = msgspec.json.decode(data, type=tuple[str, Any])
            handler = self.handlers.get(kind)
            if handler is not None:
                handler(content)
        except Exception:
            # A bad message must not end the link, which carries other channels of this worker.
            log.exception("control_message_failed")


class Broker:
    """Broker of one worker. Start and stop it in the loop that uses it."""

    def __init__(self, clients: RedisClients) -> None:
        self.streams = Streams(clients)
        self._keys = clients.keys
        self._links = Links(clients)
        self._spublish = clients.script(_SPUBLISH)
        self._feeds: dict[str, TopicFeed] = {}
        self._leaving: dict[str, asyncio.TimerHandle] = {}
        self._outgoing: dict[str, _Outgoing] = {}
        self._waiting = 0
        self._untold: dict[tuple[str, str], bytes] = {}
        self._telling: asyncio.Task[None] | None = None
        self._batch = 0
        self._sender = uuid4().hex
        self._tasks: set[asyncio.Task[None]] = set()
        self._control = _Control()
        self.is_stopping = False

    @property
    def is_connected(self) -> bool:
        """True while this worker receives control messages of the others."""
        return self._control.is_joined

    @property
    def waiting(self) -> int:
        """Number of events and control messages that wait for Redis."""
        return self._waiting + len(self._untold)

    async def start(self) -> None:
        """Start. Redis may be away."""
        await self._links.start()
        self._links.want(self._keys.control_channel(), self._control)

    async def flush(self, patience: float) -> bool:
        """Send waiting messages, for ``patience`` seconds at most, and return whether all were sent."""
        sending = [self._telling, *(outgoing.task for outgoing in self._outgoing.values())]
        tasks = [task for task in sending if task is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=patience)
        if self.waiting:
            log.error("events_not_published", events=self._waiting, control=len(self._untold))
        return self.waiting == 0

    async def stop(self) -> None:
        """Stop. Call ``flush`` before."""
        self.is_stopping = True
        for handle in self._leaving.values():
            handle.cancel()
        await self._links.stop()
        await asyncio.gather(*(end_task(task) for task in list(self._tasks)))

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Start a task, keep a reference to it, and log its failure."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("broker_task_failed", exc_info=task.exception())

    # ---- joining -----------------------------------------------------------------------------------------------------

    def feed(self, topic: Topic[Any], name: str) -> TopicFeed:
        """Return the feed of a topic, joined from now on. ``release`` it when the last receiver has gone."""
        leaving = self._leaving.pop(name, None)
        if leaving is not None:
            leaving.cancel()
        feed = self._feeds.get(name)
        if feed is None:
            feed = self._feeds[name] = TopicFeed(topic, name, self.streams, self.spawn)
            self._links.want(self._keys.topic_channel(name), feed)
        return feed

    def release(self, feed: TopicFeed) -> None:
        """Leave the topic after ``LINGER`` seconds, unless somebody here subscribes."""
        if not feed.receivers and feed.name not in self._leaving and not self.is_stopping:
            loop = asyncio.get_running_loop()
            self._leaving[feed.name] = loop.call_later(LINGER, self._leave, feed.name)

    def _leave(self, name: str) -> None:
        del self._leaving[name]
        feed = self._feeds[name]
        if not feed.receivers:
            del self._feeds[name]
            feed.lost()
            self._links.unwant(self._keys.topic_channel(name))

    def listen(self, channel: str, listener: Listener) -> None:
        """Subscribe a listener to a Redis channel."""
        self._links.want(channel, listener)

    def unlisten(self, channel: str) -> None:
        """Leave a Redis channel."""
        self._links.unwant(channel)

    def join_audience(self, kind: str, name: str, send: Callable[[Frames], None]) -> None:
        """Receive pushes to a user (``user``), a role (``role``) or everybody (``all``)."""
        self._links.want(self._keys.audience_channel(kind, name), _Audience(send))

    def leave_audience(self, kind: str, name: str) -> None:
        """Stop receiving these pushes."""
        self._links.unwant(self._keys.audience_channel(kind, name))

    # ---- publishing --------------------------------------------------------------------------------------------------

    def publish(self, topic: Topic[Any], name: str, payload: bytes) -> None:
        """Send an event to everyone who is subscribed to ``name``, on all workers. Returns at once."""
        self._enqueue(f"topic {name}", payload, lambda outgoing: self._send_events(topic, name, outgoing))

    def push(self, push: Push[Any], kind: str, name: str, payload: bytes) -> None:
        """Send an event to a user, a role or everybody, on all workers. Clients that are not connected miss it."""
        channel = self._keys.audience_channel(kind, name)
        message = b"%d %s" % (push.pkg_id, payload)
        self._enqueue(channel, message, lambda outgoing: self._send_messages(channel, outgoing))

    def on_control(self, kind: str, handler: Callable[[Any], None]) -> None:
        """Handle messages that any worker, this one too, sends by ``tell`` under this name."""
        self._control.handlers[kind] = handler

    def on_control_joined(self, call: Callable[[], None]) -> None:
        """Call ``call`` whenever the control channel is joined, since earlier messages may have been missed."""
        self._control.on_join.append(call)

    def tell(self, kind: str, content: Any, *, about: str) -> None:
        """Send a control message to all workers, this one too. A message may arrive twice.

        Returns at once. No message is dropped, however many wait for Redis.

        Args:
            kind: Name of the handler.
            content: Content, encoded as JSON.
            about: Subject. While the message waits, a later one of this kind about the same subject replaces it, which
                bounds the queue by the number of subjects. So the later one must contain all of the earlier one.
        """
        self._untold[kind, about] = _encode((kind, content))
        if self._telling is None:
            self._telling = self.spawn(self._tell())

    async def _tell(self) -> None:
        channel = self._keys.control_channel()
        try:
            while self._untold:
                batch = dict(islice(self._untold.items(), BATCH))
                await self._persist(channel, partial(self._spublish, keys=[channel], args=list(batch.values())))
                for subject, message in batch.items():
                    # Unless a later message has replaced it while it was sent.
                    if self._untold[subject] is message:
                        del self._untold[subject]
        finally:
            self._telling = None

    def _enqueue(self, key: str, payload: bytes, send: Callable[[_Outgoing], Coroutine[Any, Any, None]]) -> None:
        outgoing = self._outgoing.get(key)
        if outgoing is None:
            outgoing = self._outgoing[key] = _Outgoing()
        if self._waiting >= MAX_OUTGOING:
            outgoing.lost += 1
            log.error("event_lost", key=key, waiting=self._waiting)
            return
        outgoing.payloads.append(payload)
        self._waiting += 1
        if outgoing.task is None:
            outgoing.task = self.spawn(self._send(key, outgoing, send))

    async def _send(
        self, key: str, outgoing: _Outgoing, send: Callable[[_Outgoing], Coroutine[Any, Any, None]]
    ) -> None:
        while outgoing.payloads or outgoing.lost:
            await send(outgoing)
        del self._outgoing[key]

    async def _persist(self, key: str, call: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        """Try until Redis has answered."""
        backoff = Backoff()
        while True:
            try:
                await call()
            except REDIS_FAULTS as error:
                log.warning("not_published", key=key, waiting=self._waiting, cause=repr(error))
                await backoff.pause()
            else:
                return

    async def _send_events(self, topic: Topic[Any], name: str, outgoing: _Outgoing) -> None:
        """Send one batch, and repeat it under the same number until Redis has answered."""
        payloads = outgoing.payloads[:BATCH]
        # Lost events were newer than all waiting ones, so their hole follows the last batch.
        lost = outgoing.lost if len(payloads) == len(outgoing.payloads) else 0
        self._batch += 1
        batch = self._batch
        await self._persist(
            name,
            lambda: self.streams.publish(
                name, payloads, sender=self._sender, batch=batch, history=topic.history, lost=lost
            ),
        )
        self._sent(outgoing, len(payloads))
        outgoing.lost -= lost

    async def _send_messages(self, channel: str, outgoing: _Outgoing) -> None:
        payload = outgoing.payloads[0] if outgoing.payloads else None
        outgoing.lost = 0
        if payload is not None:
            await self._persist(channel, lambda: self._spublish(keys=[channel], args=[payload]))
            self._sent(outgoing, 1)

    def _sent(self, outgoing: _Outgoing, count: int) -> None:
        del outgoing.payloads[:count]
        self._waiting -= count


class Publisher:
    """Publisher for handlers: events leave after the work has committed, and never if it rolls back.

    Args:
        broker: Broker of the worker.
        after_commit: Registers calls to make after the commit; ``None`` sends at once, for tasks.
    """

    __slots__ = ("_after_commit", "_broker")

    def __init__(self, broker: Broker, after_commit: Callable[[Callable[[], object]], None] | None = None) -> None:
        self._broker = broker
        self._after_commit = after_commit

    def publish(self, topic: Topic[Any], event: Any, **params: Any) -> None:
        """Send an event to the subscribers of a topic.

        Args:
            topic: The topic.
            event: Event of the topic's type. It is encoded here, so that a failure rolls the work back.
            params: Parameters of the topic.
        """
        name, payload = topic.instance(**params), _encode(event)
        self._then(lambda: self._broker.publish(topic, name, payload))

    def to_user(self, user_id: str, push: Push[Any], event: Any) -> None:
        """Send an event to all connections of a user (``sub``)."""
        self._push(push, "user", user_id, event)

    def to_role(self, role: str, push: Push[Any], event: Any) -> None:
        """Send an event to all connections of everyone who has a role."""
        self._push(push, "role", role, event)

    def to_all(self, push: Push[Any], event: Any) -> None:
        """Send an event to all authenticated connections."""
        self._push(push, "all", "", event)

    def _push(self, push: Push[Any], kind: str, name: str, event: Any) -> None:
        payload = _encode(event)
        self._then(lambda: self._broker.push(push, kind, name, payload))

    def _then(self, call: Callable[[], object]) -> None:
        if self._after_commit is None:
            call()
        else:
            self._after_commit(call)
