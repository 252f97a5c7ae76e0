"""What the documents show works as it is written: each page's Python is run, and then used."""

import asyncio
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from enum import IntEnum
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import msgspec
import pytest
from advanced_alchemy.exceptions import RepositoryError
from litestar.di import Provide
from sqlalchemy import bindparam, delete, func, update
from sqlalchemy.orm import Mapped, mapped_column

from starpost import (
    BaseModel,
    ConflictError,
    KeycloakClient,
    NoData,
    NotFoundError,
    Principal,
    Publisher,
    Push,
    Statement,
    Statements,
    Topic,
    UnauthenticatedError,
    UnitOfWork,
)
from starpost.db import Database, database_dependencies, translate
from starpost.packets.registry import freeze
from starpost.settings import Settings
from starpost.tasks import plan_tasks
from starpost.testing import Serve, packet_client
from starpost.testing.issuer import Issuer
from starpost.topics.authorization import plan_checks
from starpost_dev.services.services import Services
from starpost_dev.testing.realm import IdentityServer
from tests.dev.checkouts import clean_environment
from tests.docs.pages import ROOT, documents, python_blocks, run
from tests.docs.reviews import NAMES, Index
from tests.framework.auth.conftest import settings_for
from tests.framework.db.conftest import create_database

ELSEWHERE = {"README.md": "tests/docs/test_client_example.py"}
"""Pages whose blocks another test runs. Those of ``docs/guide`` are followed by ``test_guide.py``."""


def test_every_page_with_python_is_run() -> None:
    """A page that is not listed here shows code that nobody tried."""
    shown = {page for page in documents() if python_blocks(page) and not page.startswith("docs/guide/")}
    here = Path(__file__).read_text()
    assert shown, "no block was found at all"
    for page in shown - ELSEWHERE.keys():
        assert f'"{page}"' in here, f"{page}: run its blocks in a test of this file"
    for page, file in ELSEWHERE.items():
        assert page in shown
        assert page in (ROOT / file).read_text()


# ---- docs/packets.md -------------------------------------------------------------------------------------------------


async def test_packets(serve: Serve, issuer: Issuer) -> None:
    """The page's handler, in the page's domain, asked by the page's test."""
    page = run("docs/packets.md", **NAMES)

    def serve_the_page() -> Any:
        return serve("tests.docs.reviews:create")

    await page.test_get_reviews(serve_the_page, issuer)

    opened: list[Index] = [index async for index in page.provide_index() if index.is_open]
    assert len(opened) == 1
    assert not opened[0].is_open


# ---- docs/database.md ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
async def database(services: Services) -> AsyncIterator[Database]:
    settings = await create_database(Settings.from_strings(services.environment()), "docs")
    database = await Database(settings).open()
    yield database
    await database.close()


@pytest.fixture(scope="module")
async def database_page(database: Database) -> AsyncIterator[ModuleType]:
    page = run("docs/database.md", search_index=SimpleNamespace(refresh=refreshed.extend))
    table = page.Review.__table__
    try:
        async with database.engine.begin() as connection:
            await connection.run_sync(table.create)
        yield page
    finally:
        # The other tests compare all tables of the base with the migrations.
        BaseModel.metadata.remove(table)


refreshed: list[str] = []


async def test_database_writes_together_and_tells_once_it_has_committed(
    database: Database, database_page: ModuleType
) -> None:
    refreshed.clear()
    async with UnitOfWork(database) as unit_of_work:
        await database_page.write(unit_of_work, ["The Left Hand of Darkness", "The Dispossessed"])
        assert refreshed == []
    assert refreshed == ["The Left Hand of Darkness", "The Dispossessed"]

    with pytest.raises(Exception, match="uq_review_title") as raised:
        async with UnitOfWork(database) as unit_of_work:
            await database_page.write(unit_of_work, ["The Telling", "The Dispossessed"])
    refused = translate(raised.value)
    assert isinstance(refused, ConflictError)
    assert (refused.msg, [fault.path for fault in refused.errors]) == ("There is a review of this title", ["$.title"])
    assert "The Telling" not in refreshed


async def test_database_single_statements_and_pages(database: Database, database_page: ModuleType) -> None:
    statements = Statements(database)
    async with UnitOfWork(database) as unit_of_work:
        await database_page.write(unit_of_work, ["A Wizard of Earthsea", "The Tombs of Atuan"])
    found = await database_page.search(statements, "earthsea", 1)
    assert [(review.title, review.stars) for review in found.items] == [("A Wizard of Earthsea", 5)]
    assert found.meta.total == 1
    everything = await database_page.all_reviews(statements, 5)
    assert {"A Wizard of Earthsea", "The Tombs of Atuan"} <= {review.title for review in everything}
    review = found.items[0]
    assert (await database_page.rate(statements, review.id, 3)).stars == 3
    assert (await database_page.search(statements, "earthsea", 1)).items == []
    with pytest.raises(NotFoundError, match="There is no such review"):
        await database_page.rate(statements, review.id + 1000, 3)


async def test_database_repositories(database: Database, database_page: ModuleType) -> None:
    """Both in one unit of work, which commits; what a repository raises is understood."""
    async with UnitOfWork(database) as unit_of_work:
        reviews = database_page.provide_reviews(unit_of_work.session)
        created = await database_page.review(reviews, "Always Coming Home")
        assert (created.title, created.stars) == ("Always Coming Home", 4)
    found = await database_page.search(Statements(database), "always", 1)
    assert [review.id for review in found.items] == [created.id]

    with pytest.raises(RepositoryError) as raised:
        async with UnitOfWork(database) as unit_of_work:
            await database_page.review(database_page.provide_reviews(unit_of_work.session), "Always Coming Home")
    refused = translate(raised.value)
    assert isinstance(refused, ConflictError)
    assert (refused.msg, [fault.path for fault in refused.errors]) == ("There is a review of this title", ["$.title"])

    with pytest.raises(RepositoryError) as raised:
        async with UnitOfWork(database) as unit_of_work:
            await database_page.provide_reviews(unit_of_work.session).get(created.id + 1000)
    assert isinstance(translate(raised.value), NotFoundError)


# ---- docs/authentication.md ------------------------------------------------------------------------------------------


async def test_authentication(realm: IdentityServer) -> None:
    """The page's handler gets the client, and ends a session of the realm."""
    keycloak = KeycloakClient(settings_for(realm))
    try:
        await end_a_session(keycloak)
    finally:
        await keycloak.close()


async def end_a_session(keycloak: KeycloakClient) -> None:
    page = run("docs/authentication.md", PkgID=AccountID)
    given = {"keycloak": Provide(lambda: keycloak, sync_to_thread=False)}
    registry, faults = freeze(page.pkg_router.declarations, numbers=[AccountID], providers=given)
    assert faults == []
    assert [route.name for route in registry.values()] == ["END_SESSIONS"]

    tokens = await keycloak.sign_in("carol", "carol")
    request = SimpleNamespace(data=page.User("carol"))
    assert await page.end_sessions(request, keycloak) == NoData()
    with pytest.raises(UnauthenticatedError):
        await keycloak.refresh(tokens.refresh_token)
    with pytest.raises(NotFoundError):
        await page.end_sessions(SimpleNamespace(data=page.User("nobody")), keycloak)


# ---- docs/topics.md --------------------------------------------------------------------------------------------------


class AccountID(IntEnum):
    """The number that the page takes for granted."""

    END_SESSIONS = 13


class PageID(IntEnum):
    """The numbers that the page takes for granted."""

    AUTHOR_EVENT = 8
    BOOK_EVENT = 9
    NOTICE = 10
    ORDER_EVENT = 11
    DRAFT_EVENT = 12


class SentAtOnce:
    """A broker that keeps what is published."""

    def __init__(self) -> None:
        self.sent: list[tuple[Any, ...]] = []

    def publish(self, topic: Topic[Any], name: str, payload: bytes) -> None:
        self.sent.append((topic.name, name, msgspec.json.decode(payload)))

    def push(self, push: Push[Any], kind: str, name: str, payload: bytes) -> None:
        self.sent.append((push.pkg_id, kind, name, msgspec.json.decode(payload)))


@pytest.fixture(scope="module")
def topics_page() -> Iterator[ModuleType]:
    page = run("docs/topics.md", PkgID=PageID)
    yield page
    # The other tests compare all tables of the base with the migrations.
    BaseModel.metadata.remove(page.Draft.__table__)


def test_topics(topics_page: ModuleType) -> None:
    page = topics_page
    assert page.domain.topics == [page.AUTHORS, page.BOOKS]
    assert page.domain.pushes == [page.NOTICE]
    broker = SentAtOnce()
    events = Publisher(broker)  # type: ignore[arg-type]
    page.tell(events, page.AuthorView(7, "Le Guin"), page.BookView(1, "The Telling"))
    page.announce(events, "alice-id")
    assert [(sent[0], sent[1]) for sent in broker.sent[:2]] == [
        ("authors", "authors"),
        ("authors.{author_id}", "authors.7"),
    ]
    assert [sent[:3] for sent in broker.sent[2:]] == [(10, "user", "alice-id"), (10, "role", "admin"), (10, "all", "")]


async def test_topics_that_say_who_may(database: Database, topics_page: ModuleType) -> None:
    page = topics_page
    alice = Principal(
        user_id="alice-id", username="alice", roles=frozenset(), issued_at=0, expires_at=0, session_id=None
    )
    async with database.engine.begin() as connection:
        await connection.run_sync(page.Draft.__table__.create)
    async with UnitOfWork(database) as unit_of_work:
        drafts_of = [page.Draft(writer=writer) for writer in ("alice-id", "bob-id")]
        unit_of_work.session.add_all(drafts_of)
        await unit_of_work.session.flush()
        ids = [draft.id for draft in drafts_of]
    checks, faults = plan_checks([page.ORDERS, page.DRAFTS], database_dependencies(database))
    assert faults == []
    orders, drafts = checks["orders.{user_id}"], checks["drafts.{draft_id}"]
    assert [await orders.allows(alice, {"user_id": user}) for user in ("alice-id", "bob-id")] == [True, False]
    assert [await drafts.allows(alice, {"draft_id": id_}) for id_ in ids] == [True, False]


# ---- docs/background-tasks.md ----------------------------------------------------------------------------------------


class Printed(msgspec.Struct):
    """The page's ``PageEvent``."""

    page: int


class Printer:
    """Prints two pages."""

    async def pages(self) -> AsyncIterator[int]:
        for number in (1, 2):
            yield number


async def test_background_tasks(database: Database) -> None:
    """On a table with nothing to clean up, and with something."""

    class Draft(BaseModel):
        __tablename__ = "docs_draft"
        closed_by: Mapped[int] = mapped_column(server_default="0")

    try:
        async with database.engine.begin() as connection:
            await connection.run_sync(Draft.__table__.create)  # type: ignore[attr-defined]
        old = Draft.created_at < func.now() - func.make_interval(0, 0, 0, bindparam("days"))
        unclosed = Draft.closed_by < bindparam("fence")
        page = run(
            "docs/background-tasks.md",
            REMOVE_DRAFTS=Statement(delete(Draft).where(old).returning(Draft.id), int),
            CLOSE=Statement(
                update(Draft).where(unclosed).values(closed_by=bindparam("fence")).returning(Draft.id), int
            ),
            PAGES=Topic("pages", event=Printed, pkg_id=11),
            PageEvent=Printed,
            printer=Printer(),
        )
        await use_background_tasks(page, database)
    finally:
        BaseModel.metadata.remove(Draft.__table__)  # type: ignore[arg-type]


async def use_background_tasks(page: ModuleType, database: Database) -> None:
    declared = [(page.domain.name, task) for task in page.domain.tasks]
    tasks, faults = plan_tasks(declared, database_dependencies(database))
    assert not faults
    assert [task.name for task in tasks] == ["drafts.remove_old_drafts", "drafts.follow_the_printer"]

    statements = Statements(database)
    async with database.connection() as connection:
        await page.remove_old_drafts(statements)
        await connection.execute("INSERT INTO docs_draft (created_at) VALUES (now() - interval '31 days'), (now())")
        await page.remove_old_drafts(statements)
        assert await connection.fetchval("SELECT count(*) FROM docs_draft") == 1
        for fence, closed_by in ((5, 5), (4, 5), (6, 6)):
            await page.close_the_books(SimpleNamespace(fence=fence), statements)
            assert await connection.fetchval("SELECT closed_by FROM docs_draft") == closed_by

    broker = SentAtOnce()
    await page.follow_the_printer(Publisher(broker))  # type: ignore[arg-type]
    assert [sent[2] for sent in broker.sent] == [{"page": 1}, {"page": 2}]


# ---- docs/coming-from-fastapi.md -------------------------------------------------------------------------------------


async def test_coming_from_fastapi(serve: Serve, issuer: Issuer, services: Services) -> None:
    """What stands there after the move: the page's own test, and what that leaves out."""
    page = run("docs/coming-from-fastapi.md")
    database = await Database(Settings.from_strings(services.environment())).open()
    table = page.Ticket.__table__
    try:
        async with database.engine.begin() as connection:
            await connection.run_sync(table.create)
        try:
            await use_tickets(page, serve, issuer, database)
        finally:
            async with database.engine.begin() as connection:
                await connection.run_sync(table.drop)
    finally:
        BaseModel.metadata.remove(table)
        await database.close()


async def use_tickets(page: ModuleType, serve: Serve, issuer: Issuer, database: Database) -> None:
    served = serve("tests.docs.tickets:create")
    await page.test_create_ticket(lambda: served, issuer)

    token = issuer.token(realm_access={"roles": ["editor"]}, resource_access=None)
    headers = {"Authorization": f"Bearer {token}"}
    async with packet_client(served.port, token) as client:
        await client.ask(-3, {"topic": "tickets"})
        posted = await asyncio.to_thread(served.post, "/tickets", json={"title": "No heating"}, headers=headers)
        assert posted.status_code == 201, posted.text
        assert (await client.next_push(page.PkgID.TICKET_EVENT))["data"] == posted.json()
        closed = await client.ask(page.PkgID.CLOSE_TICKET, {"id": posted.json()["id"]})
        assert closed["data"] == posted.json() | {"is_open": False}
        missing = await client.ask(page.PkgID.CLOSE_TICKET, {"id": 1_000_000})
        assert (missing["status_code"], missing["data"]["code"]) == (4, "not_found")
        found = await client.ask(page.PkgID.GET_TICKETS, {"title": "heating"})
        assert (found["data"], found["meta"]["total"]) == ([closed["data"]], 1)
        await page.remove_closed_tickets(Statements(database))
    listed = await asyncio.to_thread(served.get, "/tickets?title=no&page=1", headers=headers)
    assert [ticket["title"] for ticket in listed.json()["items"]] == ["No light"]


def test_what_stands_there_before_the_move_is_python() -> None:
    """It cannot be run: nothing of it is installed here."""
    blocks = python_blocks("docs/coming-from-fastapi.md", before=True)
    assert len(blocks) == 5
    for line, text in blocks:
        compile("\n" * line + text, "docs/coming-from-fastapi.md", "exec", dont_inherit=True)


# ---- docs/development-services.md ------------------------------------------------------------------------------------


def test_development_services() -> None:
    """In a copy of the checkout, so that the data of this one are left alone."""
    assert python_blocks("docs/development-services.md")
    with tempfile.TemporaryDirectory(prefix="starpost-docs-", dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        for name in ("app", "scripts", "migrations", "docs", "docker", "tests/docs"):
            shutil.copytree(ROOT / name, Path(folder, name), ignore=shutil.ignore_patterns("__pycache__"))
        done = subprocess.run(
            [sys.executable, "-c", 'from tests.docs.pages import run; run("docs/development-services.md")'],
            cwd=folder,
            env=clean_environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert Path(folder, ".dev").is_dir()
