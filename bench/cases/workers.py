"""Cases of several workers."""

from typing import Final

from bench.cases.packets import packet_case
from bench.cases.subjects import APPLICATION, ECHO, several

WORKERS: Final = (packet_case("workers-2", "trivial packet, 2 workers", several(APPLICATION, 2), several(ECHO, 2)),)
