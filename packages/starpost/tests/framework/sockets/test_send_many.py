"""Several frames in one write, read by a client of another library."""

import asyncio
from typing import Any

import pytest
from websockets.asyncio.client import connect

from starpost.connections.transport import Transport
from starpost.testing.packet_client import PATIENCE
from tests.framework.sockets.echo import listening

SIZES = (0, 1, 125, 126, 65_535, 65_536, 200_000)


@pytest.mark.parametrize("character", ["x", "é", b"x"], ids=["text", "text beyond ASCII", "binary"])
async def test_frames_of_all_sizes_arrive_in_order(character: str | bytes) -> None:
    run: tuple[Any, ...] = tuple(character * size for size in SIZES)

    async def serve(_: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept", "subprotocol": None})
        send_many = Transport(receive, send).send_many
        assert send_many is not None
        key = "bytes" if isinstance(character, bytes) else "text"
        await send({"type": "websocket.send", key: run[1]})
        if (untaken := send_many(run)) is not None:
            await untaken
        await send({"type": "websocket.send", key: run[1]})
        assert (await receive())["type"] == "websocket.disconnect"
        # As after any other frame: what comes too late is nobody's fault.
        assert send_many(run) is None

    async with listening(serve) as port, connect(f"ws://127.0.0.1:{port}/web", max_size=None) as socket:
        async with asyncio.timeout(PATIENCE):
            got = [await socket.recv() for _ in range(len(SIZES) + 2)]
        assert got == [run[1], *run, run[1]]


async def test_it_is_done_when_the_kernel_has_all() -> None:
    left: list[asyncio.Future[None] | None] = []
    began = asyncio.Event()

    async def serve(_: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept", "subprotocol": None})
        send_many: Any = Transport(receive, send).send_many
        while len(left) < 200 and (not left or left[-1] is None):
            left.append(send_many(("x" * 50_000, "x" * 50_000)))
        began.set()
        if left[-1] is not None:
            await left[-1]
        await receive()

    async with listening(serve) as port, connect(f"ws://127.0.0.1:{port}/web", max_queue=1) as socket:
        socket.transport.pause_reading()
        async with asyncio.timeout(PATIENCE):
            await began.wait()
            assert left[-1] is not None
            assert not left[-1].done()
            socket.transport.resume_reading()
            for _ in range(2 * len(left)):
                await socket.recv()
            await asyncio.wait([left[-1]])
