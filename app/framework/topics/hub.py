"""The topics of this worker: who subscribes, who may, and what ends with a connection."""

import asyncio
from typing import Any, Final

from app.framework.errors import (
    ConflictError,
    FieldError,
    InvalidDataError,
    NotFoundError,
    PermissionDeniedError,
    UnavailableError,
)
from app.framework.packets.numbers import SystemPacket
from app.framework.rbac.actions import ActionTable
from app.framework.redis import REDIS_AWAY
from app.framework.topics.broker import Broker
from app.framework.topics.presence import Presence, PresentUser, Watcher, Watchers
from app.framework.topics.subscriber import Subscriber
from app.framework.topics.subscription import Subscription
from app.framework.topics.topic import Topic, Topics

PATIENCE: Final = 3.0
"""Seconds that SUBSCRIBE waits for Redis before it says that the topic is not to be had now."""

MAX_OFFSET: Final = 2**53


class TopicHub:
    """Subscriptions of this worker's connections.

    Args:
        topics: What may be subscribed to.
        table: Who may.
        broker: The way to the other workers.
        presence: Who is subscribed, on all of them.
        max_subscriptions: Topics of one connection.
    """

    def __init__(
        self, topics: Topics, table: ActionTable, broker: Broker, presence: Presence, *, max_subscriptions: int
    ) -> None:
        self._topics = topics
        self._table = table
        self._broker = broker
        self._presence = presence
        self._max = max_subscriptions
        self._subscriptions: dict[str, dict[str, Subscription]] = {}
        self._watched: dict[str, set[str]] = {}
        self._watchers: dict[str, Watchers] = {}

    def resolve(self, subscriber: Subscriber, name: str) -> tuple[Topic[Any], str]:
        """The topic that ``name`` means to this subscriber.

        Raises:
            NotFoundError: There is no such topic.
            PermissionDeniedError: The subscriber may not.
        """
        found = self._topics.resolve(name)
        if found is None:
            raise NotFoundError(f"There is no topic {name[:200]!r}")
        if not self._may(subscriber, found[0]):
            raise PermissionDeniedError(f"Permission denied for topic {name!r}")
        return found

    async def subscribe(
        self, subscriber: Subscriber, name: str, since: str | None, epoch: str | None
    ) -> tuple[Subscription, str, int, bool]:
        """Subscribe a connection; its events follow the reply to the packet that runs now.

        Returns:
            The subscription, the epoch, the offset behind which events follow, and whether all missed ones do.

        Raises:
            NotFoundError: and what else ``resolve`` raises.
            InvalidDataError: ``since`` is no offset.
            ConflictError: The connection has as many subscriptions as it may have.
            UnavailableError: Redis is away.
        """
        topic, name = self.resolve(subscriber, name)
        offset = _offset(since)
        mine = self._subscriptions.setdefault(subscriber.id, {})
        if name not in mine and len(mine) >= self._max:
            raise ConflictError(f"A connection has at most {self._max} subscriptions")
        channel = self._broker.channel(topic, name)
        self.unsubscribe(subscriber, name)
        subscription = Subscription(subscriber, channel)
        # From here on events are held back for it: nothing is missed between the snapshot and the first live one.
        channel.receivers.add(subscription)
        mine[name] = subscription
        try:
            await channel.live(PATIENCE)
            missed, is_recovered = await self._recover(subscription, offset, epoch)
            if subscriber.principal is not None:
                await self._presence.join(name, subscriber.principal.username, subscriber.id)
        except BaseException as error:
            self._drop(subscription)
            if isinstance(error, REDIS_AWAY):
                raise UnavailableError("The topic cannot be reached") from error
            raise
        subscriber.after_reply(lambda: subscription.begin(missed))
        return subscription, channel.epoch or "", subscription.position, is_recovered

    async def _recover(
        self, subscription: Subscription, since: int | None, epoch: str | None
    ) -> tuple[list[tuple[int, bytes]], bool]:
        """Set the subscription's position; the events that its client missed, if they are all there."""
        channel = subscription.channel
        if since is None:
            subscription.position = channel.seq
            return [], False
        snapshot = await channel.read(since)
        first = snapshot.events[0][0] if snapshot.events else snapshot.seq + 1
        is_complete = len(snapshot.events) == snapshot.seq - since and first == since + 1
        if since <= snapshot.seq and is_complete and epoch in (None, snapshot.epoch):
            subscription.position = since
            return snapshot.events, True
        subscription.position = snapshot.seq
        return [], False

    def unsubscribe(self, subscriber: Subscriber, name: str) -> bool:
        """End a subscription; whether there was one."""
        found = self._topics.resolve(name)
        subscription = self._subscriptions.get(subscriber.id, {}).get(found[1]) if found else None
        if subscription is None:
            return False
        self._drop(subscription)
        return True

    async def present(self, subscriber: Subscriber, name: str, watch: bool | None) -> tuple[str, list[PresentUser]]:
        """Who is subscribed; with ``watch``, changes follow the reply to the packet that runs now.

        Raises:
            NotFoundError: and what else ``resolve`` raises.
            UnavailableError: Redis is away.
        """
        _, name = self.resolve(subscriber, name)
        if watch is False:
            self._unwatch(subscriber.id, name)
        try:
            if watch:
                await self._watch(subscriber, name)
            return name, await self._presence.users(name)
        except (TimeoutError, *REDIS_AWAY) as error:
            raise UnavailableError("The topic cannot be reached") from error

    def recheck(self, subscriber: Subscriber) -> None:
        """End what the subscriber may no longer see; called when its token is replaced."""
        for subscription in list(self._subscriptions.get(subscriber.id, {}).values()):
            if not self._may(subscriber, subscription.channel.topic):
                subscription.end()
                self._drop(subscription)
        for name in list(self._watched.get(subscriber.id, ())):
            found = self._topics.resolve(name)
            if found is None or not self._may(subscriber, found[0]):
                self._unwatch(subscriber.id, name)

    def release(self, subscriber: Subscriber) -> None:
        """End everything; called when a connection ends."""
        for subscription in list(self._subscriptions.get(subscriber.id, {}).values()):
            self._drop(subscription)
        for name in list(self._watched.get(subscriber.id, ())):
            self._unwatch(subscriber.id, name)

    def _may(self, subscriber: Subscriber, topic: Topic[Any]) -> bool:
        rule = self._table.topic_rule(topic.name)
        return rule is not None and subscriber.principal is not None and rule.allows(subscriber.principal.roles)

    def _drop(self, subscription: Subscription) -> None:
        subscriber, channel = subscription.subscriber, subscription.channel
        channel.receivers.discard(subscription)
        mine = self._subscriptions.get(subscriber.id, {})
        if mine.get(channel.name) is subscription:
            del mine[channel.name]
            if subscriber.principal is not None:
                self._presence.leave(channel.name, subscriber.principal.username, subscriber.id)
        if not mine:
            self._subscriptions.pop(subscriber.id, None)
        self._broker.release(channel)

    async def _watch(self, subscriber: Subscriber, name: str) -> None:
        watchers = self._watchers.get(name)
        if watchers is None:
            watchers = self._watchers[name] = Watchers(name, SystemPacket.PRESENCE)
            self._broker.listen(self._presence.channel(name), watchers)
        if subscriber.id not in watchers.subscribers:
            watcher = watchers.subscribers[subscriber.id] = Watcher(subscriber)
            self._watched.setdefault(subscriber.id, set()).add(name)
            self._presence.watch(name, 1)
            subscriber.after_reply(watcher.begin)
        async with asyncio.timeout(PATIENCE):
            await watchers.has_joined.wait()

    def _unwatch(self, subscriber_id: str, name: str) -> None:
        mine = self._watched.get(subscriber_id, set())
        if name not in mine:
            return
        mine.discard(name)
        if not mine:
            del self._watched[subscriber_id]
        self._presence.watch(name, -1)
        watchers = self._watchers[name]
        del watchers.subscribers[subscriber_id]
        if not watchers.subscribers:
            del self._watchers[name]
            self._broker.unlisten(self._presence.channel(name))


def _offset(since: str | None) -> int | None:
    if since is None:
        return None
    if since.isascii() and since.isdigit() and len(since) <= 16 and int(since) <= MAX_OFFSET:
        return int(since)
    raise InvalidDataError.of([FieldError("$.since", "Not an offset of this topic")])
