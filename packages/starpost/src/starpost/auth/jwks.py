"""The realm's public keys, cached.

Keys are asked for when a token names one that is not known, and again every few minutes beside the requests, so that
a key that the realm withdraws is not trusted for long. Known keys go on working while Keycloak is away, up to a bound.

A token chooses its key id freely; what its choice can cost is bounded here: one fetch at a time, after a fetch that
brought nothing new no other for the length of the cool-down, and a fixed number of callers that wait.
"""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Mapping
from random import uniform

import msgspec
import structlog
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt import PyJWK
from jwt.exceptions import PyJWTError

from starpost.errors import UnavailableError

ALGORITHMS = frozenset(
    {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"},
)
"""Every asymmetric signature that Keycloak offers for access tokens, so that a realm is free in its choice.

Never ``none``, and never HS256…512: with a symmetric algorithm whoever can verify can also sign, and a public key taken
for a secret would be one that everybody knows (RFC 8725, 2.1).
"""

MIN_RSA_BITS = 2048
"""NIST SP 800-131A: shorter RSA keys are not acceptable for signatures."""

MAX_WAITING = 256
"""Callers that may wait for a fetch or for the cool-down before it; more are refused with a time to retry. A flood of
invented key ids must not pile up, least of all while Keycloak hangs."""

_BUSY_RETRY = 1.0
"""Seconds after which a caller that found no place may retry."""

_RETRIES = 10
"""Tries in the time between two scheduled fetches, once one has failed."""

_AWAY = "The signing keys of the realm cannot be had"
_NOT_NOW = "The signing keys cannot be asked for now"

_log = structlog.stdlib.get_logger(__name__)


class _KeySetDocument(msgspec.Struct):
    keys: list[dict[str, object]]


class JWKSError(Exception):
    """The document is not a JWK set that signatures can be verified with."""


def parse_jwks(document: bytes) -> dict[str, PyJWK]:
    """The usable signature keys of a JWK set (RFC 7517, section 5), by key id.

    A key that is not usable is left out, as the RFC wants: another ``use``, another algorithm than ``ALGORITHMS``, no
    ``kid``, a private or weak key, a type that we do not know.

    Raises:
        JWKSError: The document is no JWK set, or nothing in it is usable.
    """
    try:
        jwks = msgspec.json.decode(document, type=_KeySetDocument).keys
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise JWKSError(f"not a JWK set: {error}") from error
    keys: dict[str, PyJWK] = {}
    for jwk in jwks:
        kid = jwk.get("kid")
        if isinstance(kid, str) and jwk.get("use", "sig") == "sig" and (key := _usable_key(jwk)) is not None:
            keys.setdefault(kid, key)
    if not keys:
        raise JWKSError("the JWK set holds no usable signature key")
    return keys


def _usable_key(jwk: dict[str, object]) -> PyJWK | None:
    algorithm = jwk.get("alg")
    if algorithm is not None and not (isinstance(algorithm, str) and algorithm in ALGORITHMS):
        return None
    try:
        # Binds the key to its one algorithm: a token that names another is refused whatever the list says.
        key = PyJWK(jwk)
    except (PyJWTError, UnsupportedAlgorithm, ValueError, TypeError, AttributeError, KeyError) as error:
        _log.info("signing_key_ignored", kid=jwk.get("kid"), reason=type(error).__name__)
        return None
    if key.algorithm_name not in ALGORITHMS:
        return None
    match key.key:
        case RSAPublicKey(key_size=bits):
            if bits < MIN_RSA_BITS:
                _log.warning("signing_key_ignored", kid=jwk.get("kid"), reason=f"RSA of {bits} bits")
                return None
        case EllipticCurvePublicKey() | Ed25519PublicKey() | Ed448PublicKey():
            pass
        case _:
            return None
    return key


class KeySet:
    """The signing keys of the realm as far as they are known, and the way to learn of new ones.

    Args:
        fetch: Brings the JWK set document; raises ``UnavailableError`` when it cannot.
        cooldown: Seconds without another fetch after one that failed or brought no new key.
        patience: Longest wait of a token for the end of the cool-down, in seconds; then it is refused with a time to
            retry.
        max_age: Seconds for which keys are trusted after the realm last confirmed them.
        clock: Seconds since the epoch, as a token's ``iat``.
    """

    def __init__(
        self,
        fetch: Callable[[], Awaitable[bytes]],
        *,
        cooldown: float,
        patience: float = 5.0,
        max_age: float = math.inf,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._fetch = fetch
        self._cooldown = cooldown
        self._patience = patience
        self._max_age = max_age
        self._clock = clock
        self.on_withdrawn: Callable[[frozenset[str]], None] | None = None
        """Called with the ids of keys that are trusted no more. What they signed must not be accepted again."""

        self._keys: dict[str, PyJWK] = {}
        self._fetched_at = 0.0
        self._confirmed_at = time.monotonic()
        self._failure: UnavailableError | JWKSError | None = None
        self._next_at = 0.0
        self._flight: asyncio.Task[None] | None = None
        self._is_fetching = False
        self._is_asked_for = False
        self._waiting = 0
        self._keeper: asyncio.Task[None] | None = None

    @property
    def keys(self) -> Mapping[str, PyJWK]:
        """The known keys by key id."""
        return self._keys

    @property
    def is_away(self) -> bool:
        """Whether the last fetch failed."""
        return self._failure is not None

    def start(self, interval: float) -> None:
        """Fetch again every ``interval`` seconds (a tenth more or less, so that workers spread) until ``close``.

        No request waits for such a fetch, and none is kept from its own by it: the cool-down does not follow.
        """
        self._keeper = asyncio.create_task(self._keep(interval), name="jwks refresh")

    async def refresh(self) -> None:
        """Fetch now, or join the fetch that is under way.

        Raises:
            UnavailableError: The keys cannot be had; its cause says why.
        """
        self._is_asked_for = True
        await self._join()

    async def find(self, kid: str, issued_at: float) -> PyJWK | None:
        """The key of that id; ``None`` when the realm has none.

        During the cool-down the verdict "no such key" needs a reason: the token's ``iat`` lies before the last fetch,
        so its key would have come with it. A younger token may be signed with a key that was rotated in just now; it
        waits for the next fetch. A good token is therefore never refused for another one's sake.

        Raises:
            UnavailableError: The key is not known and cannot be asked for.
        """
        for is_last in (False, True):
            key = self._keys.get(kid)
            if key is not None:
                return key
            remaining = self._next_at - time.monotonic()
            if remaining > 0:
                if self._failure is not None:
                    raise UnavailableError(_AWAY, retry_after=remaining) from self._failure
                # `iat` counts whole seconds: it may lie up to one second before the moment it stands for.
                if issued_at + 1 <= self._fetched_at:
                    return None
                if remaining > self._patience:
                    raise UnavailableError(_NOT_NOW, retry_after=remaining)
            if self._waiting >= MAX_WAITING:
                raise UnavailableError(_NOT_NOW, retry_after=max(remaining, _BUSY_RETRY))
            # The answer that is awaited already may be from before the key was there; the next one is not.
            is_early = self._is_fetching and not is_last
            self._waiting += 1
            try:
                await self.refresh()
            finally:
                self._waiting -= 1
            if not is_early:
                break
        return self._keys.get(kid)

    async def close(self) -> None:
        """End a fetch that is under way, and those that are scheduled."""
        tasks = [task for task in (self._keeper, self._flight) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _keep(self, interval: float) -> None:
        while True:
            pause = interval if self._failure is None else interval / _RETRIES
            await asyncio.sleep(pause * uniform(0.9, 1.1))  # noqa: S311 - jitter, no secret
            try:
                await self._join()
            except UnavailableError:
                continue  # logged where it was found
            except Exception:  # noqa: BLE001 - logged with its trace
                # Without this task a withdrawn key would be trusted for ever.
                _log.exception("signing_keys_not_refreshed")

    async def _join(self) -> None:
        if self._flight is None:
            self._flight = asyncio.create_task(self._fly(), name="jwks fetch")
        # Shielded: the first caller's cancellation must not take the fetch from the others.
        await asyncio.shield(self._flight)
        if self._failure is not None:
            raise UnavailableError(_AWAY, retry_after=max(0.0, self._next_at - time.monotonic())) from self._failure

    async def _fly(self) -> None:
        try:
            await asyncio.sleep(max(0.0, self._next_at - time.monotonic()))
            self._is_fetching = True
            await self._renew()
        finally:
            self._flight = None
            self._is_fetching = self._is_asked_for = False

    async def _renew(self) -> None:
        started_at = self._clock()
        try:
            keys = parse_jwks(await self._fetch())
        except (UnavailableError, JWKSError) as error:
            _log.warning("signing_keys_unavailable", reason=str(error), known=len(self._keys))
            self._failure = error
            self._cool_down()
            if time.monotonic() - self._confirmed_at > self._max_age:
                self._replace({})
            return
        # New keys are a rotation, which nobody but the realm can cause; only a fetch in vain starts the cool-down.
        added = keys.keys() - self._keys.keys()
        if added:
            _log.info("signing_keys_fetched", added=sorted(added), known=len(keys))
        else:
            self._cool_down()
        self._fetched_at = started_at
        self._confirmed_at = time.monotonic()
        self._failure = None
        self._replace(keys)

    def _cool_down(self) -> None:
        """Ask for nothing for a while, if it was a caller that asked; what the schedule does costs nobody a wait."""
        if self._is_asked_for:
            self._next_at = time.monotonic() + self._cooldown

    def _replace(self, keys: dict[str, PyJWK]) -> None:
        """Trust these keys and no others. Another key of the same id is another key."""
        withdrawn = frozenset(kid for kid, key in self._keys.items() if kid not in keys or keys[kid].key != key.key)
        self._keys = keys
        if withdrawn:
            _log.warning("signing_keys_withdrawn", withdrawn=sorted(withdrawn), known=len(keys))
            if self.on_withdrawn is not None:
                self.on_withdrawn(withdrawn)
