"""A domain as a strictly typed application writes it: no import but of the face, Litestar, msgspec and SQLAlchemy.

``make check`` runs mypy --strict on it; ``test_own_application.py`` serves it.
"""

from collections.abc import Callable
from enum import IntEnum
from typing import Annotated

from litestar import Router, get
from litestar.di import NamedDependency, Provide
from litestar.params import FromQuery
from msgspec import Meta, Struct
from sqlalchemy import literal_column, select, text
from sqlalchemy.ext.asyncio import AsyncSession

import starpost
from starpost import (
    BackgroundTask,
    Caller,
    Domain,
    KeycloakClient,
    NotFoundError,
    PackageRouter,
    Principal,
    Publisher,
    RequestModel,
    Secret,
    Statement,
    Statements,
    Topic,
    UnitOfWork,
)


class Settings(starpost.Settings, frozen=True, kw_only=True):
    """The framework's, and three more."""

    greeting: Annotated[str, Meta(min_length=1, max_length=20, description="what a note begins with")] = "Hello"
    max_notes: Annotated[int, Meta(ge=1, description="notes of one user")] = 100
    courier_password: Annotated[Secret, Meta(description="password of the courier")] = Secret("courier")


class NoteID(IntEnum):
    """The packets."""

    GREET = 1
    FIND_USER = 2
    GREETED = 3


class Greeting(Struct, frozen=True):
    """Who is greeted, and how many notes they may have."""

    text: str
    max_notes: int


class FindUser(Struct, frozen=True):
    """A user's name."""

    username: str


class Found(Struct, frozen=True):
    """A user of the realm."""

    id: str


GREETINGS = Topic("greetings", event=Greeting, pkg_id=NoteID.GREETED)
ONE = Statement(select(literal_column("1").label("one")), int)


class Notes:
    """The notes of whoever calls, over the socket and over HTTP."""

    def __init__(self, principal: Principal, settings: Settings, statements: Statements) -> None:
        self._principal = principal
        self._settings = settings
        self._statements = statements

    async def greet(self) -> Greeting:
        """Greet the caller."""
        await self._statements.one(ONE)
        return Greeting(f"{self._settings.greeting}, {self._principal.username}", self._settings.max_notes)


def provide_node(settings: NamedDependency[starpost.Settings]) -> str:
    """Name of this node. What knows no application takes the framework's settings, whatever class they have."""
    return settings.node_name


def provide_notes(
    principal: NamedDependency[Principal],
    settings: NamedDependency[Settings],
    statements: NamedDependency[Statements],
) -> Notes:
    """The service for one packet or request."""
    return Notes(principal, settings, statements)


pkg_router = PackageRouter()


@pkg_router.register(NoteID.GREET)
async def greet(connection: Caller, principal: Principal, notes: Notes, events: Publisher) -> Greeting:
    """Greet whoever sends this."""
    assert connection.principal == principal
    greeting = await notes.greet()
    events.publish(GREETINGS, greeting)
    return greeting


@pkg_router.register(NoteID.FIND_USER)
async def find_user(request: RequestModel[FindUser], keycloak: KeycloakClient) -> Found:
    """Ask Keycloak."""
    user = await keycloak.find_user(request.data.username)
    if user is None:
        raise NotFoundError("There is no such user")
    return Found(user.id)


@get("/notes/greeting")
async def greeting_over_http(notes: NamedDependency[Notes]) -> Greeting:
    """Greet whoever asks."""
    return await notes.greet()


@get("/notes/node")
async def node_over_http(node: NamedDependency[str], settings: NamedDependency[starpost.Settings]) -> dict[str, str]:
    """Name the node, as a provider and as the route itself is given it."""
    return {"provided": node, "taken": settings.node_name}


@get("/notes/session")
async def session_over_http(
    session: NamedDependency[AsyncSession], principal: NamedDependency[Principal], number: FromQuery[int]
) -> dict[str, str]:
    """Ask the database in the name of the caller."""
    found = await session.scalar(select(text(str(number))))
    return {principal.username: str(found)}


@get("/notes/user")
async def user_over_http(keycloak: NamedDependency[KeycloakClient], username: FromQuery[str]) -> Found:
    """Ask Keycloak."""
    user = await keycloak.find_user(username)
    if user is None:
        raise NotFoundError("There is no such user")
    return Found(user.id)


remembered: list[str] = []


@get("/notes/remembered")
async def remembered_over_http() -> list[str]:
    """The task's greetings."""
    return remembered


async def remember(
    settings: Settings, new_unit_of_work: Callable[[], UnitOfWork], publisher: Publisher, keycloak: KeycloakClient
) -> None:
    """Remember the greeting; once, when the worker has started."""
    async with new_unit_of_work() as unit_of_work:
        await unit_of_work.session.execute(select(text("1")))
    publisher.publish(GREETINGS, Greeting(settings.greeting, settings.max_notes))
    remembered.append(f"{settings.greeting} {type(keycloak).__name__}")


def may_hear(principal: Principal, settings: Settings) -> bool:
    """Whether the user may hear the greetings of the quiet topic."""
    return principal.username.startswith(settings.greeting.lower())


QUIET = Topic("quiet", event=Greeting, pkg_id=NoteID.GREETED, authorize=may_hear)

domain = Domain(
    name="notes",
    packets=[pkg_router],
    routes=[
        Router(
            "/",
            route_handlers=[
                greeting_over_http,
                node_over_http,
                session_over_http,
                user_over_http,
                remembered_over_http,
            ],
        )
    ],
    dependencies={
        "node": Provide(provide_node, sync_to_thread=False),
        "notes": Provide(provide_notes, sync_to_thread=False),
    },
    topics=[GREETINGS, QUIET],
    tasks=[BackgroundTask(remember)],
)
