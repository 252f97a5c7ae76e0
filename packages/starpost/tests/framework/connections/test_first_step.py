"""The first step of a packet, in the place of its task."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

import pytest

from starpost.connections.first_step import begin


class Waiting:
    """A task that waits, and goes on with what has begun in its place."""

    def __init__(self) -> None:
        self.woken = asyncio.Event()
        self.rest: Any = None
        self.task = asyncio.create_task(self._run())

    async def _run(self) -> Any:
        try:
            await self.woken.wait()
        except asyncio.CancelledError:
            if self.rest is None:
                raise
            # As a connection does it.
            self.task.uncancel()
            self.task.cancel()
        return None if self.rest is None else await self.rest

    async def begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Run the first step from a callback of the loop, where no task runs."""
        await asyncio.sleep(0)
        done = asyncio.get_running_loop().create_future()

        def first() -> None:
            self.rest = begin(work, self.task)
            self.woken.set()
            done.set_result(None)

        asyncio.get_running_loop().call_soon(first)
        await done


async def test_what_never_waits_is_done_at_once() -> None:
    waiting = Waiting()
    seen: list[Any] = []

    async def work() -> None:
        seen.append(asyncio.current_task())
        async with asyncio.timeout(10):  # noqa: ASYNC100 - it asks for the current task
            seen.append("in time")

    await waiting.begin(work())
    assert waiting.rest is None
    assert seen == [waiting.task, "in time"]
    await waiting.task


async def test_what_waits_is_gone_on_with_by_its_task() -> None:
    waiting = Waiting()
    gate = asyncio.get_running_loop().create_future()
    seen: list[Any] = []

    async def work() -> None:
        seen.append(asyncio.current_task())
        seen.append(await gate)
        await asyncio.sleep(0)
        seen.append(asyncio.current_task())

    await waiting.begin(work())
    assert waiting.rest is not None
    gate.set_result("opened")
    await waiting.task
    assert seen == [waiting.task, "opened", waiting.task]


async def test_a_timeout_of_the_first_step_holds_after_it() -> None:
    waiting = Waiting()
    seen: list[str] = []

    async def work() -> None:
        try:
            async with asyncio.timeout(0.01):
                await asyncio.Event().wait()
        except TimeoutError:
            seen.append("over")

    await waiting.begin(work())
    await waiting.task
    assert seen == ["over"]


async def test_an_error_of_the_first_step_is_the_tasks() -> None:
    waiting = Waiting()

    async def work() -> None:
        raise LookupError("first")

    await waiting.begin(work())
    with pytest.raises(LookupError, match="first"):
        await waiting.task


@pytest.mark.parametrize("has_gone_on", [False, True], ids=["before the task goes on", "after"])
async def test_a_cancellation_reaches_what_is_waited_for(has_gone_on: bool) -> None:
    waiting = Waiting()
    seen: list[str] = []

    async def inner() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            seen.append("inner")
            raise

    child = asyncio.create_task(inner())

    async def work() -> None:
        try:
            await child
        except asyncio.CancelledError:
            seen.append("outer")
            raise

    await asyncio.sleep(0)
    await waiting.begin(work())
    for _ in range(3 if has_gone_on else 0):
        await asyncio.sleep(0)
    waiting.task.cancel()
    with suppress(asyncio.CancelledError):
        await waiting.task
    assert waiting.task.cancelled()
    assert seen == ["inner", "outer"]


async def test_a_cancellation_in_the_first_step_comes_at_its_first_wait() -> None:
    waiting = Waiting()
    seen: list[str] = []

    async def work() -> None:
        waiting.task.cancel()
        seen.append("goes on")
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            seen.append("cancelled")

    await waiting.begin(work())
    await waiting.task
    assert seen == ["goes on", "cancelled"]
