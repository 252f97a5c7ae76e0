"""HTTP requests to servers of this machine, which do not use TLS.

A client of httpx reads the system's certificates when it is made. That takes 20 ms, far longer than the request.
"""

import ssl
from typing import Any, Final

import httpx

PATIENCE: Final = 100.0
"""Seconds after which a server hangs. By itself httpx waits for five, which a busy machine may need."""

NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Context for ``verify=`` without certificates, so that none are read."""


def request(method: str, url: str, **options: Any) -> httpx.Response:
    """Send a request, on a connection of its own."""
    options.setdefault("timeout", PATIENCE)
    return httpx.request(method, url, verify=NO_TLS, **options)


def get(url: str, **options: Any) -> httpx.Response:
    """Send a ``GET``, on a connection of its own."""
    return request("GET", url, **options)


def post(url: str, **options: Any) -> httpx.Response:
    """Send a ``POST``, on a connection of its own."""
    return request("POST", url, **options)


def delete(url: str, **options: Any) -> httpx.Response:
    """Send a ``DELETE``, on a connection of its own."""
    return request("DELETE", url, **options)
