"""Topic hub of one worker: subscriptions and watches of its connections, and their permissions."""

import asyncio
from collections.abc import Mapping
from typing import Final

import structlog

from starpost.auth.principal import Principal
from starpost.db import cursor as cursors
from starpost.errors import (
    AppError,
    ConflictError,
    FieldError,
    InvalidDataError,
    NotFoundError,
    PermissionDeniedError,
    UnavailableError,
)
from starpost.observability import correlation
from starpost.packets.numbers import SystemPacket
from starpost.protocol.pages import CursorMeta
from starpost.rbac.actions import ActionTable
from starpost.redis import REDIS_AWAY
from starpost.topics.authorization import TopicCheck
from starpost.topics.broker import Broker
from starpost.topics.presence import Presence, PresentUser
from starpost.topics.subscriber import Subscriber
from starpost.topics.subscription import Subscription
from starpost.topics.topic import TopicInstance, Topics
from starpost.topics.watch import Watcher, Watchers

PATIENCE: Final = 3.0
"""Seconds that SUBSCRIBE waits for Redis before it is refused as unavailable."""

CHECK_PATIENCE: Final = 10.0
"""Time limit, in seconds, for a topic's check after a token was replaced. After it, the answer is no."""

MAX_OFFSET: Final = 2**53
_PAGES: Final = "presence"

log = structlog.get_logger(__name__)


class _Interests:
    """Subscriptions and watches of one connection. One object for its whole life, so that no caller has a stale one."""

    __slots__ = ("checking", "connection_id", "is_released", "subscriptions", "watched")

    def __init__(self, connection_id: str) -> None:
        self.connection_id = connection_id
        self.subscriptions: dict[str, Subscription] = {}
        self.watched: dict[str, Watcher] = {}
        self.checking: asyncio.Task[None] | None = None
        self.is_released = False

    def stop_checking(self) -> None:
        """Cancel running checks, which are about a token that was replaced."""
        if self.checking is not None:
            self.checking.cancel()
            self.checking = None


class TopicHub:
    """Subscriptions and watches of this worker's connections.

    Args:
        topics: Topics that clients may subscribe to.
        table: Permission table.
        checks: Further checks, by the topics' declared names.
        broker: Broker of the worker.
        presence: Presence on all workers.
        max_subscriptions: Most topics of one connection, watched ones included.
    """

    def __init__(
        self,
        topics: Topics,
        table: ActionTable,
        checks: Mapping[str, TopicCheck],
        broker: Broker,
        presence: Presence,
        *,
        max_subscriptions: int,
    ) -> None:
        self._topics = topics
        self._table = table
        self._checks = checks
        self._broker = broker
        self._presence = presence
        self._max = max_subscriptions
        self._interests: dict[str, _Interests] = {}
        self._watchers: dict[str, Watchers] = {}

    async def subscribe(
        self, subscriber: Subscriber, name: str, since: str | None, epoch: str | None, *, is_batched: bool = False
    ) -> tuple[Subscription, str, int, bool]:
        """Subscribe a connection. Its events follow the reply to the running packet.

        Args:
            subscriber: The connection.
            name: The topic.
            since: Last offset that the client has seen, if it wants the events that it missed.
            epoch: Epoch that it has kept.
            is_batched: Events that are ready together go to it as one frame with an array.

        Returns:
            The subscription, the epoch, the offset after which events follow, and whether all missed events do.

        Raises:
            NotFoundError: There is no such topic.
            PermissionDeniedError: The connection may not subscribe, or no longer.
            InvalidDataError: ``since`` is not an offset.
            ConflictError: The connection has too many subscriptions, or has ended this one meanwhile.
            UnavailableError: Redis is away.
            Exception: Any exception of the topic's check.
        """
        interests = self._interests_of(subscriber)
        instance, principal = await self._admit(subscriber, name)
        offset = _offset(since)
        name = instance.name
        replaced = interests.subscriptions.get(name)
        if replaced is None:
            self._make_room(interests)
        feed = self._broker.feed(instance.topic, name)
        subscription = Subscription(subscriber, feed, is_batched=is_batched)
        # From here on the subscription holds events back, so that none is missed between the snapshot and the first
        # live one, and whatever ends the connection finds it.
        feed.receivers.add(subscription)
        interests.subscriptions[name] = subscription
        if replaced is not None:
            self._drop(interests, replaced, ConflictError("Another SUBSCRIBE to this topic came after this one"))
        try:
            await feed.live(PATIENCE)
            missed, is_recovered = await self._recover(subscription, offset, epoch)
            # From here on, whoever ends the subscription also removes its presence. Before, there was none to remove.
            subscription.check()
            async with asyncio.timeout(PATIENCE):
                await self._presence.join(name, subscriber.principal or principal, subscriber.id)
            subscription.check()
        except BaseException as error:
            self._drop(interests, subscription, ConflictError("The SUBSCRIBE failed"))
            if isinstance(error, REDIS_AWAY):
                raise UnavailableError("The topic cannot be reached") from error
            raise
        subscriber.after_reply(lambda: subscription.begin(missed))
        return subscription, feed.promised_epoch, subscription.position, is_recovered

    async def _recover(
        self, subscription: Subscription, since: int | None, epoch: str | None
    ) -> tuple[list[tuple[int, bytes]], bool]:
        """Set the subscription's position, and return the events that its client missed, if all are there."""
        feed = subscription.feed
        if since is None:
            subscription.position = feed.seq
            return [], False
        snapshot, is_complete = await feed.recover(since, epoch)
        if subscription.is_reset:
            # Redis has lost the topic since the snapshot.
            return [], False
        subscription.position = since if is_complete else snapshot.seq
        return (snapshot.events if is_complete else []), is_complete

    def unsubscribe(self, subscriber: Subscriber, name: str) -> bool:
        """End a subscription, and return whether there was one."""
        interests = self._interests.get(subscriber.id)
        instance = self._topics.resolve(name)
        subscription = interests.subscriptions.get(instance.name) if interests and instance else None
        if interests is None or subscription is None:
            return False
        self._drop(interests, subscription, ConflictError("UNSUBSCRIBE came before the SUBSCRIBE was done"))
        return True

    async def present(
        self, subscriber: Subscriber, name: str, watch: bool | None, *, size: int, cursor: str | None
    ) -> tuple[str, list[PresentUser], CursorMeta]:
        """Return a page of subscribed users. With ``watch``, changes follow the reply to the running packet.

        Args:
            subscriber: The connection.
            name: The topic.
            watch: True starts sending changes, false stops it.
            size: Users of a page.
            cursor: ``next`` of the page before.

        Raises:
            NotFoundError: There is no such topic.
            PermissionDeniedError: The connection may not see the topic, or no longer.
            InvalidDataError: ``cursor`` is not one of this list.
            ConflictError: The connection has too many subscriptions.
            UnavailableError: Redis is away.
            Exception: Any exception of the topic's check.
        """
        interests = self._interests_of(subscriber)
        instance, _ = await self._admit(subscriber, name)
        name = instance.name
        (after,) = cursors.decode(cursor, _PAGES, (int,)) if cursor else (0,)
        watcher = None
        if watch is False:
            self._unwatch(interests, name, ConflictError("Another PRESENCE has ended the watch"))
        elif watch and name not in interests.watched:
            self._make_room(interests)
            watcher = self._watch(interests, subscriber, name)
        try:
            async with asyncio.timeout(PATIENCE):
                if watch:
                    await self._watchers[name].has_joined.wait()
                users, last = await self._presence.page(name, size, after)
            if watcher is not None:
                watcher.check()
        except BaseException as error:
            if watcher is not None and interests.watched.get(name) is watcher:
                self._unwatch(interests, name, ConflictError("The PRESENCE failed"))
            if isinstance(error, REDIS_AWAY):
                raise UnavailableError("The topic cannot be reached") from error
            raise
        if watcher is not None:
            subscriber.after_reply(watcher.begin)
        return name, users, CursorMeta(size, None if last is None else cursors.encode(_PAGES, [last]), last is not None)

    def recheck(self, subscriber: Subscriber) -> None:
        """End subscriptions that the connection may no longer have; called when its token is replaced.

        Events of topics with a check are held back until the check has answered.
        """
        interests = self._interests.get(subscriber.id)
        principal = subscriber.principal
        if interests is None or principal is None:
            return
        interests.stop_checking()
        undecided = []
        for name in {*interests.subscriptions, *interests.watched}:
            instance = self._topics.resolve(name)
            if instance is None or not self._has_role(principal, instance):
                self._deny(interests, name)
                continue
            self._presence.rename(name, principal, subscriber.id)
            if instance.topic.name in self._checks:
                for held in _both(interests, name):
                    held.suspend()
                undecided.append(instance)
        if undecided:
            interests.checking = self._broker.spawn(self._check_again(interests, principal, undecided))

    def release(self, subscriber: Subscriber) -> None:
        """End all subscriptions and watches; called when a connection ends."""
        interests = self._interests.pop(subscriber.id, None)
        if interests is None:
            return
        interests.is_released = True
        interests.stop_checking()
        for subscription in list(interests.subscriptions.values()):
            self._drop(interests, subscription, ConflictError("The connection has ended"))
        for name in list(interests.watched):
            self._unwatch(interests, name, ConflictError("The connection has ended"))

    # ---- who may -----------------------------------------------------------------------------------------------------

    async def _admit(self, subscriber: Subscriber, name: str) -> tuple[TopicInstance, Principal]:
        """Return the topic of a name, and the current principal of the subscriber, which may see it."""
        instance = self._topics.resolve(name)
        if instance is None:
            raise NotFoundError(f"There is no topic {name[:200]!r}")
        while True:
            principal = subscriber.principal
            if principal is None or not self._has_role(principal, instance):
                raise _denied(name)
            check = self._checks.get(instance.topic.name)
            if check is not None and not await check.allows(principal, instance.params):
                raise _denied(name)
            if subscriber.principal is principal:
                return instance, principal

    def _has_role(self, principal: Principal, instance: TopicInstance) -> bool:
        rule = self._table.topic_rule(instance.topic.name)
        return rule is not None and rule.allows(principal.roles)

    async def _check_again(self, interests: _Interests, principal: Principal, undecided: list[TopicInstance]) -> None:
        """Call the checks for a new token, one after the other: one client must not take all database connections."""
        for topic, name, params in undecided:
            is_allowed = False
            try:
                async with asyncio.timeout(CHECK_PATIENCE):
                    is_allowed = await self._checks[topic.name].allows(principal, params)
            except AppError as error:
                log.info("topic_denied", topic=name, user=principal.username, code=error.code)
            except Exception:
                log.exception(
                    "topic_check_failed",
                    topic=name,
                    user=principal.username,
                    incident=correlation.incident(),
                )
            if interests.checking is not asyncio.current_task():
                return  # another token has come, or the connection has ended
            if not is_allowed:
                self._deny(interests, name)
            for held in _both(interests, name):
                held.resume()
        interests.checking = None

    def _deny(self, interests: _Interests, name: str) -> None:
        subscription = interests.subscriptions.get(name)
        if subscription is not None:
            subscription.deny(_denied(name))
            self._drop(interests, subscription, _denied(name))
        self._unwatch(interests, name, _denied(name))

    # ---- beginning and ending ----------------------------------------------------------------------------------------

    def _interests_of(self, subscriber: Subscriber) -> _Interests:
        return self._interests.setdefault(subscriber.id, _Interests(subscriber.id))

    def _make_room(self, interests: _Interests) -> None:
        if interests.is_released:
            raise ConflictError("The connection has ended")
        if len(interests.subscriptions) + len(interests.watched) >= self._max:
            raise ConflictError(f"A connection has at most {self._max} subscriptions and watches")

    def _drop(self, interests: _Interests, subscription: Subscription, reason: AppError) -> None:
        feed = subscription.feed
        if subscription not in feed.receivers:
            return  # whoever ended it while its SUBSCRIBE waited has done all this
        if subscription.ended is None:
            subscription.end(reason)
        feed.receivers.discard(subscription)
        if interests.subscriptions.get(feed.name) is subscription:
            del interests.subscriptions[feed.name]
            self._presence.leave(feed.name, interests.connection_id)
        self._broker.release(feed)

    def _watch(self, interests: _Interests, subscriber: Subscriber, name: str) -> Watcher:
        watchers = self._watchers.get(name)
        if watchers is None:
            watchers = self._watchers[name] = Watchers(name, SystemPacket.PRESENCE)
            self._broker.listen(self._presence.channel(name), watchers)
        watcher = watchers.of_connection[interests.connection_id] = interests.watched[name] = Watcher(subscriber)
        self._presence.watch(name, 1)
        return watcher

    def _unwatch(self, interests: _Interests, name: str, reason: AppError) -> None:
        watcher = interests.watched.pop(name, None)
        if watcher is None:
            return
        watcher.end(reason)
        self._presence.watch(name, -1)
        watchers = self._watchers[name]
        del watchers.of_connection[interests.connection_id]
        if not watchers.of_connection:
            del self._watchers[name]
            self._broker.unlisten(self._presence.channel(name))


def _both(interests: _Interests, name: str) -> list[Subscription | Watcher]:
    """Return the connection's subscription to a topic and its watch of it, those that exist."""
    found = (interests.subscriptions.get(name), interests.watched.get(name))
    return [each for each in found if each is not None]


def _denied(name: str) -> PermissionDeniedError:
    return PermissionDeniedError(f"Permission denied for topic {name[:200]!r}")


def _offset(since: str | None) -> int | None:
    if since is None:
        return None
    if since.isascii() and since.isdigit() and len(since) <= 16 and int(since) <= MAX_OFFSET:
        return int(since)
    raise InvalidDataError.of([FieldError("$.since", "Not an offset of this topic")])
