"""Handshakes: each client connects, has one packet answered, and leaves."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from typing import Final

from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from bench.loads.window import LoadError, Throughput
from bench.packets import Frames
from bench.server import Server

AT_ONCE: Final = 50
"""Clients that are on their way at once."""

WARM_UP_SHARE: Final = 10
"""One of so many handshakes comes before the count begins."""

ANSWER_TIMEOUT: Final = 60.0


class _Guest(WSListener):
    """One client: its answer says that it was let in.

    Args:
        frame: What it sends.
        good: In the answer; empty: any answer is good.
    """

    def __init__(self, frame: bytes, good: bytes) -> None:
        self._frame = frame
        self._good = good
        self.answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Send the packet."""
        transport.send(WSMsgType.TEXT, self._frame)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Judge the answer, and leave."""
        if not self.answered.done():
            payload = frame.get_payload_as_bytes()
            if frame.msg_type is WSMsgType.TEXT and self._good in payload:
                self.answered.set_result(None)
            else:
                self.answered.set_exception(LoadError(f"answered {payload[:500]!r}"))
        transport.disconnect()

    def on_ws_disconnected(self, transport: WSTransport) -> None:  # noqa: ARG002 - picows gives it
        """A server that leaves first has refused."""
        if not self.answered.done():
            self.answered.set_exception(LoadError("disconnected"))


async def storm(server: Server, tokens: Sequence[str], frames: Frames, *, is_echo: bool) -> Throughput:
    """Let one client in with each of these tokens, ``AT_ONCE`` at a time.

    Args:
        server: What is measured.
        tokens: In this order.
        frames: The first of them is what each client sends.
        is_echo: The other side repeats what it gets, so that no answer can be wrong.

    Raises:
        LoadError: A client was not let in.
    """
    frame, good = next(frames.sequence), b"" if is_echo else frames.good
    warm_up = len(tokens) // WARM_UP_SHARE
    await _let_in(server, iter(tokens[:warm_up]), frame, good)
    cpu, began = server.cpu_seconds(), time.perf_counter()
    await _let_in(server, iter(tokens[warm_up:]), frame, good)
    elapsed = time.perf_counter() - began
    return Throughput.of(len(tokens) - warm_up, elapsed, server.cpu_seconds() - cpu)


async def _let_in(server: Server, tokens: Iterator[str], frame: bytes, good: bytes) -> None:
    async def clients() -> None:
        for token in tokens:
            guest = _Guest(frame, good)
            headers = [("Authorization", f"Bearer {token}"), ("Sec-WebSocket-Protocol", "json")]
            await ws_connect(lambda guest=guest: guest, server.socket_url, extra_headers=headers)
            async with asyncio.timeout(ANSWER_TIMEOUT):
                await guest.answered

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(clients())
    except* Exception as errors:
        raise LoadError(f"not let in: {errors.exceptions[0]!r}") from errors
    # The server's side of the closes belongs to what was counted.
    await asyncio.sleep(0.1)
