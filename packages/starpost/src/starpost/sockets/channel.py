"""One socket's ASGI ``receive`` and ``send``, over picows.

picows reads and writes frames. What RFC 6455 asks for beyond that is here: messages of several frames, bits that no
extension has given a meaning, text that is none, pings, and the close handshake.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Generator
from contextvars import Context
from typing import Any, Final

from picows import WSFrame, WSListener, WSMsgType, WSTransport, WSUpgradeResponse

from starpost.protocol.close_codes import CloseCode
from starpost.sockets.framing import Pong, joined, wire_of
from starpost.sockets.handshake import HANDSHAKE_RESPONSE
from starpost.sockets.turn import Turn

HELD_BYTES: Final = 65_536
"""Size of the frames, each counted with ``FRAME_COST``, behind which nothing more is read until they are taken."""

FRAME_COST: Final = 64
"""Bytes that a frame is counted with beside its own: a client may send many empty ones."""

GATHERED_BYTES: Final = 65_536
"""Size of the frames that are gathered to leave in one write; with more, it does not wait for the end of the turn."""

CLOSE_WAIT: Final = 1.0
"""Seconds in which a client answers our close frame, and takes what was sent before; then the socket is cut."""

LONGEST_REASON: Final = 123
"""Bytes of a close frame's reason (RFC 6455, section 5.5)."""

# Never sent (RFC 6455, section 7.4.1).
NO_CODE: Final = 1005
ABNORMAL: Final = 1006

# To look a member of an enumeration up takes longer than all else that is asked of a frame.
_TEXT: Final = WSMsgType.TEXT
_BINARY: Final = WSMsgType.BINARY
_CONTINUATION: Final = WSMsgType.CONTINUATION
_CLOSE: Final = WSMsgType.CLOSE
_PING: Final = WSMsgType.PING

Message = dict[str, Any]


class _Yielded:
    """Awaitable that suspends once: whoever drives the application's coroutine goes on from there."""

    def __await__(self) -> Generator[None, None, None]:
        yield


class Channel(WSListener):
    """Both ends of a socket that the application holds, and picows's listener for its frames.

    Before the application has answered the handshake, ``send`` notes the answer; picows writes it.

    Args:
        loop: The worker's.
        context: Context of the application's task.
        max_message_bytes: Size of a message of several frames; a frame's own is bounded by picows.
        on_end: Called when the socket is closed.
        turn: The worker's.
    """

    __slots__ = (
        "_arrived", "_context", "_end_timer", "_fragments", "_frames", "_gathered", "_gathered_size", "_held",
        "_is_blocked", "_is_gathering", "_is_lost", "_is_paused", "_is_text", "_loop", "_max_message_bytes",
        "_on_end", "_pong", "_take", "_transport", "_turn", "_untaken", "answer", "is_accepted", "is_closing",
    )  # fmt: skip

    begins_at_call = True
    """``send`` begins at the call, and returns a future that is done when the kernel has the frame."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        context: Context,
        max_message_bytes: int,
        on_end: Callable[["Channel"], None],
        turn: Turn,
    ) -> None:
        self._loop = loop
        self._turn = turn
        self._context = context
        self._max_message_bytes = max_message_bytes
        self._on_end = on_end
        self._transport: WSTransport | None = None
        self._is_lost: Callable[[], bool] = bool
        """The client has reset the connection, or it is being closed: each write would be a warning."""
        self._frames: deque[str | bytes | Message] = deque([{"type": "websocket.connect"}])
        self._held = 0
        self._is_paused = False
        self._arrived: asyncio.Future[None] | None = None
        self._take: Callable[[str | bytes], Any] | None = None
        self._fragments: bytearray | None = None
        self._is_text = False
        self._pong: bytes | None = None
        self._is_blocked = False
        """The kernel has not taken all that was sent."""
        self._is_gathering = False
        self._gathered: list[str | bytes] = []
        self._gathered_size = 0
        self._untaken: list[asyncio.Future[None]] = []
        """Futures of what was sent since: one each, as whoever waits for one may cancel it."""
        self._end_timer: asyncio.TimerHandle | None = None
        self.answer: WSUpgradeResponse | None = None
        """To the handshake; ``None`` while the application has given none."""
        self.is_accepted = False
        self.is_closing = False
        """A close frame was sent, or has come."""

    # ---- the application's ends --------------------------------------------------------------------------------------

    async def receive(self) -> Message:
        """ASGI ``receive``."""
        frames = self._frames
        if not frames:
            self._arrived = self._loop.create_future()
            await self._arrived
        frame = frames.popleft()
        if type(frame) is dict:
            return frame
        self._held -= len(frame) + FRAME_COST
        if self._is_paused and self._held <= HELD_BYTES // 2:
            self._resume_reading()
        return {"type": "websocket.receive", "text" if type(frame) is str else "bytes": frame}

    def deliver_to(self, take: Callable[[str | bytes], Any] | None) -> None:
        """Hand each frame that comes while ``receive`` waits to a function, in the context of the application's task.

        Args:
            take: Returns ``None`` when it is done with the frame; else what ``receive`` is to return: the frame, or a
                message. ``None`` leaves every frame to ``receive``.
        """
        self._take = take

    def send(self, message: Message) -> Awaitable[None]:
        """ASGI ``send``. It has begun when it returns.

        Returns:
            A future that is done when the kernel has all of it, or the client is gone.
        """
        if message["type"] == "websocket.send":
            text = message.get("text")
            return self.send_frame(message["bytes"] if text is None else text) or self._taken_future()
        return self._send_other(message) or self._until_taken()

    def send_frame(self, frame: str | bytes) -> asyncio.Future[None] | None:
        """Send a frame.

        Returns:
            ``None`` if the kernel has it, or the client is gone; else a future that is done when it has.
        """
        transport = self._transport
        if transport is not None and not self._is_lost():
            if self._is_gathering:
                self._add(frame)
            else:
                transport.send(_TEXT if type(frame) is str else _BINARY, frame)
        return self._untaken_future() if self._is_blocked else None

    def send_many(self, frames: tuple[str | bytes, ...]) -> asyncio.Future[None] | None:
        """Send one or more frames, all of one type, in one write.

        Args:
            frames: The frames. Others are likely to get the same ones next.

        Returns:
            See ``send_frame``.
        """
        # As in `_is_over`, without a call for each subscriber. By its types, picows always has a close handshake.
        transport: Any = self._transport
        if transport is not None and transport.close_handshake is None and not self._is_lost():
            if self._is_gathering:
                self._write_gathered()
            transport.underlying_transport.write(wire_of(frames))
        return self._untaken_future() if self._is_blocked else None

    def _until_taken(self) -> asyncio.Future[None]:
        """Return a future that is done when the kernel has all that was sent."""
        return self._untaken_future() if self._is_blocked else self._taken_future()

    def _taken_future(self) -> asyncio.Future[None]:
        taken: asyncio.Future[None] = self._loop.create_future()
        taken.set_result(None)
        return taken

    def _untaken_future(self) -> asyncio.Future[None]:
        untaken: asyncio.Future[None] = self._loop.create_future()
        self._untaken.append(untaken)
        return untaken

    def _add(self, frame: str | bytes) -> None:
        self._gathered.append(frame)
        self._gathered_size += len(frame)
        if self._gathered_size > GATHERED_BYTES:
            # Written in between, as the kernel's answer bounds a client that does not read.
            self._write_gathered()

    def release(self) -> None:
        """Write what was gathered, and gather no more."""
        self._is_gathering = False
        self._write_gathered()

    def _write_gathered(self) -> None:
        frames = self._gathered
        if not frames:
            return
        self._gathered, self._gathered_size = [], 0
        transport = self._transport
        if transport is None or self._is_over(transport):
            return
        if len(frames) == 1 and type(frames[0]) is not Pong:
            transport.send(_TEXT if type(frames[0]) is str else _BINARY, frames[0])
        else:
            transport.underlying_transport.write(joined(frames))

    def _is_over(self, transport: WSTransport) -> bool:
        """Return True if nothing may be written past picows: it has sent a close frame, or the client is gone."""
        # It closes by itself what breaks the protocol, and hands over the frames before that only then.
        closed: Any = transport.close_handshake
        return self._is_lost() or (closed is not None and closed.sent is not None)

    def _send_other(self, message: Message) -> Awaitable[None] | None:
        kind = message["type"]
        if kind == "websocket.close" and self.is_accepted:
            self.close(message.get("code", CloseCode.NORMAL), message.get("reason") or "")
        elif self.answer is not None and kind != f"{HANDSHAKE_RESPONSE}.body":
            raise RuntimeError(f"unexpected message {kind!r}: the handshake was answered")
        elif kind == "websocket.accept":
            self.answer = WSUpgradeResponse.create_101_response(_texts(message.get("headers", ())))
            if subprotocol := message.get("subprotocol"):
                self.answer.headers["Sec-WebSocket-Protocol"] = subprotocol
            self.is_accepted = True
            return _Yielded()
        elif kind == "websocket.close":
            self.answer = WSUpgradeResponse.create_error_response(403)
        elif kind == f"{HANDSHAKE_RESPONSE}.start":
            # picows counts the body itself.
            headers = [(name, value) for name, value in message["headers"] if name.lower() != b"content-length"]
            self.answer = WSUpgradeResponse.create_error_response(message["status"], None, _texts(headers))
        elif kind == f"{HANDSHAKE_RESPONSE}.body" and self.answer is not None:
            self.answer.body = (self.answer.body or b"") + message.get("body", b"")
        else:
            raise RuntimeError(f"unexpected message {kind!r}")
        return None

    def close(self, code: int, reason: str) -> None:
        """Send a close frame, and cut the socket when the client has answered, or has had time to."""
        transport = self._transport
        if transport is None or self.is_closing:
            return
        self.release()
        self._begin_end(code)
        transport.send_close(code, reason.encode()[:LONGEST_REASON])  # type: ignore[arg-type]  # any code

    def abort(self) -> None:
        """Cut the socket."""
        if self._transport is not None:
            self._transport.disconnect(graceful=False)

    # ---- picows's callbacks ------------------------------------------------------------------------------------------

    def on_ws_connected(self, transport: WSTransport) -> None:
        """The handshake's answer is written."""
        self._transport = transport
        self._is_lost = transport.underlying_transport.is_closing
        # A frame counts as taken when the kernel has all of it: `pause_writing` is to tell of the first byte left.
        transport.underlying_transport.set_write_buffer_limits(0)
        # picows keeps both as long as the socket: 3 KiB with a token of 1 KiB.
        transport.request.headers.clear()
        transport.request.path = b""
        transport.response.headers.clear()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """A frame has come."""
        kind = frame.msg_type
        is_last = frame.last_in_buffer
        is_shared = self._turn.is_shared()
        if (is_shared or not is_last) and not self._is_gathering:
            # What is sent in answer leaves in one write, at the end of the turn at the latest.
            self._is_gathering = True
            self._turn.add(self)
        if self.is_closing:
            if kind is _CLOSE:
                self._on_close(transport, frame.get_payload_as_bytes())
        elif frame.rsv1 or frame.rsv2 or frame.rsv3:
            self._fail(CloseCode.PROTOCOL_ERROR, "reserved bit")
        elif kind is _CLOSE:
            self._on_close(transport, frame.get_payload_as_bytes())
        elif kind is _TEXT or kind is _BINARY or kind is _CONTINUATION:
            self._on_data(frame, kind)
        elif kind is _PING:
            self._on_ping(transport, frame.get_payload_as_bytes())
        if is_last and not is_shared and self._is_gathering:
            self.release()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """The socket is closed."""
        if self._end_timer is not None:
            self._end_timer.cancel()
        # picows closes by itself what breaks the protocol, and says so nowhere else.
        closed: Any = transport.close_handshake
        if closed is None or closed.sent is None:
            self._leave(ABNORMAL)
        else:
            code = int(closed.sent.code)
            self._leave(code, _REASONS.get(code, ""), is_refusal=code in _REASONS)
        self.is_closing = True
        self._transport = None
        self._is_lost = bool
        self.resume_writing()
        self._on_end(self)

    def pause_writing(self) -> None:
        """The kernel has no room for what was sent."""
        self._is_blocked = True

    def resume_writing(self) -> None:
        """The kernel has all that was sent."""
        self._is_blocked = False
        for untaken in self._untaken:
            if not untaken.done():
                untaken.set_result(None)
        self._untaken.clear()
        if self._pong is not None and self._transport is not None:
            pong, self._pong = self._pong, None
            self._transport.send_pong(pong)

    # ---- frames ------------------------------------------------------------------------------------------------------

    def _on_data(self, frame: WSFrame, kind: WSMsgType) -> None:
        fragments = self._fragments
        if fragments is None:
            if kind is _CONTINUATION:
                self._fail(CloseCode.PROTOCOL_ERROR, "nothing to continue")
            elif not frame.fin:
                self._is_text = kind is _TEXT
                self._fragments = bytearray(frame.get_payload_as_bytes())
            elif kind is _TEXT:
                try:
                    self._put(frame.get_payload_as_utf8_text())
                except UnicodeDecodeError:
                    self._fail(CloseCode.INVALID_TEXT, "invalid UTF-8")
            else:
                self._put(frame.get_payload_as_bytes())
        elif kind is not _CONTINUATION:
            self._fail(CloseCode.PROTOCOL_ERROR, "the message before is not complete")
        elif len(fragments) + frame.payload_size > self._max_message_bytes:
            self._fail(CloseCode.MESSAGE_TOO_BIG, "message_too_big")
        else:
            fragments += frame.get_payload_as_memoryview()
            if frame.fin:
                self._fragments = None
                self._put_joined(fragments)

    def _put_joined(self, fragments: bytearray) -> None:
        try:
            self._put(fragments.decode() if self._is_text else bytes(fragments))
        except UnicodeDecodeError:
            self._fail(CloseCode.INVALID_TEXT, "invalid UTF-8")

    def _put(self, frame: str | bytes) -> None:
        if self._take is not None and self._arrived is not None and not self._arrived.done():
            left = self._context.run(self._take, frame)
            if left is None:
                return
            if left is not frame:
                self._frames.append(left)
                self._wake()
                return
        self._frames.append(frame)
        self._held += len(frame) + FRAME_COST
        if self._held > HELD_BYTES and not self._is_paused and self._transport is not None:
            # TCP makes the client wait.
            self._is_paused = True
            self._transport.underlying_transport.pause_reading()
        self._wake()

    def _wake(self) -> None:
        arrived, self._arrived = self._arrived, None
        if arrived is not None and not arrived.done():
            arrived.set_result(None)

    def _resume_reading(self) -> None:
        self._is_paused = False
        if self._transport is not None:
            self._transport.underlying_transport.resume_reading()

    def _on_ping(self, transport: WSTransport, payload: bytes) -> None:
        if self._is_blocked:
            # The newest is the one to be answered (RFC 6455, section 5.5.3); all would fill memory.
            self._pong = payload
        elif self._is_gathering:
            # A read may hold thousands: a write for each would hold up everybody else.
            self._add(Pong(payload))
        elif not self._is_lost():
            transport.send_pong(payload)

    # ---- the end -----------------------------------------------------------------------------------------------------

    def _on_close(self, transport: WSTransport, payload: bytes) -> None:
        """Answer the client's close frame, or take its answer to ours; then the socket is not needed."""
        # picows has looked at the reason, and at most codes.
        code = int.from_bytes(payload[:2]) if payload else NO_CODE
        self.release()
        if not self.is_closing:
            answer = CloseCode.NORMAL if not payload else code if _may_be_sent(code) else CloseCode.PROTOCOL_ERROR
            self._begin_end(code, payload[2:].decode())
            transport.send_close(answer)  # type: ignore[arg-type]  # any code
        transport.disconnect()

    def _fail(self, code: int, reason: str) -> None:
        """End a socket whose client does not keep to the protocol."""
        self._frames.clear()
        self._held = 0
        self._leave(code, _REASONS[code], is_refusal=True)
        self.close(code, reason)

    def _begin_end(self, code: int, reason: str = "") -> None:
        """Nothing more is read but a close frame, and the time for that is bounded."""
        self.is_closing = True
        self._fragments = self._pong = None
        if self._is_paused:
            self._resume_reading()
        self._end_timer = self._loop.call_later(CLOSE_WAIT, self.abort)
        self._leave(code, reason)

    def _leave(self, code: int, reason: str = "", *, is_refusal: bool = False) -> None:
        """Tell the application, once; of a refusal also that the client has not left by itself."""
        if not self._frames or type(self._frames[-1]) is not dict or self._frames[-1]["type"] != _DISCONNECT:
            self._frames.append({"type": _DISCONNECT, "code": code, "reason": reason, "is_refusal": is_refusal})
            self._wake()


_DISCONNECT: Final = "websocket.disconnect"

_REASONS: Final[dict[int, str]] = {
    CloseCode.PROTOCOL_ERROR: "protocol_error",
    CloseCode.INVALID_TEXT: "invalid_text",
    CloseCode.MESSAGE_TOO_BIG: "message_too_big",
}
"""Reasons by the code with which a client is refused that does not keep to RFC 6455 or to our limit."""


def _may_be_sent(code: int) -> bool:
    """Return True if a close frame may have this code (RFC 6455, section 7.4; 1004 to 1006 are never sent)."""
    return CloseCode.NORMAL <= code <= 1003 or CloseCode.INVALID_TEXT <= code <= 1014 or 3000 <= code < 5000


def _texts(headers: Any) -> list[tuple[str, str]]:
    return [(name.decode("latin-1").title(), value.decode("latin-1")) for name, value in headers]
