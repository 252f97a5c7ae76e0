import re

import msgspec
import pytest

from app.asgi import create_app
from app.settings import Settings
from tests.conftest import ROOT
from tests.framework.contract.conftest import client_of

SETTINGS = Settings(actions_file_path=str(ROOT / "actions.json"))
STATIC = ROOT / "app" / "framework" / "console" / "static"


async def statuses(settings: Settings) -> list[int]:
    async with client_of(create_app(settings)) as client:
        return [(await client.get(path)).status_code for path in ("/", "/console/main.js")]


async def test_console_is_served_in_development() -> None:
    assert await statuses(SETTINGS) == [200, 200]


@pytest.mark.parametrize("changes", [{"environment": "production"}, {"console_enabled": False}], ids=str)
async def test_console_is_not_there_elsewhere(changes: dict[str, str]) -> None:
    """With the same permission table: the routes exist, and say that there is nothing."""
    assert await statuses(msgspec.structs.replace(SETTINGS, **changes)) == [404, 404]


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
