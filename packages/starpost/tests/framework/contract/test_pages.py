from collections.abc import AsyncIterator
from html.parser import HTMLParser

import httpx
import pytest
from litestar import Litestar

from starpost.contract.pages import page_headers
from starpost.settings import Settings
from tests.framework.contract.conftest import client_of


class Loaded(HTMLParser):
    """What a page loads, and what it runs or styles inside itself."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.urls: list[str] = []
        self.inline: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag in ("script", "img"):
            self.urls.append(given.get("src", ""))
        if tag == "link":
            self.urls.append(given["href"])
        if (tag == "script" and "src" not in given) or tag == "style":
            self.inline.append(tag)
        self.inline += [f"{tag} {name}" for name in given if name.startswith("on") or name == "style"]


@pytest.fixture(scope="session")
async def client(application: Litestar) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(application) as client:
        yield client


@pytest.mark.parametrize("path", ["/", "/schema", "/schema/oauth2-redirect.html"])
async def test_page_loads_files_of_this_server_alone_and_runs_nothing_inline(
    client: httpx.AsyncClient, path: str
) -> None:
    answer = await client.get(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    loaded = Loaded(answer.text)
    assert loaded.inline == []
    assert loaded.urls
    for url in loaded.urls:
        assert url.startswith("/")
        assert not url.startswith("//")
        assert (await client.get(url)).status_code == 200, url


@pytest.mark.parametrize("path", ["/", "/schema", "/schema/oauth2-redirect.html"])
async def test_policy_lets_a_page_speak_to_this_server_and_keycloak_alone(client: httpx.AsyncClient, path: str) -> None:
    headers = (await client.get(path)).headers
    policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == "'self'"
    assert policy["style-src"] == "'self'"
    assert policy["connect-src"] == "'self' https://sso.example.org"
    assert policy["frame-ancestors"] == "'none'"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"


def test_policy_names_keycloak_by_its_origin() -> None:
    headers = {header.name: header.value for header in page_headers(Settings(keycloak_base_url="http://kc:81/a/b"))}
    assert "connect-src 'self' http://kc:81;" in str(headers["Content-Security-Policy"])


@pytest.mark.parametrize("prefix", ["/console", "/schema/assets"])
@pytest.mark.parametrize(
    "path", ["../__init__.py", "%2e%2e/__init__.py", "..%2f__init__.py", "/etc/hostname", "nothing.js"]
)
async def test_files_outside_are_not_served(client: httpx.AsyncClient, prefix: str, path: str) -> None:
    url = httpx.URL("http://localhost", raw_path=f"{prefix}/{path}".encode())
    assert (await client.get(url)).status_code == 404
