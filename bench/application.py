"""The application that is measured, a domain with a table and the bench's own packets; a target for the launcher."""

import json
import os
import tempfile
from collections.abc import Awaitable, Callable
from enum import IntEnum
from pathlib import Path
from typing import Any, Final, cast

import msgspec
from litestar import Litestar, get

from bench import authors
from bench.numbers import (
    ANNOUNCE,
    ANNOUNCE_MANY,
    ANNOUNCED,
    CREATE,
    CREATED,
    FIRST_OF_MANY,
    HANDLERS_VARIABLE,
    PAGE,
    TOPIC,
    TRIVIAL,
    TYPED,
)
from bench.shapes import Announcement, Announcements, Small, Typed
from starpost import Domain, NoData, PackageRouter, Publisher, RequestModel, Topic
from starpost.composition.application import create_app
from starpost.server import DrainSignal
from starpost.settings import Settings

ROLE: Final = "author-reader"

bench_router = PackageRouter()


@bench_router.register(TRIVIAL)
async def trivial(request: RequestModel[NoData]) -> NoData:
    """Reply with an empty object."""
    return request.data


@bench_router.register(TYPED)
async def typed(request: RequestModel[Typed]) -> Typed:
    """Repeat ten fields."""
    return request.data


ANNOUNCEMENTS = Topic(TOPIC, event=Announcement, pkg_id=ANNOUNCED)


@bench_router.register(ANNOUNCE)
async def announce(request: RequestModel[Announcement], events: Publisher) -> NoData:
    """Publish an event to every subscriber."""
    events.publish(ANNOUNCEMENTS, request.data)
    return NoData()


@bench_router.register(ANNOUNCE_MANY)
async def announce_many(request: RequestModel[Announcements], events: Publisher) -> NoData:
    """Publish several events to every subscriber, in one go."""
    for event in request.data.events:
        events.publish(ANNOUNCEMENTS, event)
    return NoData()


@get("/bench/small")
async def small() -> Small:
    """Answer a small object."""
    return Small("ok", 1)


def create(drain: DrainSignal) -> Litestar:
    """Make the application, with ``BENCH_HANDLERS`` further handlers."""
    many = [FIRST_OF_MANY + index for index in range(int(os.environ.get(HANDLERS_VARIABLE, "10")))]
    router = PackageRouter()
    for number in many:
        router.register(number)(_handler())
    domain = Domain(name="bench", packets=[bench_router, router], routes=[small], topics=[ANNOUNCEMENTS])
    numbers = {"TRIVIAL": TRIVIAL, "TYPED": TYPED, "ANNOUNCE": ANNOUNCE, "ANNOUNCED": ANNOUNCED}
    numbers |= {"ANNOUNCE_MANY": ANNOUNCE_MANY}
    numbers |= {"PAGE": PAGE, "CREATE": CREATE, "CREATED": CREATED}
    numbers |= {f"HANDLER_{number}": number for number in many}
    with tempfile.NamedTemporaryFile("wb", suffix=".json", delete=False) as file:
        file.write(_actions([TRIVIAL, TYPED, ANNOUNCE, ANNOUNCE_MANY, PAGE, CREATE, *many]))
    settings = msgspec.structs.replace(Settings.load(dotenv=None), actions_file_path=file.name)
    try:
        return create_app(
            settings,
            drain=drain,
            domains=[authors.domain, domain],
            pkg_ids=cast("type[IntEnum]", IntEnum("BenchNumbers", numbers)),
            title="Bench",
        )
    finally:
        Path(file.name).unlink()


def _handler() -> Callable[..., Awaitable[NoData]]:
    """Make a handler of its own, as in a real application."""

    async def one_of_many(request: RequestModel[NoData]) -> NoData:
        """Answer nothing to nothing."""
        return request.data

    return one_of_many


def _actions(numbers: list[int]) -> bytes:
    """A permission table for the bench's packets and routes; those of the framework have the project's rules."""
    project: dict[str, Any] = json.loads(Path("actions.json").read_bytes())
    http = project["http"] | {path: {"GET": ROLE} for path in ("/authors", "/bench/small")}
    table = {
        "roles": [*{ROLE, *project["roles"]}],
        "ws": {str(number): ROLE for number in numbers},
        "http": {path: rules for path, rules in http.items() if not path.startswith("/authors/")},
        "topics": {TOPIC: ROLE, authors.AUTHORS.name: ROLE},
    }
    return json.dumps(table).encode()
