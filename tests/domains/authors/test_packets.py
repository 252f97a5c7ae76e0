"""The packets on a real socket. What they do is tested with the service."""

import datetime as dt
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from app.pkg_ids import PkgID
from starpost.db import Database
from starpost.testing.launched import Launched
from starpost.testing.packet_client import PacketClient, packet_client
from tests.domains.answers import answered, refused
from tests.domains.authors.conftest import ADMIN, EDITOR, READER
from tests.domains.authors.factories import AuthorNameFactory


@pytest.fixture(params=["json", "msgpack"])
async def socket(
    request: pytest.FixtureRequest, database: Database, application: Launched, tokens: dict[str, str]
) -> AsyncIterator[PacketClient]:
    """An administrator on a socket."""
    async with packet_client(application.port, tokens[ADMIN], codec=request.param) as client:
        yield client


async def test_an_authors_life(socket: PacketClient) -> None:
    name = AuthorNameFactory.build().name
    author = await answered(socket, PkgID.CREATE_AUTHOR, {"name": name})
    assert author.keys() == {"id", "name", "created_at"}
    assert dt.datetime.fromisoformat(author["created_at"]).utcoffset() == dt.timedelta()
    book = await answered(socket, PkgID.CREATE_BOOK, {"author_id": author["id"], "title": "The Dispossessed"})
    assert book.keys() == {"id", "author_id", "title", "created_at"}
    assert await answered(socket, PkgID.GET_AUTHOR, {"id": author["id"]}) == author | {"books": [book]}
    reply = await socket.ask(PkgID.GET_BOOKS, {"author_id": author["id"]})
    assert reply["data"] == [book]
    assert reply["meta"] == {"page": 1, "per_page": 20, "total": 1, "pages": 1}
    renamed = await answered(socket, PkgID.UPDATE_AUTHOR, {"id": author["id"], "name": name + "!"})
    assert renamed == author | {"name": name + "!"}
    assert await answered(socket, PkgID.DELETE_AUTHOR, {"id": author["id"]}) == {}
    for pkg_id, data in (
        (PkgID.GET_AUTHOR, {"id": author["id"]}),
        (PkgID.UPDATE_AUTHOR, {"id": author["id"], "name": "x"}),
        (PkgID.DELETE_AUTHOR, {"id": author["id"]}),
        (PkgID.GET_BOOKS, {"author_id": author["id"]}),
        (PkgID.CREATE_BOOK, {"author_id": author["id"], "title": "x"}),
    ):
        assert await refused(socket, pkg_id, data) == (4, "not_found", [])


async def test_lists(socket: PacketClient) -> None:
    for name in ("Anna 100%", "Bob", "annabel"):
        await answered(socket, PkgID.CREATE_AUTHOR, {"name": name})
    reply = await socket.ask(PkgID.GET_AUTHORS, {"page": 2, "per_page": 2})
    assert [author["name"] for author in reply["data"]] == ["annabel"]
    assert reply["meta"] == {"page": 2, "per_page": 2, "total": 3, "pages": 2}
    everything: tuple[Any, ...] = (None, {}, {"filters": {}})
    for data in everything:
        assert len(await answered(socket, PkgID.GET_AUTHORS, data)) == 3
    for filters, names in (
        ({"name": "00%"}, ["Anna 100%"]),
        ({"id": 2}, ["Bob"]),
        ({"id": [3, 2, 9]}, ["Bob", "annabel"]),
    ):
        found = await answered(socket, PkgID.GET_AUTHORS, {"filters": filters})
        assert [author["name"] for author in found] == names
    reply = await socket.ask(PkgID.GET_AUTHORS, {"cursor": "", "per_page": 2})
    assert reply["meta"]["has_more"] is True
    reply = await socket.ask(PkgID.GET_AUTHORS, {"cursor": reply["meta"]["next"]})
    assert [author["name"] for author in reply["data"]] == ["annabel"]
    assert reply["meta"] == {"per_page": 20, "next": None, "has_more": False}


async def test_refusals(socket: PacketClient) -> None:
    await answered(socket, PkgID.CREATE_AUTHOR, {"name": "Le Guin"})
    assert await refused(socket, PkgID.CREATE_AUTHOR, {"name": "Le Guin"}) == (5, "conflict", ["$.name"])
    for data, paths in (
        ({}, ["$.name"]),
        ({"name": ""}, ["$.name"]),
        ({"name": "x" * 101}, ["$.name"]),
        ({"name": "a\0"}, ["$.name"]),
    ):
        assert await refused(socket, PkgID.CREATE_AUTHOR, data) == (2, "invalid_data", paths)
    wrong = {"page": 0, "per_page": 101, "filters": {"id": 0, "name": 5}}
    status, code, paths = await refused(socket, PkgID.GET_AUTHORS, wrong)
    assert (status, code) == (2, "invalid_data")
    assert set(paths) == {"$.page", "$.per_page", "$.filters.id", "$.filters.name"}
    assert await refused(socket, PkgID.GET_AUTHORS, {"cursor": "x"}) == (2, "invalid_data", ["$.cursor"])
    assert await refused(socket, PkgID.GET_AUTHOR, {"id": 2**63}) == (2, "invalid_data", ["$.id"])


async def test_both_ways_lead_to_the_same(socket: PacketClient, client: httpx.AsyncClient) -> None:
    author = await answered(socket, PkgID.CREATE_AUTHOR, {"name": "Le Guin"})
    assert (await client.get(f"/authors/{author['id']}")).json() == author | {"books": []}
    assert (await client.post("/authors", json={"name": "Le Guin"})).status_code == 409


async def test_roles(database: Database, application: Launched, tokens: dict[str, str]) -> None:
    for role, allowed in ((READER, {1, 3, 6}), (EDITOR, {1, 2, 3, 4, 6, 7})):
        async with packet_client(application.port, tokens[role]) as socket:
            for pkg_id in range(1, 8):
                reply = await socket.ask(pkg_id, {})
                assert (reply["status_code"] == 3) == (pkg_id not in allowed), f"{role} {pkg_id}: {reply}"


async def test_both_ways_find_the_same(socket: PacketClient, client: httpx.AsyncClient) -> None:
    names = ["100%", "a_b", "axb", "back\\slash", "Straße", "STRASSE", "שלום", "e\u0301tude", "étude", "\u202egnirts"]
    for name in names:
        await answered(socket, PkgID.CREATE_AUTHOR, {"name": name})
    for part, found in {
        "%": [],  # one or two letters: the beginning
        "00%": ["100%"],
        "a_b": ["a_b"],
        "k\\s": ["back\\slash"],
        "straß": ["Straße"],
        "strass": ["STRASSE"],
        "לום": ["שלום"],
        "é": ["étude"],
        "tude": ["e\u0301tude", "étude"],
        "gnir": ["\u202egnirts"],
        "😀" * 100: [],
    }.items():
        for page in ({}, {"cursor": ""}):
            by_packet = await answered(socket, PkgID.GET_AUTHORS, {"filters": {"name": part}} | page)
            by_route = (await client.get("/authors", params={"name": part} | page)).json()["items"]
            assert [author["name"] for author in by_packet] == found
            assert by_route == by_packet
