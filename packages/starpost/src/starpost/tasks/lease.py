"""A lease in Redis: one worker of a cluster may do something, for as long as it says that it is still there.

The holder counts its time from before it asked, so that it gives up before Redis lets another worker in: two hold the
same lease only if Redis lost it (a server without persistence, a replica that took over), or if the holder's process
was stopped or its clock was. Whoever must be safe even then passes ``Lease.fence`` on to what it writes to, which
refuses a smaller number than it has seen ("fencing").
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import uniform
from typing import Final
from uuid import uuid4

import structlog

from starpost.redis import REDIS_FAULTS, RedisClients

SAFETY: Final = 0.1
"""The part of the lease that its holder does not use: its task needs time to end, too."""

STOP_SECONDS: Final = 5.0
"""For a task to end that has lost its lease; after that the log says that it goes on without one."""

RELEASE_SECONDS: Final = 1.0

# A later holder has a greater number, even when Redis has lost the last one: it is not below the time (microseconds).
_TAKE: Final = """
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return {0, redis.call('PTTL', KEYS[1]), -1} end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local fence = tonumber(redis.call('GET', KEYS[2]) or '0')
-- An answer that was lost is asked for again.
if not holder then fence = math.max(fence + 1, time[1] * 1000000 + time[2]) end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
redis.call('SET', KEYS[2], string.format('%.0f', fence))
local last = redis.call('GET', KEYS[3])
return {fence, 0, last and math.max(0, now - last) or -1}
"""

_RENEW: Final = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
"""

_RELEASE: Final = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
"""

_NOTE: Final = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
local time = redis.call('TIME')
redis.call('SET', KEYS[2], time[1] * 1000 + math.floor(time[2] / 1000) - ARGV[2], 'PX', ARGV[3])
return 1
"""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Lease:
    """A lease that is held."""

    name: str
    fence: int
    """Greater than that of every earlier holder."""
    token: str
    since_last_run: float | None
    """Seconds since the last run that was noted, in any worker."""


class LeaseLostError(Exception):
    """The lease could not be kept."""


class Leases:
    """Takes, keeps and gives back leases.

    Args:
        clients: The way to Redis.
    """

    def __init__(self, clients: RedisClients) -> None:
        self._keys = clients.keys
        self._take = clients.script(_TAKE)
        self._renew = clients.script(_RENEW)
        self._release = clients.script(_RELEASE)
        self._note = clients.script(_NOTE)

    async def hold(self, name: str, seconds: float, work: Callable[[Lease], Awaitable[None]]) -> None:
        """Wait for the lease, then work under it; again whenever it is lost, until the work returns or raises.

        The work is cancelled when the lease can no longer be kept.

        Args:
            name: Of the lease.
            seconds: Its length.
            work: Called with each lease that is had.
        """
        while True:
            lease, until = await self._wait_for(name, seconds)
            log.info("lease_taken", lease=name, fence=lease.fence)
            try:
                await self._work(lease, seconds, until, work)
            except LeaseLostError as error:
                log.warning("lease_lost", lease=name, fence=lease.fence, cause=str(error))
            else:
                return

    async def note_run(self, lease: Lease, *, began: float, keep: float) -> None:
        """Remember that a run has been done, for whoever has the lease next.

        Args:
            lease: Under which it ran.
            began: Seconds ago.
            keep: Seconds for which to remember it.
        """
        key = self._keys.lease(lease.name)
        try:
            await self._note(keys=[key, f"{key}:last"], args=[lease.token, int(began * 1000), max(1, int(keep * 1000))])
        except REDIS_FAULTS as error:
            # The next holder may then run it sooner than it had to.
            log.warning("run_not_noted", lease=lease.name, cause=repr(error))

    async def _wait_for(self, name: str, seconds: float) -> tuple[Lease, float]:
        """The lease, and when its holder has to give it up."""
        loop = asyncio.get_running_loop()
        key, token, milliseconds = self._keys.lease(name), uuid4().hex, int(seconds * 1000)
        while True:
            asked = loop.time()
            wait = seconds / 3
            try:
                fence, left, since = await self._take(
                    keys=[key, f"{key}:fence", f"{key}:last"], args=[token, milliseconds]
                )
            except REDIS_FAULTS as error:
                log.warning("lease_not_asked_for", lease=name, cause=repr(error))
            else:
                if fence:
                    lease = Lease(name, fence, token, None if since < 0 else since / 1000)
                    return lease, asked + seconds * (1 - SAFETY)
                # A holder that has died is followed as soon as its time is over.
                wait = min(wait, max(0.0, left / 1000))
            await asyncio.sleep(wait + uniform(0, seconds / 20))  # noqa: S311 - jitter, no secret

    async def _work(self, lease: Lease, seconds: float, until: float, work: Callable[[Lease], Awaitable[None]]) -> None:
        runner = asyncio.ensure_future(work(lease))
        try:
            await self._keep(lease, seconds, until, runner)
        finally:
            await _end(runner, lease)
            await self._give_back(lease)
        # Raises what the work has raised.
        runner.result()

    async def _keep(self, lease: Lease, seconds: float, until: float, runner: "asyncio.Future[None]") -> None:
        """Renew the lease until the work is done.

        Raises:
            LeaseLostError: Before that.
        """
        loop = asyncio.get_running_loop()
        pause = seconds / 3
        while True:
            await asyncio.wait({runner}, timeout=max(0.0, min(pause, until - loop.time())))
            if runner.done():
                return
            asked = loop.time()
            if asked >= until:
                raise LeaseLostError("Redis could not be asked in time")
            try:
                async with asyncio.timeout_at(until):
                    is_kept = await self._renew(
                        keys=[self._keys.lease(lease.name)], args=[lease.token, int(seconds * 1000)]
                    )
            except (TimeoutError, *REDIS_FAULTS) as error:
                log.warning(
                    "lease_not_renewed", lease=lease.name, left=round(until - loop.time(), 1), cause=repr(error)
                )
                pause = seconds / 20
                continue
            if not is_kept:
                raise LeaseLostError("Redis has it no more, or for another")
            until = asked + seconds * (1 - SAFETY)
            pause = seconds / 3

    async def _give_back(self, lease: Lease) -> None:
        try:
            async with asyncio.timeout(RELEASE_SECONDS):
                await self._release(keys=[self._keys.lease(lease.name)], args=[lease.token])
        except (TimeoutError, *REDIS_FAULTS) as error:
            log.warning("lease_not_given_back", lease=lease.name, cause=repr(error))


async def _end(runner: "asyncio.Future[None]", lease: Lease) -> None:
    """Cancel the work, and wait for its end: a second one must not begin here beside it."""
    if runner.done():
        return
    runner.cancel()
    await asyncio.wait({runner}, timeout=STOP_SECONDS)
    if not runner.done():
        log.error("task_outlives_lease", lease=lease.name)
        await asyncio.wait({runner})
    if not runner.cancelled() and (error := runner.exception()) is not None:
        log.error("task_failed_at_its_end", lease=lease.name, exc_info=error)
