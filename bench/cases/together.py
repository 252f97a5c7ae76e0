"""Cases of ten events that are published in one go."""

from typing import Final

from bench.cases.deliveries import EVENT, delivery_case
from bench.cases.subjects import APPLICATION, BROADCAST, PICOWS_BROADCAST, SECOND_DOOR
from bench.dialects import Exchange
from bench.loads.sockets import Announcement
from bench.measurement import Case
from bench.numbers import ANNOUNCE_MANY, TOPIC
from bench.packets import encode, packet
from bench.server import Subject
from starpost.packets import SystemPacket

COUNT: Final = 10
SUBSCRIBERS: Final = 1000
IN_ONE_GO: Final = Announcement([encode("json", packet(ANNOUNCE_MANY, {"events": [EVENT] * COUNT}))], events=COUNT)

_A_FRAME_EACH: Final = Announcement([encode("json", packet(ANNOUNCE_MANY, EVENT))] * COUNT, events=COUNT)


def subscription(*, is_batched: bool) -> Exchange:
    """Make a subscription to the bench's topic."""
    wanted = {"topic": TOPIC, "batched": is_batched}
    return Exchange(encode("json", packet(SystemPacket.SUBSCRIBE, wanted)), b'"recovered":')


def _case(name: str, door: str, ours: Subject, theirs: Subject, *, is_batched: bool) -> Case:
    return delivery_case(
        f"{name}-{'batched' if is_batched else 'plain'}",
        f"ten events in one go to {SUBSCRIBERS:,} subscribers, {'batched' if is_batched else 'a frame each'}{door}",
        ours,
        theirs,
        subscribers=SUBSCRIBERS,
        announcements=(IN_ONE_GO, IN_ONE_GO if is_batched else _A_FRAME_EACH),
        subscriptions=(subscription(is_batched=is_batched), None),
    )


TOGETHER: Final = tuple(
    case
    for is_batched in (False, True)
    for case in (
        _case("ten", "", APPLICATION, BROADCAST, is_batched=is_batched),
        _case("door-ten", ", second door", SECOND_DOOR, PICOWS_BROADCAST, is_batched=is_batched),
    )
)
