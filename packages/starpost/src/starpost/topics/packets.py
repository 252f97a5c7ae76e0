"""System packets of topics: SUBSCRIBE, UNSUBSCRIBE, PRESENCE.

Packets of one connection about one topic share a lane, so they keep their order when packets run in parallel.
"""

from typing import Annotated, Final

from msgspec import Meta, Struct

from starpost.errors import NotFoundError
from starpost.packets.numbers import SystemPacket
from starpost.packets.request import RequestModel
from starpost.packets.router import PackageRouter
from starpost.protocol.envelope import ResponseModel
from starpost.topics.hub import TopicHub
from starpost.topics.presence import PresentUser
from starpost.topics.subscriber import Subscriber

MAX_PAGE: Final = 1000
_LANE: Final = "topic {topic}"

TopicName = Annotated[str, Meta(min_length=1, max_length=500)]


class SubscribeRequest(Struct, frozen=True):
    """Payload of SUBSCRIBE.

    ``since`` and ``epoch`` are those that the client has kept, to get the events it missed. With ``batched``, events
    that are ready together come as one frame with an array of them; without it, each has a frame of its own.
    """

    topic: TopicName
    since: Annotated[str, Meta(max_length=40)] | None = None
    epoch: Annotated[str, Meta(max_length=64)] | None = None
    batched: bool = False


class SubscribeReply(Struct, frozen=True):
    """Reply to SUBSCRIBE. Events after ``offset`` follow. If not ``recovered``, the client must load its state anew."""

    topic: str
    offset: str
    epoch: str
    recovered: bool


class UnsubscribeRequest(Struct, frozen=True):
    """Payload of UNSUBSCRIBE."""

    topic: TopicName


class PresenceRequest(Struct, frozen=True):
    """Payload of PRESENCE. ``watch`` starts or stops sending changes; ``cursor`` is ``next`` of the page before."""

    topic: TopicName
    watch: bool | None = None
    per_page: Annotated[int, Meta(ge=1, le=MAX_PAGE)] = 100
    cursor: Annotated[str, Meta(max_length=200)] | None = None


class PresenceReply(Struct, frozen=True):
    """Reply to PRESENCE: subscribed users on all workers, in the order in which they joined."""

    topic: str
    users: list[PresentUser]


topic_router = PackageRouter()


@topic_router.register(SystemPacket.SUBSCRIBE, lane=_LANE)
async def subscribe(
    request: RequestModel[SubscribeRequest], connection: Subscriber, topic_hub: TopicHub
) -> SubscribeReply:
    """Subscribe to a topic. A repeated SUBSCRIBE begins anew."""
    wanted = request.data
    subscription, epoch, offset, is_recovered = await topic_hub.subscribe(
        connection, wanted.topic, wanted.since, wanted.epoch, is_batched=wanted.batched
    )
    return SubscribeReply(subscription.feed.name, str(offset), epoch, is_recovered)


@topic_router.register(SystemPacket.UNSUBSCRIBE, lane=_LANE)
async def unsubscribe(request: RequestModel[UnsubscribeRequest], connection: Subscriber, topic_hub: TopicHub) -> None:
    """End a subscription."""
    if not topic_hub.unsubscribe(connection, request.data.topic):
        raise NotFoundError(f"There is no subscription to {request.data.topic!r}")


@topic_router.register(SystemPacket.PRESENCE, lane=_LANE)
async def presence(
    request: RequestModel[PresenceRequest], connection: Subscriber, topic_hub: TopicHub
) -> ResponseModel[PresenceReply]:
    """List the users who are subscribed to a topic."""
    wanted = request.data
    name, users, meta = await topic_hub.present(
        connection, wanted.topic, wanted.watch, size=wanted.per_page, cursor=wanted.cursor
    )
    return ResponseModel.ok_msg(request.pkg_id, request.req_id, PresenceReply(name, users), meta)
