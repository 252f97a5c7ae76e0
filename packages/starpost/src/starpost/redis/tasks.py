"""Ending tasks that talk to Redis."""

import asyncio
from typing import Any, Final

AGAIN: Final = 0.5
"""Seconds until a task that goes on is cancelled again."""


async def end_task(task: "asyncio.Task[Any] | None") -> None:
    """Cancel a task until it has ended.

    Once is not enough: a cancellation that comes while redis-py opens or drops a connection may be lost in there
    (seen with 8.1), and a task that goes round in a loop would then never end.

    Args:
        task: To be ended; ``None``: it never began.
    """
    while task is not None and not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=AGAIN)
