"""A headless Chromium, driven over the WebDriver protocol (W3C) by plain HTTP: no further package is needed."""

import base64
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import httpx

from starpost.testing.plain_http import NO_TLS

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DRIVER = shutil.which("chromedriver")
PATIENCE = 100.0

_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1280,900",
)


class BrowserError(Exception):
    """What the driver says."""


class Browser:
    """One browser with a profile of its own."""

    def __init__(self, http: httpx.Client, session_id: str) -> None:
        self._http = http
        self._session = f"/session/{session_id}"

    def call(self, method: str, path: str, **body: Any) -> Any:
        """One WebDriver command."""
        answer = self._http.request(method, self._session + path, json=body if method == "POST" else None)
        value = answer.json()["value"]
        if answer.is_error:
            raise BrowserError(value["message"])
        return value

    def open(self, url: str) -> None:
        self.call("POST", "/url", url=url)

    def script(self, body: str, *args: Any) -> Any:
        """Run JavaScript in the page; what it returns."""
        return self.call("POST", "/execute/sync", script=body, args=list(args))

    def find(self, css: str) -> str:
        """The element, as soon as it is there and shown."""

        def shown() -> str | None:
            for element in self.call("POST", "/elements", using="css selector", value=css):
                if self.call("GET", f"/element/{element[_ELEMENT]}/displayed"):
                    return str(element[_ELEMENT])
            return None

        return str(self.until(shown, f"{css} is shown"))

    def click(self, css: str) -> None:
        self.call("POST", f"/element/{self.find(css)}/click")

    def type(self, css: str, text: str) -> None:
        """Replace the text of a field."""
        element = self.find(css)
        self.call("POST", f"/element/{element}/clear")
        self.call("POST", f"/element/{element}/value", text=text)

    def press_enter(self) -> None:
        """Press Enter where the focus is."""
        element = self.call("GET", "/element/active")[_ELEMENT]
        self.call("POST", f"/element/{element}/value", text="\ue007")

    def text(self, css: str) -> str:
        return str(self.call("GET", f"/element/{self.find(css)}/text"))

    def wait_for_text(self, css: str, wanted: str) -> str:
        """The element's text, as soon as it has the wanted part."""
        found = ""

        def has_it() -> str | None:
            nonlocal found
            found = str(self.script("return document.querySelector(arguments[0])?.innerText ?? ''", css))
            return found if wanted in found else None

        try:
            return str(self.until(has_it, f"{css} says {wanted!r}"))
        except AssertionError as error:
            raise AssertionError(f"{error}; it says {found!r}; console: {self.complaints()}") from None

    def until(self, condition: Callable[[], Any], what: str) -> Any:
        """Wait for the condition's first true value; elements that vanish meanwhile are looked for again."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            try:
                if value := condition():
                    return value
            except BrowserError as error:
                if "stale element" not in str(error):
                    raise
            time.sleep(0.05)
        raise AssertionError(f"not within {PATIENCE} s: {what}")

    def complaints(self) -> list[str]:
        """What the browser's console has of the page since the last call: violated policies, uncaught errors, …"""
        entries = self.call("POST", "/se/log", type="browser")
        return [entry["message"] for entry in entries if entry["level"] in ("WARNING", "SEVERE")]

    def screenshot(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self.call("GET", "/screenshot")))

    def windows(self) -> list[str]:
        return [str(window) for window in self.call("GET", "/window/handles")]

    def switch(self, window: str) -> None:
        self.call("POST", "/window", handle=window)

    @contextmanager
    def visit(self, url: str) -> Iterator[Self]:
        """Somebody comes who was never here, to a window of their own; nothing of them is left behind."""
        (resting,) = self.windows()
        self.switch(self.call("POST", "/window/new", type="tab")["handle"])
        try:
            self.open(url)
            yield self
        finally:
            for window in {*self.windows()} - {resting}:
                self.switch(window)
                self.call("DELETE", "/window")
            self.switch(resting)
            self._forget()

    def _forget(self) -> None:
        """Cookies, storage and cache of all pages, and what the console has of them."""
        for command, options in (
            ("Network.clearBrowserCookies", {}),
            ("Network.clearBrowserCache", {}),
            ("Storage.clearDataForOrigin", {"origin": "*", "storageTypes": "all"}),
        ):
            self.call("POST", "/goog/cdp/execute", cmd=command, params=options)
        self.complaints()


@contextmanager
def browser(profile: Path) -> Iterator[Browser]:
    """Start the driver and a browser; both end with the context."""
    # Its output is a pipe: the driver says there which port it took.
    driver = subprocess.Popen([str(DRIVER), "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert driver.stdout is not None
        port = next(line.rpartition("port ")[2].strip(" .\n") for line in driver.stdout if "successfully" in line)
        with httpx.Client(
            verify=NO_TLS, base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE, trust_env=False
        ) as http:
            flags = [*_FLAGS, f"--user-data-dir={profile}"]
            capabilities = {
                "goog:chromeOptions": {"binary": CHROMIUM, "args": flags},
                "goog:loggingPrefs": {"browser": "ALL"},
            }
            answer = http.post("/session", json={"capabilities": {"alwaysMatch": capabilities}}).json()["value"]
            if "sessionId" not in answer:
                raise BrowserError(answer["message"])
            session = Browser(http, answer["sessionId"])
            try:
                yield session
            finally:
                session.call("DELETE", "")
    finally:
        driver.terminate()
        driver.wait()
        if driver.stdout is not None:
            driver.stdout.close()
