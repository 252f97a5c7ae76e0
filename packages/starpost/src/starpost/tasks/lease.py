"""Lease in Redis: one worker of a cluster may do some work, for as long as it renews the lease.

The holder counts its time from before its call, so it gives up before Redis gives the lease to another worker. Two
workers hold the same lease only if Redis lost it (a server without persistence, a replica that took over), or if the
holder's process or clock was stopped. Work that must be safe even then passes ``Lease.fence`` to its storage, which
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
"""Fraction of the lease that its holder does not use, since its task needs time to end."""

STOP_SECONDS: Final = 5.0
"""Time, in seconds, for a task to end that has lost its lease. After it, the log reports a task without lease."""

RELEASE_SECONDS: Final = 1.0

# A later holder has a greater number, even if Redis has lost the last one: it is at least the time in microseconds.
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
    """Lease that this worker holds."""

    name: str
    fence: int
    """Fencing token: greater than that of every earlier holder."""
    token: str
    since_last_run: float | None
    """Seconds since the last recorded run, in any worker; ``None`` if there is none."""


class LeaseLostError(Exception):
    """The lease could not be kept."""


class Leases:
    """Leases of one worker.

    Args:
        clients: Clients of Redis.
    """

    def __init__(self, clients: RedisClients) -> None:
        self._keys = clients.keys
        self._take = clients.script(_TAKE)
        self._renew = clients.script(_RENEW)
        self._release = clients.script(_RELEASE)
        self._note = clients.script(_NOTE)

    async def hold(self, name: str, seconds: float, work: Callable[[Lease], Awaitable[None]]) -> None:
        """Wait for the lease, then work under it. Repeat whenever it is lost, until the work returns or raises.

        The work is cancelled when the lease can no longer be kept.

        Args:
            name: Name of the lease.
            seconds: Length of the lease.
            work: Called with each lease that this worker gets.
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
        """Record a run, for the next holder of the lease.

        Args:
            lease: Lease of the run.
            began: Seconds since the start of the run.
            keep: Seconds for which the record is kept.
        """
        key = self._keys.lease(lease.name)
        try:
            await self._note(keys=[key, f"{key}:last"], args=[lease.token, int(began * 1000), max(1, int(keep * 1000))])
        except REDIS_FAULTS as error:
            # The next holder may then run the task too early.
            log.warning("run_not_noted", lease=lease.name, cause=repr(error))

    async def _wait_for(self, name: str, seconds: float) -> tuple[Lease, float]:
        """Wait for the lease, and return it with the time at which its holder has to give it up."""
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
                # Not longer than the lease lasts, so that a dead holder is replaced soon.
                wait = min(wait, max(0.0, left / 1000))
            await asyncio.sleep(wait + uniform(0, seconds / 20))  # noqa: S311 - jitter, no secret

    async def _work(self, lease: Lease, seconds: float, until: float, work: Callable[[Lease], Awaitable[None]]) -> None:
        runner = asyncio.ensure_future(work(lease))
        try:
            await self._keep(lease, seconds, until, runner)
        finally:
            await _end(runner, lease)
            await self._give_back(lease)
        # Raises the exception of the work.
        runner.result()

    async def _keep(self, lease: Lease, seconds: float, until: float, runner: "asyncio.Future[None]") -> None:
        """Renew the lease until the work is done.

        Raises:
            LeaseLostError: The lease could not be kept.
        """
        loop = asyncio.get_running_loop()
        pause = seconds / 3
        while True:
            await asyncio.wait({runner}, timeout=max(0.0, min(pause, until - loop.time())))
            if runner.done():
                return
            asked = loop.time()
            if asked >= until:
                raise LeaseLostError("Redis did not answer in time")
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
                raise LeaseLostError("Redis has lost it, or given it to another worker")
            until = asked + seconds * (1 - SAFETY)
            pause = seconds / 3

    async def _give_back(self, lease: Lease) -> None:
        try:
            async with asyncio.timeout(RELEASE_SECONDS):
                await self._release(keys=[self._keys.lease(lease.name)], args=[lease.token])
        except (TimeoutError, *REDIS_FAULTS) as error:
            log.warning("lease_not_given_back", lease=lease.name, cause=repr(error))


async def _end(runner: "asyncio.Future[None]", lease: Lease) -> None:
    """Cancel the work and wait for its end, so that it never runs twice here."""
    if runner.done():
        return
    runner.cancel()
    await asyncio.wait({runner}, timeout=STOP_SECONDS)
    if not runner.done():
        log.error("task_outlives_lease", lease=lease.name)
        await asyncio.wait({runner})
    if not runner.cancelled() and (error := runner.exception()) is not None:
        log.error("task_failed_at_its_end", lease=lease.name, exc_info=error)
