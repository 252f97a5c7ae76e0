"""RFC 6455 at the second door: Autobahn's cases, and what they leave out."""

from typing import Any

import pytest
from kosoku import run_fuzzingclient

from tests.framework.sockets.echo import (
    BINARY,
    CLOSE,
    CONTINUATION,
    MAX_BYTES,
    PING,
    PONG,
    TEXT,
    frame,
    handshake,
    listening,
    raw,
)

SLOW, COMPRESSED = ["9.*"], ["12.*", "13.*"]
TWO_CLOSES = "7.1.2"
"""Of two close frames that come at once picows reads the second before we hear of the first: 1002, and not 1000."""


async def test_the_cases_of_autobahn() -> None:
    async with listening(max_message_bytes=2**20) as port:
        results = await run_fuzzingclient(
            f"ws://127.0.0.1:{port}/web", exclude_cases=[*SLOW, *COMPRESSED, TWO_CLOSES], concurrency=8
        )
    assert len(results) > 200


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        ([frame(TEXT, b"a", is_masked=False)], 1002),
        ([frame(TEXT, b"a", reserved=4)], 1002),
        ([frame(PING, b"a", reserved=1)], 1002),
        ([frame(3)], 1002),
        ([frame(PING, fin=False)], 1002),
        ([frame(PING, b"x" * 126)], 1002),
        ([frame(CONTINUATION, b"a")], 1002),
        ([frame(TEXT, b"a", fin=False), frame(TEXT, b"b")], 1002),
        ([frame(CLOSE, (1005).to_bytes(2))], 1002),
        ([frame(CLOSE, b"\x03")], 1002),
        ([frame(CLOSE, (1000).to_bytes(2) + b"\xff")], 1007),
        ([frame(TEXT, b"\xff")], 1007),
        ([frame(TEXT, b"\xc3", fin=False), frame(CONTINUATION, b"x")], 1007),
        ([frame(TEXT, b"x" * (MAX_BYTES + 1))], 1009),
        ([frame(TEXT, b"x" * MAX_BYTES, fin=False), frame(CONTINUATION, b"x")], 1009),
    ],
    ids=[
        "unmasked", "reserved bit", "reserved bit of a ping", "reserved kind", "ping in parts", "long ping",
        "nothing to continue", "message in a message", "code that is never sent", "half a code", "reason is no text",
        "no text", "no text in parts", "frame too big", "message too big",
    ],
)  # fmt: skip
async def test_what_is_refused(frames: list[bytes], code: int) -> None:
    async with listening() as port, raw(port) as client:
        client.send(*frames)
        assert await client.closed() == code


async def test_a_frame_that_is_too_big_is_refused_by_its_head() -> None:
    """All that has come of it are 14 bytes."""
    async with listening() as port, raw(port) as client:
        client.send(frame(TEXT, b"x" * (MAX_BYTES + 1))[:14])
        assert await client.closed() == 1009


@pytest.mark.parametrize(
    "wrong", [frame(TEXT, is_masked=False), frame(TEXT, b"\xff"), frame(TEXT, b"a", reserved=4)],
    ids=["found by picows", "no text", "reserved bit"],
)  # fmt: skip
async def test_nothing_follows_a_close_frame(wrong: bytes) -> None:
    """The frames before the wrong one have come in the same read, and are answered as they come."""

    async def app(_scope: Any, receive: Any, send: Any) -> None:
        def take(text: str | bytes) -> None:
            send({"type": "websocket.send", "text": text})

        await receive()
        await send({"type": "websocket.accept", "subprotocol": None})
        receive.__self__.deliver_to(take)
        await receive()

    async with listening(app) as port, raw(port) as client:
        # A first frame for itself, which finds the application waiting.
        client.send(frame(TEXT, b"a"))
        assert await client.receive() == (TEXT, b"a")
        client.send(frame(TEXT, b"b"), frame(TEXT, b"c"), frame(PING, b"?"), wrong)
        await client.closed()


async def test_a_message_in_parts_with_a_ping_between_them() -> None:
    async with listening() as port, raw(port) as client:
        client.send(frame(TEXT, b"\xc3", fin=False), frame(PING, b"?"), frame(CONTINUATION, b"\xa9"))
        assert await client.receive() == (PONG, b"?")
        assert await client.receive() == (TEXT, b"\xc3\xa9")


async def test_frames_that_come_with_the_handshake() -> None:
    async with listening() as port, raw(port, handshake() + frame(BINARY, b"early")) as client:
        assert await client.receive() == (BINARY, b"early")


@pytest.mark.parametrize("code", [1000, 1001, 3000, 4999])
async def test_the_clients_close_is_answered_with_its_code(code: int) -> None:
    async with listening() as port, raw(port) as client:
        client.send(frame(CLOSE, code.to_bytes(2) + b"bye"))
        assert await client.closed() == code


async def test_a_close_without_a_code() -> None:
    async with listening() as port, raw(port) as client:
        client.send(frame(CLOSE))
        assert await client.closed() == 1000
