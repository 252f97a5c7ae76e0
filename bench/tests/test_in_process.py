"""What the profile's harness hands to an application, and what it takes for an answer."""

import asyncio
import cProfile
import pstats
from typing import Any

import pytest
from litestar import Litestar, Request, get
from litestar.enums import ScopeType
from litestar.exceptions import PermissionDeniedException
from litestar.types import Receive, Scope, Send

from bench.in_process import RefusedError, packets, requests
from bench.packets import constant


async def test_requests_come_with_query_and_token() -> None:
    seen: list[tuple[str, str]] = []

    @get("/x")
    async def x(request: Request[Any, Any, Any]) -> None:
        seen.append((request.headers["authorization"], request.query_params["a"]))

    assert await requests("/x?a=1", clients=3)(Litestar([x]), "t", 7, None) > 0
    assert seen == [("Bearer t", "1")] * 7


async def test_refused_requests_are_not_profiled() -> None:
    @get("/x")
    async def x() -> None:
        raise PermissionDeniedException

    with pytest.raises(RefusedError, match="403"):
        await requests("/x", clients=2)(Litestar([x]), "t", 2, None)


def note(seen: list[str], message: Any) -> None:
    seen.append(message["text"])


def socket(answer: str, seen: list[str]) -> Any:
    """An application that gives the same answer to each frame."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == ScopeType.WEBSOCKET
        assert scope["path"] == "/web"
        assert (b"authorization", b"Bearer t") in scope["headers"]
        assert (await receive())["type"] == "websocket.connect"
        await send({"type": "websocket.accept", "subprotocol": None, "headers": []})
        while (message := await receive())["type"] == "websocket.receive":
            note(seen, message)
            await send({"type": "websocket.send", "text": answer, "bytes": None})
        assert (await receive())["type"] == "websocket.disconnect"

    return app


async def test_as_many_frames_come_as_were_asked_for() -> None:
    seen: list[str] = []
    await packets(constant(1, {}), sockets=2)(socket('{"status_code":0}', seen), "t", 5, None)
    assert len(seen) == 5
    assert set(seen) == {next(constant(1, {}).sequence).decode()}


async def test_a_frame_comes_when_the_one_before_it_is_answered() -> None:
    at_once: list[int] = []

    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        """Application that reads on while it works, as ours does while a handler waits."""
        waiting: asyncio.Queue[Any] = asyncio.Queue()

        async def read() -> None:
            while True:
                message = await receive()
                waiting.put_nowait(message)
                if message["type"] == "websocket.disconnect":
                    return

        reading = asyncio.create_task(read())
        while (message := await waiting.get())["type"] != "websocket.disconnect":
            if message["type"] == "websocket.receive":
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                at_once.append(1 + waiting.qsize())
                await send({"type": "websocket.send", "text": '{"status_code":0}', "bytes": None})
        await reading

    await packets(constant(1, {}), sockets=2)(app, "t", 6, None)  # type: ignore[arg-type]
    assert at_once == [1] * 6


async def test_refused_packets_are_not_profiled() -> None:
    with pytest.raises(RefusedError, match="40"):
        await packets(constant(1, {}), sockets=2)(socket('{"status_code":40}', []), "t", 2, None)


async def test_the_profiler_sees_the_application() -> None:
    profiler = cProfile.Profile()
    await packets(constant(1, {}), sockets=2)(socket('{"status_code":0}', []), "t", 3, profiler)
    stats: dict[tuple[str, int, str], Any] = pstats.Stats(profiler).stats  # type: ignore[attr-defined]
    assert any(file == __file__ and name == "note" for file, _, name in stats)
