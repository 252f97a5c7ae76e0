"""The routes in a real server: what only HTTP has. What they do is tested with the service."""

import datetime as dt
from typing import Any

import httpx
import pytest

from tests.domains.authors.conftest import EDITOR, READER
from tests.domains.authors.factories import AuthorNameFactory


async def create(client: httpx.AsyncClient, name: str) -> dict[str, Any]:
    response = await client.post("/authors", json={"name": name})
    assert response.status_code == 201, response.text
    author: dict[str, Any] = response.json()
    return author


async def test_an_authors_life(client: httpx.AsyncClient) -> None:
    name = AuthorNameFactory.build().name
    author = await create(client, name)
    assert author.keys() == {"id", "name", "created_at"}
    assert dt.datetime.fromisoformat(author["created_at"]).utcoffset() == dt.timedelta()
    path = f"/authors/{author['id']}"

    book = await client.post(f"{path}/books", json={"title": "The Dispossessed"})
    assert book.status_code == 201
    assert book.json().keys() == {"id", "author_id", "title", "created_at"}
    assert (await client.get(path)).json() == author | {"books": [book.json()]}
    assert (await client.get(f"{path}/books")).json() == {
        "items": [book.json()],
        "meta": {"page": 1, "per_page": 20, "total": 1, "pages": 1},
    }

    renamed = await client.patch(path, json={"name": name + "!"})
    assert (renamed.status_code, renamed.json()) == (200, author | {"name": name + "!"})

    gone = await client.delete(path)
    assert (gone.status_code, gone.content) == (204, b"")
    for answer in (
        await client.get(path),
        await client.patch(path, json={"name": "x"}),
        await client.delete(path),
        await client.get(f"{path}/books"),
        await client.post(f"{path}/books", json={"title": "x"}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), answer.text


async def test_a_taken_name(client: httpx.AsyncClient) -> None:
    await create(client, "Le Guin")
    other = await create(client, "Lem")
    for answer in (
        await client.post("/authors", json={"name": "Le Guin"}),
        await client.patch(f"/authors/{other['id']}", json={"name": "Le Guin"}),
    ):
        problem = answer.json()
        assert (answer.status_code, problem["code"]) == (409, "conflict")
        assert problem["errors"] == [{"path": "$.name", "msg": "There is an author of this name"}]
        assert "uq_" not in answer.text


async def test_lists(client: httpx.AsyncClient) -> None:
    authors = [await create(client, name) for name in ("Anna 100%", "Bob", "annabel")]

    async def names(**query: Any) -> list[str]:
        answer = await client.get("/authors", params=query)
        assert answer.status_code == 200, answer.text
        return [author["name"] for author in answer.json()["items"]]

    assert await names() == ["Anna 100%", "Bob", "annabel"]
    assert await names(name="anna") == ["Anna 100%", "annabel"]
    assert await names(name="00%") == ["Anna 100%"]
    assert await names(id=authors[1]["id"]) == ["Bob"]
    assert await names(id=[authors[2]["id"], authors[1]["id"]]) == ["Bob", "annabel"]
    assert await names(page=2, per_page=2) == ["annabel"]
    assert (await client.get("/authors?page=9&per_page=2")).json() == {
        "items": [],
        "meta": {"page": 9, "per_page": 2, "total": 3, "pages": 2},
    }
    first = (await client.get("/authors?cursor=&per_page=2")).json()
    assert first["meta"].keys() == {"per_page", "next", "has_more"}
    assert first["meta"]["has_more"] is True
    assert await names(cursor=first["meta"]["next"]) == ["annabel"]


HUGE = "9" * 30


@pytest.mark.parametrize(
    "query",
    [
        "page=0",
        "page=-1",
        f"page={HUGE}",
        "page=" + "9" * 5000,
        "page=1.5",
        "page=x",
        "per_page=0",
        "per_page=101",
        "id=0",
        f"id={HUGE}",
        "id=1&id=x",
        "name=%00",
        "name=a%0Ab",
        "name=" + "x" * 101,
        "cursor=x",
        "cursor=%00",
        "cursor=" + "A" * 5000,
        "cursor=&page=1",
        "&".join(["id=1"] * 101),
    ],
)
async def test_hostile_queries(client: httpx.AsyncClient, query: str) -> None:
    answer = await client.get(f"/authors?{query}")
    assert answer.status_code == 400, answer.text
    assert answer.json()["code"] == "invalid_data"


@pytest.mark.parametrize("key", ["0", "-1", str(2**63), HUGE, "9" * 5000, "x", "1.5", "%00", "1e3", "0x10"])
@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
async def test_hostile_keys(client: httpx.AsyncClient, method: str, key: str) -> None:
    for path in (f"/authors/{key}", f"/authors/{key}/books"):
        if path.endswith("books") and method != "GET":
            continue
        answer = await client.request(method, path, json={"name": "x"} if method == "PATCH" else None)
        assert answer.status_code in {400, 404}, answer.text


@pytest.mark.parametrize("body", [{}, {"name": ""}, {"name": "x" * 101}, {"name": "a\0"}, {"name": 5}, [], "x", None])
async def test_hostile_bodies(client: httpx.AsyncClient, body: Any) -> None:
    author = await create(client, "Le Guin")
    for method, path in (("POST", "/authors"), ("PATCH", f"/authors/{author['id']}")):
        answer = await client.request(method, path, json=body)
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_data"), answer.text


async def test_members_that_are_not_a_clients_to_set(client: httpx.AsyncClient) -> None:
    other = await create(client, "Lem")
    theirs = {"id": other["id"], "created_at": "1999-01-01T00:00:00Z", "books": [{"title": "x"}], "role": "admin"}
    answer = await client.post("/authors", json={"name": "Le Guin"} | theirs)
    author = answer.json()
    assert (answer.status_code, author.keys()) == (201, {"id", "name", "created_at"})
    assert author["id"] != other["id"]
    assert not author["created_at"].startswith("1999")
    renamed = await client.patch(f"/authors/{author['id']}", json={"name": "Ursula"} | theirs)
    assert renamed.json() == author | {"name": "Ursula"}
    assert (await client.get(f"/authors/{other['id']}")).json() == other | {"books": []}


@pytest.mark.parametrize(
    "text", ["x'); DROP TABLE author CASCADE; --", "' OR '1'='1", "<script>alert(1)</script>", "{{7*7}}${7*7}$(id)"]
)
async def test_text_is_text(client: httpx.AsyncClient, text: str) -> None:
    """What would be a command elsewhere is stored, found and answered as it came, and as JSON."""
    await create(client, "Lem")
    author = await create(client, text)
    found = await client.get("/authors", params={"name": text})
    assert found.json()["items"] == [author]
    assert found.headers["content-type"] == "application/json"
    assert len((await client.get("/authors")).json()["items"]) == 2


async def test_roles(client: httpx.AsyncClient, tokens: dict[str, str]) -> None:
    author = await create(client, "Le Guin")
    path = f"/authors/{author['id']}"
    for role, allowed in ((READER, {"GET"}), (EDITOR, {"GET", "PATCH", "POST"})):
        headers = {"Authorization": f"Bearer {tokens[role]}"}
        for method, target, body in (
            ("GET", path, None),
            ("PATCH", path, {"name": "Le Guin"}),
            ("POST", f"{path}/books", {"title": "x"}),
            ("DELETE", path, None),
        ):
            answer = await client.request(method, target, json=body, headers=headers)
            assert (answer.status_code == 403) == (method not in allowed), f"{role} {method}: {answer.text}"
    assert (await client.get(path, headers={"Authorization": ""})).status_code == 401
