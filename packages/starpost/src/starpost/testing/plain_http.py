"""Requests to servers of this machine, none of which speaks TLS.

A client of httpx reads the system's certificates when it is made, for 20 ms of a core: far longer than what is asked.
"""

import ssl
from typing import Any

import httpx

NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""For ``verify=``: no certificates are read, so nobody could be trusted."""


def request(method: str, url: str, **options: Any) -> httpx.Response:
    """One request, on a connection of its own."""
    return httpx.request(method, url, verify=NO_TLS, **options)


def get(url: str, **options: Any) -> httpx.Response:
    """One ``GET``, on a connection of its own."""
    return request("GET", url, **options)


def post(url: str, **options: Any) -> httpx.Response:
    """One ``POST``, on a connection of its own."""
    return request("POST", url, **options)


def delete(url: str, **options: Any) -> httpx.Response:
    """One ``DELETE``, on a connection of its own."""
    return request("DELETE", url, **options)
