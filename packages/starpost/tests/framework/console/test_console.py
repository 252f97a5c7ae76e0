"""The pages in a real browser, against the running application and the development realm."""

import json
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import pytest

from starpost.testing import serving
from starpost.testing.launched import Launched
from starpost_dev.realm.process import RealmProcess
from starpost_dev.services.ports import free_port
from starpost_dev.services.services import Services
from tests.framework.console.browser import CHROMIUM, DRIVER, Browser, browser
from tests.specimen import REALM_FILE, SPECIMEN

pytestmark = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="needs Chromium and its driver (Debian: apt install chromium chromium-driver)"
)

TOKEN_LIFESPAN = 8
"""Seconds: long enough to do something with a token, short enough to see it renewed."""


@pytest.fixture(scope="module")
def realm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealmProcess]:
    folder = tmp_path_factory.mktemp("realm")
    content = json.loads(REALM_FILE.read_text()) | {"accessTokenLifespan": TOKEN_LIFESPAN}
    (folder / "realm.json").write_text(json.dumps(content))
    process = RealmProcess(folder / "state", realm_file=folder / "realm.json")
    process.start()
    yield process
    process.stop()


@pytest.fixture(scope="module")
def application(
    services: Services, realm: RealmProcess, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Launched]:
    settings = {"KEYCLOAK_BASE_URL": realm.base_url, "DRAIN_SPREAD": "0", "WS_TOKEN_WARNING": "1"}
    with serving(services.environment(), tmp_path_factory.mktemp("application"), SPECIMEN, **settings) as launched:
        yield launched


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """The browser that everybody here visits with: a start costs more than most of the visits."""
    with browser(tmp_path_factory.mktemp("profile")) as session:
        yield session


@pytest.fixture
def page(chromium: Browser, application: Launched) -> Iterator[Browser]:
    with chromium.visit(address_of(application)) as visit:
        yield visit
        assert visit.complaints() == [], "no violated policy, no missing file, no uncaught error"


FOCUSED = (
    "const [newest] = document.querySelectorAll('.following'); return newest.matches(':focus') && newest.innerText"
)


def address_of(served: Launched) -> str:
    return f"http://127.0.0.1:{served.port}/"


def fill_in_form(page: Browser, user: str) -> None:
    page.type("#username", user)
    page.type("#password", user)
    page.click("#kc-login")


def sign_in(page: Browser, user: str) -> None:
    page.click("#sign-in")
    fill_in_form(page, user)
    page.wait_for_text("#state", "Connected")


def send(page: Browser, name: str, data: str, status: str) -> str:
    """Send a packet by the form; the text of its entry as soon as the status is there."""
    page.script("for (const entry of document.querySelectorAll('#traffic li')) entry.classList.add('earlier')")
    page.script(
        "[...document.querySelectorAll('#packets .name')].find((e) => e.textContent === arguments[0]).click()", name
    )
    page.type("#data", data)
    page.click("#send")
    # Pushes and renewals of the token come meanwhile, too: they are notes.
    return page.wait_for_text(
        ", ".join(f"#traffic li:not(.earlier)[data-kind={kind}]" for kind in ("good", "bad")), status
    )


def test_alice_signs_in_creates_an_author_and_sees_the_reply(page: Browser) -> None:
    assert "alice" in page.text("#welcome")
    sign_in(page, "alice")
    assert page.wait_for_text("#who", "admin").startswith("alice")
    assert "code=" not in page.call("GET", "/url"), "a code in the address would be reloaded, and shared"
    name = f"Ursula {uuid4()}"
    entry = send(page, "CREATE_AUTHOR", json.dumps({"name": name}), "0 OK")
    assert " ms" in entry
    assert entry.count(name) == 2, "request and reply"
    assert "2 INVALID_DATA" in send(page, "CREATE_AUTHOR", '{"name": ""}', "INVALID_DATA")
    page.type("#data", "{")
    page.click("#send")
    page.wait_for_text("#data-fault", "This is not JSON")


ADDRESS = """
const { loadContract } = await import("/console/contract.js");
return (await loadContract()).socketUrl(location.href).href;
"""


def test_the_console_uses_the_second_door(
    chromium: Browser, services: Services, realm: RealmProcess, tmp_path: Path
) -> None:
    # The first port is set, too: by it the second door knows our own pages.
    ports = {"PORT": str(free_port()), "WS_PORT": str(free_port())}
    settings = {"KEYCLOAK_BASE_URL": realm.base_url, "DRAIN_SPREAD": "0"} | ports
    with (
        serving(services.environment(), tmp_path, SPECIMEN, **settings) as launched,
        chromium.visit(address_of(launched)) as page,
    ):
        sign_in(page, "alice")
        assert page.script(f"return (async () => {{{ADDRESS}}})()") == f"ws://127.0.0.1:{settings['WS_PORT']}/web"
        assert page.complaints() == []


def test_bob_sees_what_is_not_his(page: Browser) -> None:
    sign_in(page, "bob")
    page.wait_for_text("#who", "author-reader")
    page.wait_for_text("button[title='Add an author.']", "not yours")
    assert "not yours" not in page.text("button[title='A page of authors.']")
    send(page, "CREATE_AUTHOR", '{"name": "x"}', "3 PERMISSION_DENIED")


def test_pushes_are_shown(page: Browser) -> None:
    sign_in(page, "alice")
    send(page, "SUBSCRIBE", '{"topic": "authors"}', "0 OK")
    name = f"Pushed {uuid4()}"
    send(page, "CREATE_AUTHOR", json.dumps({"name": name}), "0 OK")
    assert name in page.wait_for_text("#traffic li[data-kind=note]", "AUTHOR_EVENT")


def test_example_payloads_can_be_sent_as_they_are(page: Browser) -> None:
    sign_in(page, "alice")
    page.click("button[title='A page of authors.']")
    page.click("#send")
    page.wait_for_text("#traffic li[data-kind=good]", '"total"')


def test_list_is_walked_by_cursor(page: Browser) -> None:
    sign_in(page, "alice")
    part = str(uuid4())
    names = [f"{number} of {part}" for number in range(5)]
    for name in names:
        send(page, "CREATE_AUTHOR", json.dumps({"name": name}), "0 OK")
    data = json.dumps({"page": 2, "per_page": 2, "filters": {"name": part}})
    assert '"total": 5' in send(page, "GET_AUTHORS", data, "0 OK")
    page.click("#traffic .following")
    for first, second in (names[:2], names[2:4]):
        assert second in page.wait_for_text("#traffic .received", first)
        page.until(lambda: page.script(FOCUSED) == "Next page", "the focus on the button of the new page")
        page.press_enter()
    last = page.wait_for_text("#traffic .received", names[4])
    assert '"has_more": false' in last
    assert page.script("return document.querySelectorAll('#traffic .following').length") == 3, "none at the last page"


def test_token_is_renewed_on_the_open_connection(page: Browser) -> None:
    sign_in(page, "alice")
    began = time.monotonic()
    page.wait_for_text("#traffic", "token renewed")
    page.until(lambda: time.monotonic() > began + TOKEN_LIFESPAN + 3, "the first token is no longer good")
    send(page, "GET_AUTHORS", "{}", "0 OK")
    assert "CLOSING" not in page.text("#traffic"), "the connection is the first one"


def test_reload_keeps_the_sign_in_and_sign_out_ends_it(page: Browser, application: Launched) -> None:
    sign_in(page, "alice")
    assert page.script("return JSON.stringify([{...localStorage}, {...sessionStorage}])").count("eyJ") == 0, "no token"
    page.open(address_of(application))
    page.wait_for_text("#state", "Connected")
    page.click("#sign-out")
    page.find("#sign-in")
    page.wait_for_text("#state", "Not connected")
    page.click("#sign-in")
    page.find("#kc-login")
    page.open(address_of(application))


def test_early_warnings_do_not_renew_young_tokens(
    services: Services, realm: RealmProcess, chromium: Browser, tmp_path: Path
) -> None:
    """The server warns 30 s before the expiry; these tokens live for 8."""
    settings = {"KEYCLOAK_BASE_URL": realm.base_url, "DRAIN_SPREAD": "0"}
    with (
        serving(services.environment(), tmp_path / "server", SPECIMEN, **settings) as served,
        chromium.visit(address_of(served)) as page,
    ):
        sign_in(page, "alice")
        page.wait_for_text("#traffic", "token renewed")
        assert page.text("#traffic").count("token renewed") == 1


def test_refused_answer_is_shown(page: Browser, application: Launched) -> None:
    page.open(f"http://127.0.0.1:{application.port}/?code=stolen&state=unknown")
    page.wait_for_text("#notice", "another sign-in")
    assert page.call("GET", "/url") == address_of(application)


def test_server_restart_is_survived(services: Services, realm: RealmProcess, chromium: Browser, tmp_path: Path) -> None:
    settings = {
        "KEYCLOAK_BASE_URL": realm.base_url,
        "DRAIN_SPREAD": "0",
        "WS_TOKEN_WARNING": "1",
        "PORT": str(free_port()),
    }
    with ExitStack() as stack:
        with serving(services.environment(), tmp_path / "first", SPECIMEN, **settings) as first:
            page = stack.enter_context(chromium.visit(address_of(first)))
            sign_in(page, "alice")
            first.process.send_signal(signal.SIGTERM)
            first.process.wait()
        page.wait_for_text("#traffic", "service_restart")
        page.wait_for_text("#state", "again in")
        with serving(services.environment(), tmp_path / "second", SPECIMEN, **settings):
            page.wait_for_text("#state", "Connected")
            send(page, "GET_AUTHORS", "{}", "0 OK")


def test_authorize_button_of_the_api_page_signs_in(page: Browser, application: Launched) -> None:
    page.open(f"http://127.0.0.1:{application.port}/schema")
    page.click(".auth-wrapper .authorize")
    main, before = page.call("GET", "/window"), {*page.windows()}
    page.click(".dialog-ux .auth-btn-wrapper .authorize")
    (window,) = page.until(lambda: {*page.windows()} - before, "the window of the sign-in")
    page.switch(window)
    fill_in_form(page, "alice")
    page.until(lambda: {*page.windows()} == before, "the window of the sign-in closes itself")
    page.switch(main)
    page.wait_for_text(".dialog-ux", "Authorized")
    page.click(".dialog-ux .btn-done")
    page.click(".opblock-get .opblock-summary-control")
    page.click(".opblock.is-open .execute")
    page.wait_for_text("tr.response .response-col_status", "200")
