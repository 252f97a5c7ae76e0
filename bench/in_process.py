"""The application without a server, for the profile: ASGI 3.0 messages for packets and for requests."""

import time
from collections.abc import Awaitable, Callable, Iterator
from cProfile import Profile
from itertools import repeat
from typing import Any

from litestar import Litestar

from bench.packets import Frames

Send = Callable[[Litestar, str, int, Profile | None], Awaitable[float]]
"""Has the application answer so often, in the name of the token; processor seconds for all of it."""


class RefusedError(Exception):
    """The answers were not what is to be profiled."""


def packets(frames: Frames) -> Send:
    """The first of the text frames over one socket, again and again."""
    text = next(frames.sequence).decode()

    async def send_all(app: Litestar, token: str, count: int, profiler: Profile | None) -> float:
        spent = 0.0
        last: dict[str, Any] = {}

        def messages() -> Iterator[dict[str, Any]]:
            nonlocal spent
            yield {"type": "websocket.connect"}
            began = _start(profiler)
            yield from repeat({"type": "websocket.receive", "text": text}, count)
            spent = _stop(profiler, began)
            while True:
                yield {"type": "websocket.disconnect", "code": 1000}

        sequence = messages()

        async def receive() -> dict[str, Any]:
            return next(sequence)

        async def send(message: dict[str, Any]) -> None:
            nonlocal last
            last = message

        await app(_scope("websocket", "/web", "", token), receive, send)  # type: ignore[arg-type]
        if '"status_code":0' not in last.get("text", ""):
            raise RefusedError(f"the packets were refused: {last}")
        return spent

    return send_all


def requests(path: str) -> Send:
    """GET requests, one after the other."""

    async def send_all(app: Litestar, token: str, count: int, profiler: Profile | None) -> float:
        answers: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            answers.append(message)

        bare, _, query = path.partition("?")
        scopes = [_scope("http", bare, query, token) for _ in range(count)]
        began = _start(profiler)
        for scope in scopes:
            await app(scope, receive, send)  # type: ignore[arg-type]
        spent = _stop(profiler, began)
        statuses = {message["status"] for message in answers if "status" in message}
        if statuses != {200}:
            raise RefusedError(f"the requests were answered with {statuses}")
        return spent

    return send_all


def _start(profiler: Profile | None) -> float:
    began = time.process_time()
    if profiler is not None:
        profiler.enable()
    return began


def _stop(profiler: Profile | None, began: float) -> float:
    if profiler is not None:
        profiler.disable()
    return time.process_time() - began


def _scope(kind: str, path: str, query: str, token: str) -> dict[str, Any]:
    scope: dict[str, Any] = {
        "type": kind,
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": query.encode(),
        "headers": [
            (b"host", b"127.0.0.1"),
            (b"accept", b"application/json"),
            (b"authorization", f"Bearer {token}".encode()),
        ],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
        "state": {},
        "extensions": {},
    }
    if kind == "websocket":
        return scope | {"scheme": "ws", "subprotocols": []}
    return scope | {"scheme": "http", "method": "GET"}
