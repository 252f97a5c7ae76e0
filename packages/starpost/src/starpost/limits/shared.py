"""Budget of a user over all workers, kept in Redis in the background. No packet waits for Redis.

Each worker has a *share*, a bucket like any other. It begins with the limit divided by the number of known workers. In
the background the worker reports the users who spend, many per call. Redis keeps one bucket for all workers, and
answers with its level and with the number of workers on which the user is active; the worker sets the share to its part
of that. So a single worker gives the user the whole limit, and several together give no more than it.

While Redis is away, every worker uses the limit divided by the number of workers. All workers together then never give
more than the limit, and less where the user's packets are spread unevenly.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from time import monotonic
from typing import Final

import structlog
from redis.asyncio import RedisCluster

from starpost.limits.bucket import BURST_SECONDS, Bucket
from starpost.redis import REDIS_FAULTS, RedisClients, log_fault
from starpost.redis.tasks import end_task

INTERVAL: Final = 0.25
"""Seconds between two reports. For this time, a user may overspend on workers that do not know of each other yet. Redis
counts it, and the user has to wait for it afterwards."""

REST: Final = 10
"""Ratio of the pause after a report to its duration. With very many active users, above all on a cluster, where each
user is a call, reports come less often."""

LONGEST_REST: Final = 1.0
"""Longest pause, in seconds. Well below ``ACTIVE_FOR``, after which Redis forgets that a user is active on a worker."""

ANSWER_TIMEOUT: Final = 1.0
"""Time limit, in seconds, for a report. After it, the worker divides the limit by the number of workers."""

ROLL_CALL: Final = 5.0
"""Seconds between two counts of the workers. A worker that misses three of them is no longer counted."""

USERS_PER_CALL: Final = 50
"""Users in one call of the script. On a cluster, where each user's key has a slot of its own, it is 1."""

CALLS_AT_ONCE: Final = 20

ACTIVE_FOR: Final = 2.0
"""Seconds after its last report of a user for which a worker shares the user's budget."""

MOST_BEHIND: Final = 2 * BURST_SECONDS
"""Most that Redis records as overspent, in seconds of the rate. It forgets the rest."""

_REPORT: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000
local worker, interval, most, active_for = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local answers = {}
for k, key in ipairs(KEYS) do
  local held = redis.call('HGETALL', key)
  local full_at, workers = now, 1
  for i = 1, #held, 2 do
    local name, at = held[i], tonumber(held[i + 1])
    if name == 'full_at' then
      full_at = math.max(now, at)
    elseif name ~= worker then
      if at > now - active_for then workers = workers + 1 else redis.call('HDEL', key, name) end
    end
  end
  full_at = math.min(full_at + tonumber(ARGV[4 + k]) * interval, now + most)
  redis.call('HSET', key, 'full_at', full_at, worker, now)
  redis.call('PEXPIRE', key, math.ceil(full_at - now + active_for))
  answers[#answers + 1] = math.ceil(full_at - now)
  answers[#answers + 1] = workers
end
return answers
"""
"""KEYS: the bucket of each user. ARGV: this worker; ms in which a token comes back; ms that a bucket may be behind at
most; ms after which a worker that does not report a user no longer shares its budget; and the tokens that each user has
spent. The answer has two numbers per user: ms until the bucket is full, and workers on which the user is active."""

_COUNT: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
redis.call('ZADD', KEYS[1], now + tonumber(ARGV[2]), ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return redis.call('ZCARD', KEYS[1])
"""

log = structlog.get_logger(__name__)


class Share(Bucket):
    """Share of this worker in one user's budget. ``SharedLimit`` sets its ``interval`` and level in the background."""

    __slots__ = ("_limit", "is_due", "spent", "user_id")

    def __init__(self, user_id: str, limit: "SharedLimit") -> None:
        super().__init__(0)
        self.interval = limit.own_interval
        self.user_id = user_id
        self.spent = 0.0
        """Tokens that have not been reported yet."""
        self.is_due = False
        self._limit = limit

    def take(self, now: float, cost: float = 1.0) -> float:
        """Take tokens, and ask for a report once they matter."""
        wait = super().take(now, cost)
        if not wait:
            self.spent += cost
        if not self.is_due and (wait or self.spent >= self._limit.report_from):
            self.is_due = True
            self._limit.report(self)
        return wait


class SharedLimit:
    """Shares of this worker, balanced with those of the other workers.

    Args:
        clients: Clients of Redis.
        rate: ``USER_RATE_LIMIT_SHARED``, above 0.
        worker: Unique name of this worker.
        workers: Least number of workers: those of this node.
        on_failure: Called when a report fails, and the worker divides the limit by the number of workers.
    """

    def __init__(
        self, clients: RedisClients, rate: int, *, worker: str, workers: int, on_failure: Callable[[], None]
    ) -> None:
        self.rate = rate
        self._keys = clients.keys
        self._worker = worker
        self._workers_here = workers
        self._on_failure = on_failure
        self._report_script = clients.script(_REPORT, database="auth")
        self._count_script = clients.script(_COUNT, database="auth")
        self._redis = clients.auth
        self._users_per_call = 1 if isinstance(clients.auth, RedisCluster) else USERS_PER_CALL
        self._due: list[Share] = []
        self._corrected: list[Share] = []
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._is_away = False
        self.workers = 0
        """Workers of all nodes, as far as this worker knows."""
        self.own_interval = 0.0
        """Seconds in which a share of the limit divided by the number of workers gets a token back."""
        self.report_from = 0.0
        """Spent tokens from which on a user is reported: an eighth of such a share's burst. Less adds up until then."""
        self._set_workers(workers)

    def share_of(self, user_id: str) -> Share:
        """Return a new share. Make one for each user."""
        return Share(user_id, self)

    def report(self, share: Share) -> None:
        """Report a share with the next call."""
        self._due.append(share)
        self._wake.set()

    async def start(self) -> None:
        """Start to report."""
        self._task = asyncio.create_task(self._keep(), name="shared-limit")

    async def stop(self) -> None:
        """Stop, and take this worker out of the count if Redis answers within ``ANSWER_TIMEOUT``."""
        await end_task(self._task)
        with suppress(*REDIS_FAULTS, TimeoutError):
            async with asyncio.timeout(ANSWER_TIMEOUT):
                await self._redis.zrem(self._keys.rate_workers(), self._worker)

    async def _keep(self) -> None:
        count_at = 0.0
        while True:
            began = monotonic()
            try:
                if began >= count_at:
                    count_at = began + ROLL_CALL
                    await self._count()
                await self._tell()
                self._is_away = False
            except Exception as error:  # noqa: BLE001 - the next report must come; _go_by_number logs it
                self._go_by_number(error)
            rest = INTERVAL if self._is_away else max(INTERVAL, REST * (monotonic() - began))
            await asyncio.sleep(min(rest, LONGEST_REST))
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, count_at - monotonic())):
                    await self._wake.wait()
            self._wake.clear()

    async def _count(self) -> None:
        async with asyncio.timeout(ANSWER_TIMEOUT):
            count = await self._count_script(
                keys=[self._keys.rate_workers()], args=[self._worker, int(3 * ROLL_CALL * 1000)]
            )
        self._set_workers(max(self._workers_here, int(count)))

    def _set_workers(self, workers: int) -> None:
        self.workers = workers
        self.own_interval = self._interval(workers)
        self.report_from = BURST_SECONDS / self.own_interval / 8

    def _interval(self, workers: int) -> float:
        """Return the seconds in which one of so many workers gets a token back: a burst at most, or it never would."""
        return min(workers / self.rate, BURST_SECONDS)

    async def _tell(self) -> None:
        due, self._due = self._due, []
        # A share without a report this time uses the divided limit again: no answer would correct it when the user
        # begins to spend elsewhere.
        for share in self._corrected:
            if not share.is_due:
                share.interval = self.own_interval
        self._corrected = due
        for start in range(0, len(due), self._users_per_call * CALLS_AT_ONCE):
            await self._tell_some(due[start : start + self._users_per_call * CALLS_AT_ONCE])

    async def _tell_some(self, shares: Sequence[Share]) -> None:
        spent = [share.spent for share in shares]
        groups = [slice(at, at + self._users_per_call) for at in range(0, len(shares), self._users_per_call)]
        async with asyncio.timeout(ANSWER_TIMEOUT):
            outcomes = await asyncio.gather(
                *(self._call(shares[group], spent[group]) for group in groups), return_exceptions=True
            )
        failure: BaseException | None = None
        for group, outcome in zip(groups, outcomes, strict=True):
            if isinstance(outcome, BaseException):
                failure = outcome
            else:
                self._correct(shares[group], spent[group], outcome)
        if failure is not None:
            raise failure

    async def _call(self, shares: Sequence[Share], spent: Sequence[float]) -> Sequence[int]:
        answer: Sequence[int] = await self._report_script(
            keys=[self._keys.rate_of_user(share.user_id) for share in shares],
            args=[self._worker, 1000 / self.rate, MOST_BEHIND * 1000, ACTIVE_FOR * 1000, *spent],
        )
        return answer

    def _correct(self, shares: Sequence[Share], spent: Sequence[float], answer: Sequence[int]) -> None:
        now = monotonic()
        for share, told, behind, workers in zip(shares, spent, answer[::2], answer[1::2], strict=True):
            share.is_due = False
            share.spent -= told
            share.interval = self._interval(workers)
            # Plus the tokens that were spent while the call was under way.
            share.full_at = now + behind / 1000 + share.spent * share.interval

    def _go_by_number(self, error: Exception) -> None:
        """Give every share the limit divided by the number of workers."""
        self._on_failure()
        if not self._is_away:
            self._is_away = True
            log_fault(log, "shared_limit_local", error, workers=self.workers)
        for share in self._corrected:
            if share.is_due:
                share.is_due = False
                # Reported once Redis is back. More than a burst would charge the user for what the share allowed.
                share.spent = min(share.spent, BURST_SECONDS / self.own_interval)
            share.interval = self.own_interval
