"""A browser as far as signing in needs one: cookies, forms, and redirects that it does not follow by itself."""

from __future__ import annotations

from html.parser import HTMLParser
from http.cookies import SimpleCookie

import httpx

from starpost.testing import plain_http


class _FormParser(HTMLParser):
    """Finds the first form of a page, its hidden fields and the page's text."""

    def __init__(self) -> None:
        super().__init__()
        self.action: str | None = None
        self.fields: dict[str, str] = {}
        self.text: list[str] = []
        self._is_script = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self._is_script = tag in ("script", "style")
        if tag == "form" and self.action is None:
            self.action = attributes.get("action")
        if tag == "input" and attributes.get("type") == "hidden" and attributes.get("name"):
            self.fields[str(attributes["name"])] = attributes.get("value") or ""

    def handle_data(self, data: str) -> None:
        if not self._is_script:
            self.text.append(data)


class Page:
    """What the browser shows."""

    def __init__(self, answer: httpx.Response) -> None:
        self.status = answer.status_code
        self.headers = answer.headers
        self.location = answer.headers.get("location")
        parser = _FormParser()
        parser.feed(answer.text)
        # An action may be relative to the page.
        self.action = None if parser.action is None else str(answer.url.join(parser.action))
        self.fields = parser.fields
        self.text = " ".join(" ".join(parser.text).split())


class Browser:
    """Keeps the cookies of one host.

    As browsers do for the loopback, `Secure` cookies are sent there over plain HTTP too.
    """

    def __init__(self) -> None:
        self.cookies: dict[str, str] = {}

    def get(self, url: str, **query: str) -> Page:
        """Open a page."""
        return self._send("GET", url, params=query)

    def submit(self, page: Page, **fields: str) -> Page:
        """Fill the page's form in and send it."""
        assert page.action is not None, f"no form on this page: {page.text}"
        return self._send("POST", page.action, data={**page.fields, **fields})

    def _send(self, method: str, url: str, **options: dict[str, str]) -> Page:
        headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
        answer = plain_http.request(method, url, headers=headers if self.cookies else None, **options)
        for line in answer.headers.get_list("set-cookie"):
            name, _, value = line.partition(";")[0].partition("=")
            if SimpleCookie(line)[name]["max-age"] == "0":
                self.cookies.pop(name, None)
            else:
                self.cookies[name] = value
        return Page(answer)
