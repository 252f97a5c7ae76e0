"""Lines of the access log, written together."""

import asyncio
import io
import sys

import pytest

from starpost.observability.gathering import PIECE, TOGETHER, GatheringOutput


class Written(io.StringIO):
    """A standard output that remembers each write."""

    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[str] = []

    def write(self, text: str) -> int:
        self.pieces.append(text)
        return len(text)

    async def until(self, count: int) -> None:
        while len(self.pieces) < count:  # noqa: ASYNC110 - the writer knows nothing of events
            await asyncio.sleep(0.01)

    @classmethod
    def instead_of_stdout(cls, monkeypatch: pytest.MonkeyPatch) -> "Written":
        """In the test itself: between fixture and test, pytest puts in a standard output of its own."""
        written = cls()
        monkeypatch.setattr(sys, "stdout", written)
        return written


async def test_lines_are_written_together_and_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    written = Written.instead_of_stdout(monkeypatch)
    output = GatheringOutput("access", "entry {}".format)
    for number in range(3):
        output.info(f"line {number}")
    assert written.pieces == []
    await written.until(1)
    output.info("later")
    await written.until(2)
    assert written.pieces == ["line 0\nline 1\nline 2\n", "later\n"]


async def test_no_piece_is_longer_than_a_pipe_takes_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    written = Written.instead_of_stdout(monkeypatch)
    output = GatheringOutput("access", "entry {}".format)
    lines = ["x" * 1000 for _ in range(10)]
    for line in lines:
        output.info(line)
    output.flush()
    output.flush()
    assert "".join(written.pieces) == "".join(f"{line}\n" for line in lines)
    assert max(map(len, written.pieces)) <= PIECE
    assert len(written.pieces) == 3


async def test_the_lines_of_entries_are_made_when_they_are_written(monkeypatch: pytest.MonkeyPatch) -> None:
    written = Written.instead_of_stdout(monkeypatch)
    made: list[int] = []

    def line_of(entry: int) -> str:
        made.append(entry)
        return f"entry {entry}"

    output = GatheringOutput("access", line_of)
    output.add(1)
    output.info("line")
    output.add(2)
    assert made == []
    output.flush()
    assert written.pieces == ["entry 1\nline\nentry 2\n"]
    for number in range(TOGETHER):
        output.add(number)
    assert made == [1, 2, *range(TOGETHER)]
    assert len(written.pieces) == 2


def test_an_event_loop_that_ended_early_keeps_nothing_back(monkeypatch: pytest.MonkeyPatch) -> None:
    written = Written.instead_of_stdout(monkeypatch)
    output = GatheringOutput("access", "entry {}".format)

    async def write(line: str) -> None:
        output.info(line)

    asyncio.run(write("first"))
    assert written.pieces == []

    async def write_until_written() -> None:
        while not written.pieces:
            output.info("second")
            await asyncio.sleep(0.02)

    asyncio.run(write_until_written())
    assert written.pieces[0].startswith("first\nsecond\n")
