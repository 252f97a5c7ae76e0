"""The reader of a body, with a server made by hand: what a real one cannot be made to do at a given moment."""

import asyncio
from collections.abc import Iterable
from typing import Any

import pytest

from starpost.http.bodies import BodyClock, BodyCutShortError, BodyReader, BodyTimeoutError

LATE = 0.05


def reader_of(messages: Iterable[dict[str, Any]], limit: float = LATE) -> BodyReader:
    """Of a client that sends these messages, and then nothing."""
    left = [*messages]

    async def receive() -> Any:
        if left:
            return left.pop(0)
        return await asyncio.get_running_loop().create_future()

    return BodyReader(receive, BodyClock(limit))


PART = {"type": "http.request", "body": b"x", "more_body": True}
END = {"type": "http.request", "body": b"", "more_body": False}
GONE = {"type": "http.disconnect"}


async def test_a_late_part() -> None:
    reader = reader_of([PART])
    assert await reader() == PART
    with pytest.raises(BodyTimeoutError):
        await reader()
    task = asyncio.current_task()
    assert task is not None
    assert not task.cancelling(), "the task goes on"


async def test_the_limit_is_for_the_whole_body() -> None:
    """Also when the application reads a part of it too late."""
    reader = reader_of([PART, PART, END])
    await reader()
    await asyncio.sleep(2 * LATE)
    with pytest.raises(BodyTimeoutError):
        await reader()


async def test_after_the_body_there_is_no_limit() -> None:
    """Applications ask further, to hear that the client is gone."""
    reader = reader_of([PART, END])
    await reader()
    await reader()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(4 * LATE):
            await reader()


async def test_a_client_that_goes() -> None:
    reader = reader_of([PART, GONE])
    await reader()
    with pytest.raises(BodyCutShortError):
        await reader()


async def test_who_else_ends_the_request_is_not_contradicted() -> None:
    reader = reader_of([], limit=60.0)
    task = asyncio.ensure_future(reader())
    await asyncio.sleep(0)
    task.cancel()
    reader.interrupt()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_one_timer_for_all() -> None:
    clock = BodyClock(LATE)

    async def never() -> Any:
        return await asyncio.get_running_loop().create_future()

    ends = await asyncio.gather(*(BodyReader(never, clock)() for _ in range(100)), return_exceptions=True)
    assert {type(end) for end in ends} == {BodyTimeoutError}
