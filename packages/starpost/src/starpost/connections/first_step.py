"""First step of a packet, where its frame arrives, as if the connection's own task took it.

A task that waits for a frame runs one turn of the loop after the frame has come. Most packets never wait, so that their
first step is their last, and no turn is needed. One that does wait is handed to the task, which goes on from there.

Python's documentation gives the two functions that make a task the current one to those who write tasks of their own:
https://docs.python.org/3/library/asyncio-extending.html#task-lifetime-support
"""

import asyncio
from collections.abc import Awaitable, Coroutine, Generator
from types import coroutine
from typing import Any


def begin(work: Coroutine[Any, Any, None], task: asyncio.Task[Any]) -> Awaitable[None] | None:
    """Run a coroutine to its first wait, in the place of a task that is waiting. No task may be running.

    Args:
        work: The coroutine. It has not begun.
        task: Current task meanwhile; what cancels it cancels the coroutine, at its first wait.

    Returns:
        ``None`` if the coroutine has returned; else its rest, or its error, for the task to await.
    """
    loop = task.get_loop()
    asyncio._enter_task(loop, task)
    try:
        waits_for = work.send(None)
    except StopIteration:
        return None
    except BaseException as error:  # noqa: BLE001 - raised in the task, which all that awaits it looks at
        return failed(error)
    finally:
        asyncio._leave_task(loop, task)
    return _rest(work, waits_for)


async def failed(error: BaseException) -> None:
    """Raise an error where the rest is awaited."""
    raise error


@coroutine
def _rest(work: Coroutine[Any, Any, None], waits_for: Any) -> Generator[Any, Any, None]:
    """Go on with a coroutine that waits for something already."""
    try:
        # As a task sees it, this coroutine waits for it from now on.
        yield waits_for
    except GeneratorExit:
        work.close()
        raise
    except BaseException as error:  # noqa: BLE001 - the coroutine's own affair
        yield from _thrown(work, error)
    else:
        yield from work


def _thrown(work: Coroutine[Any, Any, None], error: BaseException) -> Generator[Any, Any, None]:
    try:
        waits_for = work.throw(error)
    except StopIteration:
        return
    yield from _rest(work, waits_for)
