"""Cancellation of tasks that use Redis."""

import asyncio
from typing import Any, Final

AGAIN: Final = 0.5
"""Seconds until a task that still runs is cancelled again."""


async def end_task(task: "asyncio.Task[Any] | None") -> None:
    """Cancel a task until it has ended.

    Once is not enough: redis-py may swallow a cancellation while it opens or drops a connection (seen with 8.1), and a
    task that runs in a loop would then never end.

    Args:
        task: The task; ``None`` does nothing.
    """
    while task is not None and not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=AGAIN)
