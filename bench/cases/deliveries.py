"""Cases of events that reach many subscribers."""

from typing import Final

from bench.cases.packets import sample
from bench.cases.subjects import APPLICATION, BROADCAST
from bench.dialects import Exchange
from bench.loads import sockets
from bench.loads.sockets import EVENT_MARK, Announcement
from bench.measurement import Case, Goal, Metric, Sample, Side
from bench.numbers import ANNOUNCE, TOPIC
from bench.packets import encode, packet
from bench.server import Subject
from bench.site import Site
from starpost.packets import SystemPacket

EVENT: Final = {"number": 1, "text": EVENT_MARK.decode()}
SUBSCRIPTION: Final = Exchange(encode("json", packet(SystemPacket.SUBSCRIBE, {"topic": TOPIC})), b'"recovered":')
ONE: Final = Announcement([encode("json", packet(ANNOUNCE, EVENT))], events=1)


def delivery_case(
    name: str,
    title: str,
    ours: Subject,
    theirs: Subject,
    *,
    subscribers: int,
    announcements: tuple[Announcement, Announcement] = (ONE, ONE),
    subscriptions: tuple[Exchange | None, Exchange | None] = (SUBSCRIPTION, None),
    goal: Goal | None = None,
) -> Case:
    """Make a case of deliveries per second. Of a pair, the first is ours."""

    async def measure(site: Site, side: Side, seconds: float) -> Sample:
        """Measure one side."""
        seen, until_the_last = await sockets.fan_out(
            side.server,
            site.token,
            announcements[side.is_yardstick],
            subscriptions[side.is_yardstick],
            subscribers=subscribers,
            seconds=seconds,
        )
        return {**sample(seen), "last": until_the_last * 1000}

    return Case(
        name=name,
        title=title,
        ours=ours,
        theirs=theirs,
        metrics=(
            Metric("rate", "deliveries/s", goal),
            Metric("cpu", "server µs/delivery"),
            Metric("last", "ms to the last"),
            Metric("busy", "% of a core", is_compared=False),
        ),
        measure=measure,
    )


DELIVERIES: Final = tuple(
    delivery_case(
        f"fan-out-{number}", f"one event to {number:,} subscribers", APPLICATION, BROADCAST, subscribers=number
    )
    for number in (100, 1000, 5000)
)
