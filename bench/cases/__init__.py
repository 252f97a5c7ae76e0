"""Cases of the benchmark, in the order of the table."""

from typing import Final

from bench.cases.connections import CONNECTING, IDLE
from bench.cases.deliveries import DELIVERIES
from bench.cases.door import DOOR
from bench.cases.packets import DATABASE, PACKETS
from bench.cases.requests import REQUESTS
from bench.cases.together import TOGETHER
from bench.cases.workers import DOOR_WORKERS, WORKERS
from bench.measurement import Case

CASES: Final[dict[str, Case]] = {
    case.name: case
    for case in (
        *(*PACKETS, *WORKERS, *CONNECTING, *DATABASE, *REQUESTS, *IDLE, *DELIVERIES),
        *(*DOOR, *DOOR_WORKERS, *TOGETHER),
    )
}
"""Cases by name."""
