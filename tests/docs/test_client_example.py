"""The example client, and the documents that show it."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from starpost.db import Database
from starpost.settings import Settings
from starpost.testing import serving
from starpost.testing.launched import Launched
from starpost_dev.services.ports import free_port
from starpost_dev.services.services import Services

ROOT = Path.cwd()

CLIENT = ROOT / "examples" / "client.py"


@pytest.fixture(scope="module")
def application(services: Services, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launched]:
    """With the development realm as its Keycloak."""
    with serving(services.environment(), tmp_path_factory.mktemp("application")) as launched:
        yield launched


@pytest.fixture(scope="module")
async def names(services: Services, application: Launched) -> list[str]:
    """Names of authors, more than a page has."""
    database = await Database(Settings.from_strings(services.environment())).open()
    names = [f"{number} of {uuid4()}" for number in range(12)]
    async with database.connection() as connection:
        await connection.execute("INSERT INTO author (name) SELECT unnest($1::text[])", names)
    await database.close()
    return names


def test_client_signs_in_and_prints_the_replies(application: Launched, names: list[str]) -> None:
    command = [sys.executable, str(CLIENT), f"http://127.0.0.1:{application.port}"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert ran.returncode == 0, ran.stderr
    replies = [json.loads(text) for text in re.split(r"(?<=^})\n", ran.stdout.strip(), flags=re.MULTILINE)]
    sent = [int(number) for number in re.findall(r"\((-?\d+), {", CLIENT.read_text())]
    assert list(dict.fromkeys(reply["pkg_id"] for reply in replies)) == sent
    assert {reply["status_code"] for reply in replies} == {0}
    assert replies[0]["data"] == {"sent": "by a client"}
    pages = [reply for reply in replies if "meta" in reply]
    assert len(pages) > 12 / 5
    assert [page["meta"]["has_more"] for page in pages] == [True] * (len(pages) - 1) + [False]
    listed = [author["name"] for page in pages for author in page["data"]]
    assert [name for name in listed if name in names] == names
    assert listed[-1] == replies[1]["data"]["name"], "the one that the client has added comes last"


WITH_ADDRESSES = """
import runpy, sys
sys.addaudithook(lambda event, args: event == "socket.connect" and print("connect", args[1][1], file=sys.stderr))
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
"""The client, which prints the ports that it connects to."""


@pytest.mark.parametrize("is_public", [False, True], ids=["second port", "proxy"])
def test_client_goes_where_the_document_says(services: Services, tmp_path: Path, is_public: bool) -> None:
    port = free_port()
    address = {"WS_PUBLIC_URL": f"ws://localhost:{port}/web"} if is_public else {}
    environment = {**services.environment(), "WS_PORT": str(port), "ALLOWED_HOSTS": "127.0.0.1,localhost", **address}
    with serving(environment, tmp_path) as launched:
        command = [sys.executable, "-c", WITH_ADDRESSES, str(CLIENT), f"http://127.0.0.1:{launched.http_port}"]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr.splitlines()[-1] == f"connect {port}"


def test_readme_shows_this_client() -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)
    assert CLIENT.read_text() in blocks


def test_client_is_short() -> None:
    assert len(CLIENT.read_text().splitlines()) <= 40
