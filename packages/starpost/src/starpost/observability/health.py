"""Health checks: liveness and readiness.

*Live* depends on no other service: a failing database is no reason to restart the process. *Ready* asks every part
that the answers need, all at once; a part that fails, or the drain, takes this node out of the balancer.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec
import structlog

from starpost.errors import FieldError, UnavailableError

Check = Callable[[], Awaitable[object]]

TIMEOUT: Final = 2.0
"""Time limit, in seconds, for one check. Probes are often set to wait 3 to 5 s (Kubernetes' default is 1 s)."""

KEPT: Final = 1.0
"""Seconds for which an outcome is reused: anybody may ask, and their requests must not load the database."""

log = structlog.get_logger(__name__)


class NotReadyError(UnavailableError):
    """One or more parts do not answer; the message names them."""

    default_msg = "Not ready"


class DrainingError(UnavailableError):
    """The server is stopping, and accepts no new client."""

    code = "draining"
    default_msg = "The server is stopping"


class Ready(msgspec.Struct, frozen=True):
    """Answer of a ready worker: each part's name with ``ok``."""

    status: str
    parts: dict[str, str]


class Readiness:
    """Readiness of one worker: the checks of its parts.

    Args:
        is_draining: Returns whether the worker has been asked to drain.
    """

    def __init__(self, is_draining: Callable[[], bool] = lambda: False) -> None:
        self._is_draining = is_draining
        self._checks: dict[str, tuple[Check, float]] = {}
        self._running: asyncio.Task[dict[str, str]] | None = None
        self._outcome: tuple[float, dict[str, str]] | None = None
        self._failing: frozenset[str] = frozenset()

    def register(self, name: str, check: Check, *, timeout: float = TIMEOUT) -> None:
        """Add a part.

        Args:
            name: Shown to everybody: ``database``.
            check: Raises when the part does not answer; the reason goes to the log only.
            timeout: Time limit, in seconds.
        """
        self._checks[name] = (check, timeout)

    async def check(self) -> Ready:
        """Check all parts, or reuse the outcome of the last second.

        Raises:
            DrainingError: The worker is draining.
            NotReadyError: Parts do not answer; ``errors`` names each.
        """
        if self._is_draining():
            raise DrainingError
        faults = await self._faults()
        if faults:
            away = ", ".join(faults)
            raise NotReadyError(f"Not ready: {away}", errors=[FieldError(f"$.{n}", why) for n, why in faults.items()])
        return Ready("ready", dict.fromkeys(self._checks, "ok"))

    async def _faults(self) -> dict[str, str]:
        loop = asyncio.get_running_loop()
        if self._outcome is not None and loop.time() - self._outcome[0] < KEPT:
            return self._outcome[1]
        if self._running is None:
            # A task of its own: the first caller may be cancelled while others wait for the outcome.
            self._running = loop.create_task(self._ask_all(), name="readiness")
        return await asyncio.shield(self._running)

    async def _ask_all(self) -> dict[str, str]:
        try:
            outcomes = await asyncio.gather(*(self._ask(name) for name in self._checks))
            faults = {name: why for name, why in zip(self._checks, outcomes, strict=True) if why}
            self._outcome = (asyncio.get_running_loop().time(), faults)
            self._tell(frozenset(faults))
            return faults
        finally:
            self._running = None

    async def _ask(self, name: str) -> str:
        check, timeout = self._checks[name]
        try:
            async with asyncio.timeout(timeout):
                await check()
        except TimeoutError:
            log.info("part_away", part=name, reason=f"no answer in {timeout:g} s")
            return "timeout"
        except Exception as error:  # noqa: BLE001 - whatever it is, the part is away, and that is the answer
            log.info("part_away", part=name, reason=f"{type(error).__name__}: {error}")
            return "failed"
        return ""

    def _tell(self, failing: frozenset[str]) -> None:
        """Log a change, at a level that is always on."""
        if failing != self._failing:
            self._failing = failing
            log.warning("readiness_changed", failing=sorted(failing))
