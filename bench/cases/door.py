"""Cases over the second door, beside a bare picows and beside peers."""

from typing import Final

from bench.cases.connections import IDLE_CONNECTIONS, idle_case
from bench.cases.deliveries import delivery_case
from bench.cases.packets import packet_case, typed
from bench.cases.subjects import FASTAPI, PICOWS, PICOWS_BROADCAST, SECOND_DOOR
from bench.measurement import Goal

DOOR: Final = (
    packet_case("door-trivial", "trivial packet, second door", SECOND_DOOR, PICOWS, goal=Goal(0.55)),
    packet_case("door-trivial-fastapi", "trivial packet, second door", SECOND_DOOR, FASTAPI),
    packet_case("door-typed", "packet with ten typed fields, second door", SECOND_DOOR, PICOWS, typed),
    packet_case("door-500", "trivial packet, 500 connections, second door", SECOND_DOOR, PICOWS, connections=500),
    idle_case("door-idle", f"{IDLE_CONNECTIONS:,} idle connections, second door", SECOND_DOOR, PICOWS),
    *(
        delivery_case(
            f"door-fan-out-{number}",
            f"one event to {number:,} subscribers, second door",
            SECOND_DOOR,
            PICOWS_BROADCAST,
            subscribers=number,
        )
        for number in (100, 1000)
    ),
)
