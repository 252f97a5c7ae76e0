"""Cases over the second door, beside a bare picows and beside peers.

The door's side has everything on: tokens, permissions, limits, metrics. Centrifugo has what it knows of that: tokens of
the same realm, permissions per channel, histories in the same Valkey, metrics.
"""

from typing import Final

from bench.cases.connections import IDLE_CONNECTIONS, handshake_case, idle_case, round_trip_case
from bench.cases.deliveries import EVENT, ONE, SUBSCRIPTION, delivery_case
from bench.cases.packets import BATCH, batched, packet_case, trivial, typed
from bench.cases.subjects import CENTRIFUGO, FASTAPI, PICOWS, PICOWS_BROADCAST, SECOND_DOOR, SOCKET_IO
from bench.cases.together import COUNT, IN_ONE_GO, subscription
from bench.dialects import (
    centrifugo_batch,
    centrifugo_publication,
    centrifugo_rpc,
    centrifugo_subscription,
    socket_io_event,
)
from bench.loads.sockets import Announcement
from bench.measurement import Case, Goal
from bench.numbers import TOPIC

_AS_MUCH: Final = Goal(1.0)
_SUBSCRIPTIONS: Final = (SUBSCRIPTION, centrifugo_subscription(TOPIC))
_PUBLICATION: Final = centrifugo_publication(TOPIC, EVENT)


def _beside_centrifugo(connections: int) -> Case:
    return packet_case(
        f"door-{connections}-centrifugo",
        f"trivial packet, {connections:,} connections, second door; an rpc that the peer answers itself",
        SECOND_DOOR,
        CENTRIFUGO,
        their_frames=centrifugo_rpc,
        connections=connections,
        goal=_AS_MUCH,
    )


def _deliveries(subscribers: int) -> tuple[Case, ...]:
    return (
        delivery_case(
            f"door-fan-out-{subscribers}",
            f"one event to {subscribers:,} subscribers, second door",
            SECOND_DOOR,
            PICOWS_BROADCAST,
            subscribers=subscribers,
        ),
        delivery_case(
            f"door-fan-out-{subscribers}-centrifugo",
            f"one event to {subscribers:,} subscribers, second door",
            SECOND_DOOR,
            CENTRIFUGO,
            subscribers=subscribers,
            announcements=(ONE, Announcement([_PUBLICATION], events=1)),
            subscriptions=_SUBSCRIPTIONS,
            goal=_AS_MUCH,
        ),
        delivery_case(
            f"door-ten-in-a-row-{subscribers}-centrifugo",
            f"ten events in a row to {subscribers:,} subscribers, second door",
            SECOND_DOOR,
            CENTRIFUGO,
            subscribers=subscribers,
            announcements=(
                Announcement([*ONE.frames] * COUNT, events=COUNT),
                Announcement([_PUBLICATION] * COUNT, events=COUNT),
            ),
            subscriptions=_SUBSCRIPTIONS,
        ),
        delivery_case(
            f"door-ten-batched-{subscribers}-centrifugo",
            f"ten events in one go to {subscribers:,} subscribers, batched, second door",
            SECOND_DOOR,
            CENTRIFUGO,
            subscribers=subscribers,
            # It joins what waits for a client by itself.
            announcements=(IN_ONE_GO, Announcement([], COUNT, centrifugo_batch(TOPIC, EVENT, COUNT))),
            subscriptions=(subscription(is_batched=True), centrifugo_subscription(TOPIC)),
            goal=_AS_MUCH,
        ),
    )


DOOR: Final = (
    packet_case("door-trivial", "trivial packet, second door", SECOND_DOOR, PICOWS, goal=Goal(0.55)),
    packet_case("door-trivial-fastapi", "trivial packet, second door; an echo with JSON", SECOND_DOOR, FASTAPI),
    packet_case(
        "door-trivial-socketio",
        "trivial packet, second door; an event with its acknowledgement",
        SECOND_DOOR,
        SOCKET_IO,
        their_frames=socket_io_event,
        goal=_AS_MUCH,
    ),
    packet_case("door-typed", "packet with ten typed fields, second door", SECOND_DOOR, PICOWS, typed),
    packet_case("door-500", "trivial packet, 500 connections, second door", SECOND_DOOR, PICOWS, connections=500),
    packet_case(
        "door-batch-16",
        f"batches of {BATCH} trivial packets, second door; the yardstick one by one",
        SECOND_DOOR,
        PICOWS,
        batched,
        trivial,
        goal=Goal(250_000, of="value", alternative=Goal(3)),
    ),
    *(_beside_centrifugo(connections) for connections in (50, 500, 2000)),
    round_trip_case(
        "door-one-centrifugo",
        "trivial packet, 1 connection, second door",
        SECOND_DOOR,
        CENTRIFUGO,
        centrifugo_rpc,
        goal=Goal(1.2, is_minimum=False),
    ),
    handshake_case(
        "door-handshake-centrifugo",
        "handshake with a new RS256 token, one packet, close, second door",
        SECOND_DOOR,
        CENTRIFUGO,
        centrifugo_rpc,
        cpu=Goal(1.5, is_minimum=False),
    ),
    idle_case("door-idle", f"{IDLE_CONNECTIONS:,} idle connections, second door", SECOND_DOOR, PICOWS),
    idle_case(
        "door-idle-centrifugo",
        f"{IDLE_CONNECTIONS:,} idle, subscribed connections, second door",
        SECOND_DOOR,
        CENTRIFUGO,
        centrifugo_rpc,
        subscriptions=_SUBSCRIPTIONS,
        goal=Goal(40, is_minimum=False, of="value"),
    ),
    *(case for subscribers in (100, 1000) for case in _deliveries(subscribers)),
)
