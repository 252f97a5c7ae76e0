import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.framework.contract.conftest import client_of
from tests.specimen import ACTIONS_FILE
from tests.specimen.asgi import create
from tests.specimen.settings import Settings

ROOT = Path.cwd()

SETTINGS = Settings()
STATIC = ROOT / "packages/starpost/src/starpost/console/static"


async def statuses(settings: Settings) -> list[int]:
    async with client_of(create(settings)) as client:
        return [(await client.get(path)).status_code for path in ("/", "/console/main.js")]


async def test_console_is_served_in_development() -> None:
    assert await statuses(SETTINGS) == [200, 200]


@pytest.mark.parametrize(
    ("changes", "host", "sockets"),
    [
        ({}, "localhost:8000", ""),
        ({"ws_port": 8001}, "localhost:8000", " ws://localhost:8001"),
        ({"ws_port": 8001}, "127.0.0.1:8000", " ws://127.0.0.1:8001"),
        ({"ws_port": 8001}, "[::1]:8000", ""),
        ({"ws_public_url": "wss://app.example.org:444/web"}, "localhost:8000", " wss://app.example.org:444"),
    ],
)
async def test_policy_lets_the_console_open_sockets_where_they_are(
    changes: dict[str, Any], host: str, sockets: str
) -> None:
    settings = msgspec.structs.replace(SETTINGS, **changes)
    async with client_of(create(settings)) as client:
        policy = (await client.get("/", headers={"Host": host})).headers["content-security-policy"]
    keycloak = settings.keycloak_issuer.partition("/realms")[0]
    assert f"connect-src 'self' {keycloak}{sockets};" in policy


@pytest.mark.parametrize("changes", [{"environment": "production"}, {"console_enabled": False}], ids=str)
async def test_console_is_not_there_elsewhere(changes: dict[str, str]) -> None:
    """With the same permission table: the routes exist, and say that there is nothing."""
    assert await statuses(msgspec.structs.replace(SETTINGS, **changes)) == [404, 404]


OPERATION = ["/metrics", "/schema", "/schema/openapi.json", "/schema/asyncapi.json", "/schema/oauth2-redirect.html"]


@pytest.mark.parametrize("path", OPERATION)
@pytest.mark.parametrize(
    ("changes", "is_open"),
    [
        ({}, True),
        ({"environment": "production", "public_in_production": ("metrics", "schema")}, True),
        ({"environment": "production"}, False),
    ],
    ids=str,
)
async def test_production_tells_strangers_nothing_about_itself(
    changes: dict[str, Any], path: str, *, is_open: bool
) -> None:
    settings = msgspec.structs.replace(SETTINGS, allowed_hosts=("localhost",), **changes)
    async with client_of(create(settings)) as client:
        assert (await client.get(path)).status_code == (200 if is_open else 401)
        assert (await client.options(path)).status_code == (204 if is_open else 401)
        assert (await client.get("/health/live")).status_code == 200


async def test_a_role_opens_them_in_production(tmp_path: Path) -> None:
    """The table's word, where it is not "everybody"; the guard asks for it as for every route."""
    table = json.loads(ACTIONS_FILE.read_bytes())
    table["http"]["/metrics"]["GET"] = "admin"
    path = tmp_path / "actions.json"
    path.write_text(json.dumps(table))
    settings = msgspec.structs.replace(SETTINGS, environment="production", actions_file_path=str(path))
    rules = create(settings).state.blueprint.table
    assert str(rules.http_rule("/metrics", "GET")) == "admin"
    assert not rules.http_rule("/schema", "GET").allows(frozenset({"admin"}))


def test_every_module_that_is_imported_exists() -> None:
    for module in STATIC.glob("*.js"):
        for imported in re.findall(r'from "\./(.+?)"', module.read_text()):
            assert (STATIC / imported).is_file(), f"{module.name} imports {imported}"


def test_every_element_that_the_page_uses_exists() -> None:
    page = (STATIC / "index.html").read_text()
    script = (STATIC / "main.js").read_text()
    used = {*re.findall(r"\bpage\.(\w+)", script), *re.findall(r'\bpage\["([\w-]+)"\]', script)}
    assert len(used) > 15
    assert used <= set(re.findall(r'id="([\w-]+)"', page))
