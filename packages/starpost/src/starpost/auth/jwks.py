"""Cache of the realm's public keys (JWKS).

Keys are fetched when a token names an unknown one, and every few minutes in the background, so that a key that the
realm withdraws is not trusted for long. Known keys stay valid while Keycloak is away, up to a bound.

An attacker can put any key id into a token. The cost of that is bounded: one fetch at a time, a cool-down after a fetch
that brought no new key, and a fixed number of callers that wait.
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
"""Asymmetric signature algorithms that Keycloak offers for access tokens, all of them, so that a realm may use any.

Never ``none``, and never HS256…512: with a symmetric algorithm a verifier can also sign, and a public key used as its
secret is known to everybody (RFC 8725, 2.1).
"""

MIN_RSA_BITS = 2048
"""Least size of an RSA key, in bits: NIST SP 800-131A does not accept shorter ones for signatures."""

MAX_WAITING = 256
"""Callers that may wait for a fetch or for the cool-down before it. More are refused with a time to retry, so that a
flood of invented key ids does not pile up, least of all while Keycloak hangs."""

_BUSY_RETRY = 1.0
"""Seconds after which a caller may retry when too many are waiting."""

_RETRIES = 10
"""Number of tries in the interval between two scheduled fetches, after one has failed."""

_AWAY = "The signing keys of the realm cannot be fetched"
_NOT_NOW = "The signing keys cannot be fetched now"

_log = structlog.stdlib.get_logger(__name__)


class _KeySetDocument(msgspec.Struct):
    keys: list[dict[str, object]]


class JWKSError(Exception):
    """The document is not a JWK set with usable keys."""


def parse_jwks(document: bytes) -> dict[str, PyJWK]:
    """Return the usable signature keys of a JWK set (RFC 7517, section 5), by key id.

    Unusable keys are ignored, as the RFC requires: another ``use``, an algorithm outside of ``ALGORITHMS``, no ``kid``,
    a private or weak key, an unknown type.

    Raises:
        JWKSError: The document is not a JWK set, or contains no usable key.
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
        # PyJWK binds the key to one algorithm: a token that names another is refused, even if `ALGORITHMS` has it.
        key = PyJWK(jwk)
        # Checks the key's type and curve against the algorithm: once here, not for each token.
        key.Algorithm.prepare_key(key.key)
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
    """Signing keys of the realm, fetched when they are needed.

    Args:
        fetch: Returns the JWK set document; raises ``UnavailableError`` if it cannot.
        cooldown: Seconds without another fetch after one that failed or brought no new key.
        patience: Longest wait, in seconds, for the end of the cool-down. A token that would wait longer is refused with
            a time to retry.
        max_age: Seconds for which keys are trusted after the realm last confirmed them.
        clock: Seconds since the epoch, like a token's ``iat``.
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
        """Called with the ids of keys that are no longer trusted. Tokens signed with them must not be accepted."""

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
        """True if the last fetch failed."""
        return self._failure is not None

    def start(self, interval: float) -> None:
        """Fetch every ``interval`` seconds (plus or minus a tenth, which spreads the workers) until ``close``.

        No request waits for such a fetch, and no cool-down follows it, so it never delays a fetch for a token.
        """
        self._keeper = asyncio.create_task(self._keep(interval), name="jwks refresh")

    async def refresh(self) -> None:
        """Fetch now, or join the fetch that is under way.

        Raises:
            UnavailableError: The keys cannot be fetched; its cause says why.
        """
        self._is_asked_for = True
        await self._join()

    async def find(self, kid: str, issued_at: float) -> PyJWK | None:
        """Return the key with this id; ``None`` if the realm has none.

        During the cool-down, "no such key" is certain only for a token whose ``iat`` lies before the last fetch, which
        would have brought its key. A younger token may be signed with a key that the realm has just added, so it waits
        for the next fetch. A flood of bad tokens therefore never causes the refusal of a good one.

        Raises:
            UnavailableError: The key is not known and cannot be fetched now.
        """
        for is_last in (False, True):
            key = self._keys.get(kid)
            if key is not None:
                return key
            remaining = self._next_at - time.monotonic()
            if remaining > 0:
                if self._failure is not None:
                    raise UnavailableError(_AWAY, retry_after=remaining) from self._failure
                # `iat` is in whole seconds: the token may have been issued up to one second after it.
                if issued_at + 1 <= self._fetched_at:
                    return None
                if remaining > self._patience:
                    raise UnavailableError(_NOT_NOW, retry_after=remaining)
            if self._waiting >= MAX_WAITING:
                raise UnavailableError(_NOT_NOW, retry_after=max(remaining, _BUSY_RETRY))
            # A fetch that is under way may have been answered before the key existed; the next one cannot.
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
        """Cancel the fetch that is under way, and the scheduled ones."""
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
                continue  # `_renew` has logged it
            except Exception:  # noqa: BLE001 - logged with its trace
                # Without this task a withdrawn key would be trusted for ever.
                _log.exception("signing_keys_not_refreshed")

    async def _join(self) -> None:
        if self._flight is None:
            self._flight = asyncio.create_task(self._fly(), name="jwks fetch")
        # Shielded: cancelling the first caller must not cancel the fetch that others wait for.
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
        # Only the realm can cause a rotation, so a fetch that brings new keys starts no cool-down.
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
        """Begin the cool-down if a caller asked for the fetch. A scheduled fetch starts none."""
        if self._is_asked_for:
            self._next_at = time.monotonic() + self._cooldown

    def _replace(self, keys: dict[str, PyJWK]) -> None:
        """Trust these keys and no others. A changed key under the same id counts as withdrawn."""
        withdrawn = frozenset(kid for kid, key in self._keys.items() if kid not in keys or keys[kid].key != key.key)
        self._keys = keys
        if withdrawn:
            _log.warning("signing_keys_withdrawn", withdrawn=sorted(withdrawn), known=len(keys))
            if self.on_withdrawn is not None:
                self.on_withdrawn(withdrawn)
