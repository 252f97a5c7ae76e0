"""A front of PostgreSQL that keeps a query back until cancellations have gone by."""

import asyncio
import contextlib

from tests.framework.db.front import Front, both_ways, pipe

# https://www.postgresql.org/docs/current/protocol-message-formats.html: length 16, then the code of CancelRequest.
_CANCEL_REQUEST = bytes([0, 0, 0, 16, 0x04, 0xD2, 0x16, 0x2E])


class HeldFront(Front):
    """Passes everything on; what follows the Parse of a marked query waits until a cancellation was delivered.

    PostgreSQL has prepared the query then, and waits for the message that executes it: it ignores the cancellation.

    Args:
        host: PostgreSQL's.
        port: PostgreSQL's.
        mark: Text of the queries that are kept back.
        is_deaf: Deliver no cancellation; the first that comes only lets the query through.
    """

    def __init__(self, host: str, port: int, mark: str, *, is_deaf: bool = False) -> None:
        super().__init__(host, port)
        self._mark = mark.encode()
        self._is_deaf = is_deaf
        self._released = asyncio.Event()
        self.is_held = asyncio.Event()
        self.cancellations = 0

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        to_reader, to_writer = await asyncio.open_connection(*self._target)
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                first = await reader.readexactly(8)
                if first == _CANCEL_REQUEST:
                    await self._cancel(first + await reader.readexactly(8), to_reader, to_writer)
                    return
                to_writer.write(first + await reader.readexactly(int.from_bytes(first[:4]) - 8))
                await both_ways(self._requests(reader, to_writer), pipe(to_reader, writer))
        finally:
            to_writer.close()

    async def _cancel(self, request: bytes, to_reader: asyncio.StreamReader, to_writer: asyncio.StreamWriter) -> None:
        self.cancellations += 1
        if not self._is_deaf:
            to_writer.write(request)
            # PostgreSQL closes when it has sent its signal.
            await to_reader.read()
        self._released.set()

    async def _requests(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        is_marked = False
        while True:
            head = await reader.readexactly(5)
            body = await reader.readexactly(int.from_bytes(head[1:]) - 4)
            if head[:1] == b"P":
                is_marked = self._mark in body
            elif head[:1] == b"B" and is_marked:
                self.is_held.set()
                await self._released.wait()
            writer.write(head + body)
            await writer.drain()
