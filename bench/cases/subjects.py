"""Subjects of the cases: the application over both doors, the yardsticks, and the peers."""

from dataclasses import replace
from typing import Final

from bench import dialects, peers
from bench.server import Subject

APPLICATION: Final = Subject("application", "bench.application:create")
ECHO: Final = Subject("echo", "bench.yardsticks.echo:create", dialects.ECHO)
BROADCAST: Final = Subject("bare broadcast", "bench.yardsticks.broadcast:create", dialects.ECHO)
RAW_DATABASE: Final = Subject("raw asyncpg", "bench.yardsticks.database:create")
OPEN_LITESTAR: Final = Subject("open Litestar", "bench.yardsticks.open_litestar:create")

SECOND_DOOR: Final = replace(APPLICATION, name="application, second door", uses_second_door=True)
PICOWS: Final = Subject("bare picows", "bench.yardsticks.picows_echo:create", dialects.ECHO, uses_second_door=True)
PICOWS_BROADCAST: Final = replace(PICOWS, name="bare picows broadcast", target="bench.yardsticks.picows_echo:broadcast")

FASTAPI: Final = Subject(peers.FASTAPI.name, peer=peers.FASTAPI)
SOCKET_IO: Final = Subject(peers.SOCKET_IO.name, dialect=dialects.SOCKET_IO, peer=peers.SOCKET_IO)
CENTRIFUGO: Final = Subject(peers.CENTRIFUGO.name, dialect=dialects.CENTRIFUGO, peer=peers.CENTRIFUGO)


def several(subject: Subject, workers: int) -> Subject:
    """Return the subject with several workers."""
    return replace(subject, name=f"{subject.name}, {workers} workers", workers=workers)
