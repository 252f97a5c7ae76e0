"""Numbers of the bench's packets."""

from typing import Final

TRIVIAL: Final = 900_001
TYPED: Final = 900_002
ANNOUNCE: Final = 900_003
ANNOUNCED: Final = 900_004
PAGE: Final = 900_005
CREATE: Final = 900_006
CREATED: Final = 900_007
ANNOUNCE_MANY: Final = 900_008
FIRST_OF_MANY: Final = 910_000

TOPIC: Final = "bench"

HANDLERS_VARIABLE: Final = "BENCH_HANDLERS"
"""Environment variable: number of handlers that the application registers in addition."""
