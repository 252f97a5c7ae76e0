"""The tests of a new domain."""

from __future__ import annotations

from starpost_dev.scaffold.domain import Field, NewDomain
from starpost_dev.scaffold.domain_code import article, title


def tests(domain: NewDomain, module: str) -> dict[str, str]:
    """Text of each module, by its name; not yet formatted.

    Args:
        domain: What is asked for.
        module: Package of the application.
    """
    return {
        "__init__.py": "",
        "conftest.py": _conftest(domain, module),
        "test_packets.py": _packets(domain, module),
        "test_permissions.py": _permissions(domain, module),
        "test_routes.py": _routes(domain),
        "test_seed.py": _seed(domain, module),
        "test_service.py": _service(domain, module),
    }


def _wire(field: Field) -> str:
    sample = field.kind.sample.format(words=title(field.words))
    return f'"{field.name}": {sample},'


def _conftest(domain: NewDomain, module: str) -> str:
    package, model = f"{module}.domains.{domain.name}", domain.model
    return f'''"""The domain's table, empty before each test, its service, and what clients send."""

from typing import Any

import pytest

from {package}.service import {model}Service
from starpost.db import Database, Statements, UnitOfWork
from starpost.testing import Issuer
from starpost.topics import Broker, Publisher

READER, EDITOR, ADMIN = "{domain.reader}", "{domain.editor}", "{domain.admin}"


def {domain.singular}(number: int = 1) -> dict[str, Any]:
    """Payload of a client; another number, up to 28, has other values."""
    return {{{"".join(_wire(field) for field in domain.fields)}}}


@pytest.fixture
async def database(opened: Database) -> Database:
    async with opened.connection() as connection:
        await connection.execute('TRUNCATE "{domain.table}" RESTART IDENTITY CASCADE')
    return opened


@pytest.fixture
def {domain.name}(database: Database, unit_of_work: UnitOfWork, broker: Broker) -> {model}Service:
    return {model}Service(Statements(database), Publisher(broker, unit_of_work.after_commit))


@pytest.fixture
def tokens(issuer: Issuer) -> dict[str, str]:
    """One for each kind of user, with the roles that its role implies."""
    roles = {{"reader": [READER], "editor": [READER, EDITOR], "admin": [READER, EDITOR, ADMIN], "nobody": []}}
    return {{
        user: issuer.token(realm_access={{"roles": implied}}, resource_access=None) for user, implied in roles.items()
    }}
'''


def _packets(domain: NewDomain, module: str) -> str:
    one, number, sends = domain.singular, domain.numbers, domain.singular
    get, create, update, delete = number["get"], number["create"], number["update"], number["delete"]
    conflict = ""
    if domain.unique:
        paths = [f"$.{field.name}" for field in domain.unique][:1]
        same = domain.unique[0]
        conflict = f"""

async def test_a_{same.name}_is_there_once(socket: PacketClient) -> None:
    await answered(socket, PkgID.{create}, {sends}(1))
    other = await answered(socket, PkgID.{create}, {sends}(2))
    same = {sends}(2) | {{"{same.name}": {sends}(1)["{same.name}"]}}
    assert await refused(socket, PkgID.{create}, {sends}(3) | {{"{same.name}": same["{same.name}"]}}) == (
        5, "conflict", {paths!r}
    )
    assert await refused(socket, PkgID.{update}, {{"id": other["id"]}} | same) == (5, "conflict", {paths!r})
"""
    optional = [field.name for field in domain.fields if field.is_optional]
    may_be_null = ""
    if optional:
        may_be_null = f"""

async def test_what_may_be_null_is_null_by_default(socket: PacketClient) -> None:
    optional = {optional!r}
    required = {{name: value for name, value in {sends}().items() if name not in optional}}
    created = await answered(socket, PkgID.{create}, required)
    assert {{name: created[name] for name in optional}} == dict.fromkeys(optional)
"""
    required = [f"$.{field.name}" for field in domain.fields if not field.is_optional]
    return f'''"""The packets on a real socket. What they do is tested with the service."""

from collections.abc import AsyncIterator

import pytest

from {module}.pkg_ids import PkgID
from starpost.db import Database
from starpost.testing import Launched, PacketClient, packet_client
from tests.domains.answers import answered, refused
from tests.domains.{domain.name}.conftest import {sends}
from tests.domains.{domain.name}.test_permissions import PACKETS, USERS

SUBSCRIBE = -3


@pytest.fixture(params=["json", "msgpack"])
async def socket(
    request: pytest.FixtureRequest, database: Database, application: Launched, tokens: dict[str, str]
) -> AsyncIterator[PacketClient]:
    """An administrator on a socket."""
    async with packet_client(application.port, tokens["admin"], codec=request.param) as client:
        yield client


async def test_a_life(socket: PacketClient) -> None:
    created = await answered(socket, PkgID.{create}, {sends}(1))
    assert created == {sends}(1) | {{"id": created["id"], "created_at": created["created_at"]}}
    key = {{"id": created["id"]}}
    assert await answered(socket, PkgID.{get}, key) == created
    assert await answered(socket, PkgID.{update}, key | {sends}(2)) == created | {sends}(2)
    assert await answered(socket, PkgID.{delete}, key) == {{}}
    for pkg_id, data in (
        (PkgID.{get}, key), (PkgID.{update}, key | {sends}(3)), (PkgID.{delete}, key),
    ):
        assert await refused(socket, pkg_id, data) == (4, "not_found", [])


async def test_lists(socket: PacketClient) -> None:
    created = [await answered(socket, PkgID.{create}, {sends}(number)) for number in (1, 2, 3)]
    reply = await socket.ask(PkgID.{number["list"]}, {{"page": 2, "per_page": 2}})
    assert reply["data"] == created[2:]
    assert reply["meta"] == {{"page": 2, "per_page": 2, "total": 3, "pages": 2}}
    assert await answered(socket, PkgID.{number["list"]}, {{"filters": {{"id": created[1]["id"]}}}}) == [created[1]]
    reply = await socket.ask(PkgID.{number["list"]}, {{"cursor": "", "per_page": 2}})
    reply = await socket.ask(PkgID.{number["list"]}, {{"cursor": reply["meta"]["next"]}})
    assert reply["data"] == created[2:]
    assert reply["meta"] == {{"per_page": 20, "next": None, "has_more": False}}


async def test_subscribers_hear_of_it(socket: PacketClient) -> None:
    await answered(socket, SUBSCRIBE, {{"topic": "{domain.name}"}})
    created = await answered(socket, PkgID.{create}, {sends}(1))
    updated = await answered(socket, PkgID.{update}, {{"id": created["id"]}} | {sends}(2))
    await answered(socket, PkgID.{delete}, {{"id": created["id"]}})
    pushed = [(await socket.next_push(PkgID.{number["event"]}))["data"] for _ in range(3)]
    assert pushed == [
        {{"event": "created", "{one}": created}},
        {{"event": "updated", "{one}": updated}},
        {{"event": "deleted", "{one}": updated}},
    ]


async def test_what_is_missing_is_named(socket: PacketClient) -> None:
    assert await refused(socket, PkgID.{create}, {{}}) == (2, "invalid_data", {required!r})
{conflict}{may_be_null}

@pytest.mark.parametrize("user", USERS)
async def test_roles(database: Database, application: Launched, tokens: dict[str, str], user: str) -> None:
    async with packet_client(application.port, tokens[user]) as socket:
        for pkg_id, role in PACKETS.items():
            reply = await socket.ask(pkg_id, {{}})
            assert (reply["status_code"] == 3) == (role not in USERS[user]), f"{{pkg_id}}: {{reply}}"
'''


def _permissions(domain: NewDomain, module: str) -> str:
    rules = domain.rules(dict.fromkeys(domain.numbers, 0))["http"]
    names = {domain.reader: "READER", domain.editor: "EDITOR", domain.admin: "ADMIN"}
    roles = {"list": "READER", "create": "EDITOR", "get": "READER", "update": "EDITOR", "delete": "ADMIN"}
    packets = "".join(f"    PkgID.{domain.numbers[does]}: {role},\n" for does, role in roles.items())
    routes = "".join(
        f'    ("{path}", "{method}"): {names[role]},\n'
        for path, methods in rules.items()
        for method, role in methods.items()  # type: ignore[attr-defined]
    )
    return f'''"""Permissions of {domain.many}, for every packet, route and kind of user."""

from pathlib import Path

import pytest

from {module}.asgi import create
from {module}.pkg_ids import PkgID
from {module}.settings import Settings
from starpost.rbac import ActionTable
from tests.domains.{domain.name}.conftest import ADMIN, EDITOR, READER

USERS = {{
    "reader": {{READER}},
    "editor": {{READER, EDITOR}},
    "admin": {{READER, EDITOR, ADMIN}},
    "nobody": set[str](),
}}
PACKETS = {{
{packets}}}
ROUTES = {{
{routes}}}


@pytest.fixture(scope="module")
def table() -> ActionTable:
    settings = Settings.from_strings({{"ACTIONS_FILE_PATH": str(Path.cwd() / "actions.json")}})
    table: ActionTable = create(settings).state.blueprint.table
    return table


@pytest.mark.parametrize("user", USERS)
def test_packets(table: ActionTable, user: str) -> None:
    allowed = table.packets_for(frozenset(USERS[user]))

    assert {{number for number in PACKETS if number in allowed}} == {{
        number for number, role in PACKETS.items() if role in USERS[user]
    }}


@pytest.mark.parametrize("user", USERS)
def test_routes(table: ActionTable, user: str) -> None:
    rules = {{route: table.http_rule(*route) for route in ROUTES}}
    allowed = {{route for route, rule in rules.items() if rule is not None and rule.allows(frozenset(USERS[user]))}}

    assert allowed == {{route for route, role in ROUTES.items() if role in USERS[user]}}
'''


def _routes(domain: NewDomain) -> str:
    sends, path = domain.singular, domain.path
    wrong = "".join(f'    ("{field.name}", {value}),\n' for field in domain.fields for value in field.kind.wrong)
    wrong += "".join(f'    ("{field.name}", None),\n' for field in domain.fields if not field.is_optional)
    searched = ""
    queries = ""
    if domain.searched:
        field = domain.searched[0]
        queries = f'"{field.name}=%00", "{field.name}=" + "x" * 101, '
        searched = f"""
    part = created[1]["{field.name}"].upper()
    assert (await client.get("{path}", params={{"{field.name}": part}})).json()["items"] == [created[1]]
    assert (await client.get("{path}", params={{"{field.name}": "%"}})).json()["items"] == []"""
    return f'''"""The routes in a real server: what only HTTP has. What they do is tested with the service."""

from typing import Any

import httpx
import pytest

from tests.domains.{domain.name}.conftest import {sends}


async def create(client: httpx.AsyncClient, number: int = 1) -> dict[str, Any]:
    response = await client.post("{path}", json={sends}(number))
    assert response.status_code == 201, response.text
    created: dict[str, Any] = response.json()
    return created


async def test_a_life(client: httpx.AsyncClient) -> None:
    created = await create(client)
    assert created == {sends}() | {{"id": created["id"], "created_at": created["created_at"]}}
    path = f"{path}/{{created['id']}}"
    assert (await client.get(path)).json() == created
    changed = await client.put(path, json={sends}(2))
    assert (changed.status_code, changed.json()) == (200, created | {sends}(2))
    gone = await client.delete(path)
    assert (gone.status_code, gone.content) == (204, b"")
    for answer in (await client.get(path), await client.put(path, json={sends}(3)), await client.delete(path)):
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), answer.text


async def test_lists(client: httpx.AsyncClient) -> None:
    created = [await create(client, number) for number in (1, 2, 3)]
    second = (await client.get("{path}", params={{"page": 2, "per_page": 2}})).json()
    assert second == {{"items": created[2:], "meta": {{"page": 2, "per_page": 2, "total": 3, "pages": 2}}}}
    ids = [created[2]["id"], created[0]["id"]]
    assert (await client.get("{path}", params={{"id": ids}})).json()["items"] == [created[0], created[2]]
    first = (await client.get("{path}?cursor=&per_page=2")).json()
    rest = (await client.get("{path}", params={{"cursor": first["meta"]["next"]}})).json()
    assert first["items"] + rest["items"] == created{searched}


@pytest.mark.parametrize(
    "query", ["page=0", "page=x", "per_page=101", "id=0", "id=x", {queries}"cursor=x", "cursor=&page=1"]
)
async def test_hostile_queries(client: httpx.AsyncClient, query: str) -> None:
    answer = await client.get(f"{path}?{{query}}")
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_data"), answer.text


@pytest.mark.parametrize("key", ["0", "-1", str(2**63), "9" * 5000, "x", "1.5", "%00"])
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_hostile_keys(client: httpx.AsyncClient, method: str, key: str) -> None:
    answer = await client.request(method, f"{path}/{{key}}", json={sends}() if method == "PUT" else None)
    assert answer.status_code in {{400, 404}}, answer.text


WRONG: list[tuple[str, Any]] = [
{wrong}]


@pytest.mark.parametrize(("name", "value"), WRONG)
async def test_hostile_bodies(client: httpx.AsyncClient, name: str, value: Any) -> None:
    created = await create(client)
    for method, path in (("POST", "{path}"), ("PUT", f"{path}/{{created['id']}}")):
        answer = await client.request(method, path, json={sends}(2) | {{name: value}})
        problem = answer.json()
        assert (answer.status_code, problem["code"]) == (400, "invalid_data"), answer.text
        assert [error["path"] for error in problem["errors"]] == [f"$.{{name}}"]


@pytest.mark.parametrize("body", [{{}}, [], "x", None])
async def test_bodies_that_are_none(client: httpx.AsyncClient, body: Any) -> None:
    answer = await client.post("{path}", json=body)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_data"), answer.text


async def test_members_that_are_not_a_clients_to_set(client: httpx.AsyncClient) -> None:
    theirs = {{"id": 999, "created_at": "1999-01-01T00:00:00Z", "role": "admin"}}
    created = await client.post("{path}", json={sends}() | theirs)
    assert (created.status_code, created.json().keys()) == (201, {sends}().keys() | {{"id", "created_at"}})
    assert created.json()["id"] != 999
    assert not created.json()["created_at"].startswith("1999")
'''


def _seed(domain: NewDomain, module: str) -> str:
    package, model = f"{module}.domains.{domain.name}", domain.model
    rows = domain.name.upper()
    return f"""'''The example data of {domain.many}.'''

from sqlalchemy import func, select

from {package}.models import {model}
from {package}.seed import {rows}, seed
from starpost.db import Database, UnitOfWork


async def test_adds_what_is_missing_once(database: Database) -> None:
    for _ in range(2):
        async with UnitOfWork(database) as unit:
            await seed(unit.session)
        async with database.new_session() as session:
            assert await session.scalar(select(func.count({model}.id))) == len({rows})
"""  # noqa: S608 - Python that is written, no SQL


def _service(domain: NewDomain, module: str) -> str:
    package, model, name, sends = f"{module}.domains.{domain.name}", domain.model, domain.name, domain.singular
    conflict, conflict_imports, starpost = "", "", ""
    if domain.unique:
        same = domain.unique[0]
        conflict_imports = "import asyncio\n"
        starpost = "ConflictError, FieldError, "
        conflict = f'''

async def test_a_{same.name}_is_taken_once_by_the_database(database: Database, broker: Broker) -> None:
    """Many at the same time: a check before the insert would let several through."""

    async def create() -> object:
        async with UnitOfWork(database) as unit:
            {name} = {model}Service(Statements(database), Publisher(broker, unit.after_commit))
            return await {name}.create(data(1))

    results = await asyncio.gather(*(create() for _ in range(8)), return_exceptions=True)
    refused = [translate(result) for result in results if isinstance(result, BaseException)]
    assert len(refused) == 7
    for error in refused:
        assert isinstance(error, ConflictError)
        assert error.errors == (FieldError("$.{same.name}", "There is {article(domain.one)} of this {same.words}"),)
'''
    database = (
        "from starpost.db import Database, Statements, UnitOfWork, translate\n"
        "from starpost.topics import Broker, Publisher\n"
    )
    searched, filters_import = "", ""
    if domain.searched:
        field = domain.searched[0]
        filters_import = f"{model}Filters, "
        searched = f"""

async def test_filters({name}: {model}Service) -> None:
    created = [await {name}.create(data(number)) for number in (1, 2, 3)]

    async def found(**filters: Any) -> list[{model}View]:
        return (await {name}.page({model}Query(filters={model}Filters(**filters)))).items

    assert await found() == created
    assert await found({field.name}=created[1].{field.name}) == [created[1]]
    assert await found({field.name}="%") == []
    assert await found(id=[created[2].id, created[0].id]) == [created[0], created[2]]
"""
    return f'''"""The service on a real database."""

{conflict_imports}{"from typing import Any" if searched else ""}

import msgspec
import pytest

from {package}.schemas import {model}Data, {filters_import}{model}Query{f", {model}View" if searched else ""}
from {package}.service import {model}Service
from starpost import {starpost}CursorMeta, InvalidDataError, NotFoundError, OffsetMeta
{database if conflict else ""}from tests.domains.{domain.name}.conftest import {sends}


def data(number: int = 1) -> {model}Data:
    return msgspec.convert({sends}(number), {model}Data)


async def test_creates_and_finds({name}: {model}Service) -> None:
    created = await {name}.create(data())
    assert created.created_at.utcoffset() is not None
    assert await {name}.get(created.id) == created


async def test_changes({name}: {model}Service) -> None:
    created, other = [await {name}.create(data(number)) for number in (1, 2)]
    changed = await {name}.update(created.id, data(3))
    assert (changed.id, changed.created_at) == (created.id, created.created_at)
    assert await {name}.get(created.id) == changed != created
    assert await {name}.get(other.id) == other


async def test_deletes({name}: {model}Service) -> None:
    gone, kept = [await {name}.create(data(number)) for number in (1, 2)]
    await {name}.delete(gone.id)
    assert (await {name}.page({model}Query())).items == [kept]


async def test_what_is_not_there({name}: {model}Service) -> None:
    for call in ({name}.get(5), {name}.update(5, data()), {name}.delete(5)):
        with pytest.raises(NotFoundError, match="no such {domain.one}"):
            await call


async def test_pages({name}: {model}Service) -> None:
    created = [await {name}.create(data(number)) for number in range(1, 6)]
    second = await {name}.page({model}Query(page=2, per_page=2))
    assert second.items == created[2:4]
    assert second.meta == OffsetMeta(2, 2, 5, 3)
    seen, cursor = [], ""
    while True:
        page = await {name}.page({model}Query(cursor=cursor, per_page=2))
        seen += page.items
        assert isinstance(page.meta, CursorMeta)
        if page.meta.next is None:
            break
        cursor = page.meta.next
    assert seen == created
    with pytest.raises(InvalidDataError):
        await {name}.page({model}Query(cursor="", page=1))
{conflict}{searched}'''
