"""The system packets of topics: SUBSCRIBE, UNSUBSCRIBE, PRESENCE."""

from typing import Annotated

from msgspec import Meta, Struct

from app.framework.errors import NotFoundError
from app.framework.packets.numbers import SystemPacket
from app.framework.packets.request import RequestModel
from app.framework.packets.router import PackageRouter
from app.framework.topics.hub import TopicHub
from app.framework.topics.presence import PresentUser
from app.framework.topics.subscriber import Subscriber

TopicName = Annotated[str, Meta(min_length=1, max_length=500)]


class SubscribeRequest(Struct, frozen=True):
    """A topic; ``since`` and ``epoch`` are what the client kept of it, to recover what it missed."""

    topic: TopicName
    since: Annotated[str, Meta(max_length=40)] | None = None
    epoch: Annotated[str, Meta(max_length=64)] | None = None


class SubscribeReply(Struct, frozen=True):
    """``offset`` is where the client stands: the events behind it follow. Not ``recovered``: load the state anew."""

    topic: str
    offset: str
    epoch: str
    recovered: bool


class UnsubscribeRequest(Struct, frozen=True):
    """A topic."""

    topic: TopicName


class PresenceRequest(Struct, frozen=True):
    """A topic; ``watch`` true: tell changes from now on, false: no longer."""

    topic: TopicName
    watch: bool | None = None


class PresenceReply(Struct, frozen=True):
    """Who is subscribed, on all workers."""

    topic: str
    users: list[PresentUser]


topic_router = PackageRouter()


@topic_router.register(SystemPacket.SUBSCRIBE)
async def subscribe(
    request: RequestModel[SubscribeRequest], connection: Subscriber, topic_hub: TopicHub
) -> SubscribeReply:
    """Subscribe to a topic; again, to begin anew."""
    wanted = request.data
    subscription, epoch, offset, is_recovered = await topic_hub.subscribe(
        connection, wanted.topic, wanted.since, wanted.epoch
    )
    return SubscribeReply(subscription.channel.name, str(offset), epoch, is_recovered)


@topic_router.register(SystemPacket.UNSUBSCRIBE)
async def unsubscribe(request: RequestModel[UnsubscribeRequest], connection: Subscriber, topic_hub: TopicHub) -> None:
    """End a subscription."""
    if not topic_hub.unsubscribe(connection, request.data.topic):
        raise NotFoundError(f"There is no subscription to {request.data.topic!r}")


@topic_router.register(SystemPacket.PRESENCE)
async def presence(
    request: RequestModel[PresenceRequest], connection: Subscriber, topic_hub: TopicHub
) -> PresenceReply:
    """Who is subscribed to a topic."""
    name, users = await topic_hub.present(connection, request.data.topic, request.data.watch)
    return PresenceReply(name, users)
