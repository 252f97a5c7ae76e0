"""The realm's public keys, cached.

Keys are asked for only when a token names one that is not known, so known keys go on working while Keycloak is away.
A token chooses its key id freely; what its choice can cost is bounded here: one fetch at a time, and after a fetch that
brought nothing new no other for the length of the cool-down.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping

import msgspec
import structlog
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt import PyJWK
from jwt.exceptions import PyJWTError

from app.framework.errors import UnavailableError

ALGORITHMS = frozenset(
    {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"},
)
"""Every asymmetric signature that Keycloak offers for access tokens, so that a realm is free in its choice.

Never ``none``, and never HS256…512: with a symmetric algorithm whoever can verify can also sign, and a public key taken
for a secret would be one that everybody knows (RFC 8725, 2.1).
"""

MIN_RSA_BITS = 2048
"""NIST SP 800-131A: shorter RSA keys are not acceptable for signatures."""

_MAX_WAITING = 256
"""Requests that may wait for the cool-down to end; above, they are told to come again: a flood must not pile up."""

_AWAY = "The signing keys of the realm cannot be had"

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
        patience: The longest a token waits for the cool-down to end, seconds; above, it is told to come again.
        clock: Seconds since the epoch, as a token's ``iat``.
    """

    def __init__(
        self,
        fetch: Callable[[], Awaitable[bytes]],
        *,
        cooldown: float,
        patience: float = 5.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._fetch = fetch
        self._cooldown = cooldown
        self._patience = patience
        self._clock = clock
        self._keys: dict[str, PyJWK] = {}
        self._fetched_at = 0.0
        self._failure: UnavailableError | JWKSError | None = None
        self._next_at = 0.0
        self._flight: asyncio.Task[None] | None = None
        self._waiting = 0

    @property
    def keys(self) -> Mapping[str, PyJWK]:
        """The known keys by key id."""
        return self._keys

    @property
    def is_away(self) -> bool:
        """Whether the last fetch failed."""
        return self._failure is not None

    async def refresh(self) -> None:
        """Fetch now, or join the fetch that is under way.

        Raises:
            UnavailableError: The keys cannot be had; its cause says why.
        """
        await self._join()

    async def find(self, kid: str, issued_at: float) -> PyJWK | None:
        """The key of that id; ``None`` when the realm has none.

        During the cool-down the verdict "no such key" needs a reason: the token's ``iat`` lies before the last fetch,
        so its key would have come with it. A younger token may be signed with a key that was rotated in just now; it
        waits for the next fetch. A good token is therefore never refused for another one's sake.

        Raises:
            UnavailableError: The key is not known and cannot be asked for.
        """
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
            if remaining > self._patience or self._waiting >= _MAX_WAITING:
                raise UnavailableError("The signing keys cannot be asked for now", retry_after=remaining)
        self._waiting += 1
        try:
            await self._join()
        finally:
            self._waiting -= 1
        return self._keys.get(kid)

    async def close(self) -> None:
        """End a fetch that is under way."""
        if self._flight is not None:
            self._flight.cancel()
            await asyncio.gather(self._flight, return_exceptions=True)

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
            await self._renew()
        finally:
            self._flight = None

    async def _renew(self) -> None:
        started_at = self._clock()
        try:
            keys = parse_jwks(await self._fetch())
        except (UnavailableError, JWKSError) as error:
            _log.warning("signing_keys_unavailable", reason=str(error), known=len(self._keys))
            self._failure = error
            self._next_at = time.monotonic() + self._cooldown
            return
        # New keys are a rotation, which nobody but the realm can cause; only a fetch in vain starts the cool-down.
        added = keys.keys() - self._keys.keys()
        if added:
            _log.info("signing_keys_fetched", added=sorted(added), known=len(keys))
        else:
            self._next_at = time.monotonic() + self._cooldown
        self._keys = keys
        self._fetched_at = started_at
        self._failure = None
