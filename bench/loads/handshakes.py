"""Handshakes: each client connects, has one packet answered, and leaves."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from typing import Final

from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from bench.dialects import Exchange
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
        packet: What it asks, and what is in the answer; empty: any answer is good.
        greeting: What it says first.
    """

    def __init__(self, packet: Exchange, greeting: Exchange | None) -> None:
        self._packet = packet
        self._greeting = greeting
        self.answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Send everything at once."""
        if self._greeting is not None:
            transport.send(WSMsgType.TEXT, self._greeting.said)
        transport.send(WSMsgType.TEXT, self._packet.said)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Judge the answer, and leave. The answer to a greeting comes before it, or in the same frame."""
        if not self.answered.done():
            payload = frame.get_payload_as_bytes()
            if frame.msg_type is WSMsgType.TEXT and self._packet.answer in payload:
                self.answered.set_result(None)
            elif self._greeting is not None and self._greeting.answer in payload:
                return
            else:
                self.answered.set_exception(LoadError(f"answered {payload[:500]!r}"))
        transport.disconnect()

    def on_ws_disconnected(self, transport: WSTransport) -> None:  # noqa: ARG002 - picows gives it
        """A server that leaves first has refused."""
        if not self.answered.done():
            self.answered.set_exception(LoadError("disconnected"))


async def storm(server: Server, tokens: Sequence[str], frames: Frames) -> Throughput:
    """Let one client in with each of these tokens, ``AT_ONCE`` at a time.

    Args:
        server: What is measured.
        tokens: In this order.
        frames: The first of them is what each client sends.

    Raises:
        LoadError: A client was not let in.
    """
    dialect = server.subject.dialect
    packet = Exchange(next(frames.sequence), b"" if dialect.is_echo else frames.good)
    warm_up = len(tokens) // WARM_UP_SHARE
    await _let_in(server, iter(tokens[:warm_up]), packet)
    cpu, began = server.cpu_seconds(), time.perf_counter()
    await _let_in(server, iter(tokens[warm_up:]), packet)
    elapsed = time.perf_counter() - began
    return Throughput.of(len(tokens) - warm_up, elapsed, server.cpu_seconds() - cpu)


async def _let_in(server: Server, tokens: Iterator[str], packet: Exchange) -> None:
    dialect = server.subject.dialect

    async def clients() -> None:
        for token in tokens:
            guest = _Guest(packet, None if dialect.greeting is None else dialect.greeting(token))
            headers = dialect.headers(token, "json")
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
