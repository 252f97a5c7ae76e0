"""Verifier of access tokens, which makes no call to Keycloak while the keys are known.

A token is accepted if it is a JWT (RFC 7519) that the realm signed, with a known key and an algorithm from a fixed
list, and if its claims say: this issuer, an access token, for this client, valid now. The rules follow RFC 8725 (JWT
Best Current Practices). The header cannot make us use another key: ``jku``, ``x5u``, ``x5c`` and ``jwk`` are ignored,
and a token with ``crit`` is refused.
"""

import hashlib
import time
from collections.abc import Callable
from typing import Final

import structlog

from starpost.auth.claims import ClaimsPolicy, decode_claims
from starpost.auth.jwks import KeySet
from starpost.auth.jws import SignedToken, parse_jws
from starpost.auth.principal import Principal
from starpost.auth.realm import DevelopmentRealmError, RealmClient
from starpost.auth.revocation import MemoryRevocationList, RevocationList
from starpost.errors import UnauthenticatedError, UnavailableError
from starpost.settings import Settings

MAX_TOKEN_BYTES = 16_384
"""Longest token that is accepted. Keycloak's have 1 to 4 KiB, and few proxies let more than 16 KiB through."""

_TYPES: Final = frozenset({None, "jwt", "at+jwt"})
"""Values of the header's ``typ``: Keycloak writes ``JWT`` or, where the client is set so, ``at+jwt`` (RFC 9068)."""

_log = structlog.stdlib.get_logger(__name__)


class TokenVerifier:
    """Verifier of tokens, with a cache of accepted ones, by digest, until they expire.

    Args:
        keys: The realm's signing keys.
        policy: Policy that the claims must meet.
        revocations: Checked for every token, cached ones too.
        cache_size: Number of cached principals; 0 turns the cache off.
        clock: Seconds since the epoch.
    """

    def __init__(
        self,
        keys: KeySet,
        policy: ClaimsPolicy,
        *,
        revocations: RevocationList,
        cache_size: int = 10_000,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._keys = keys
        self._policy = policy
        self._revocations = revocations
        self._cache_size = cache_size
        self._clock = clock
        self.on_keys_withdrawn: Callable[[frozenset[str]], None] | None = None
        """Called with the ids of keys that are no longer trusted, after their tokens were dropped from the cache."""

        keys.on_withdrawn = self._forget_signed_with
        # By digest: a dump of the memory must not be a list of tokens, and long keys cost memory.
        self._cache: dict[bytes, Principal] = {}

    @property
    def is_ready(self) -> bool:
        """True if keys are known, so that tokens can be verified."""
        return bool(self._keys.keys)

    async def warm_up(self) -> None:
        """Fetch the keys before the first request. If Keycloak is away, log it: readiness reports it too.

        Raises:
            DevelopmentRealmError: This is production, and the realm is the development realm.
        """
        try:
            await self._keys.refresh()
        except UnavailableError as error:
            if isinstance(error.__cause__, DevelopmentRealmError):
                raise error.__cause__ from None
            _log.warning("keycloak_away_at_start", reason=error.msg)

    def cached(self, token: bytes) -> Principal | None:
        """Return the principal of a token that was verified before, is still valid and not revoked, else ``None``."""
        # A token that is too long was never accepted, so it needs no digest.
        return None if len(token) > MAX_TOKEN_BYTES else self._cached(_digest(token))

    def _cached(self, digest: bytes) -> Principal | None:
        principal = self._cache.get(digest)
        if principal is None:
            return None
        if principal.expires_at <= self._clock() or self._revocations.is_revoked(principal):
            del self._cache[digest]
            return None
        return principal

    async def verify(self, token: str) -> Principal:
        """Verify a token and return its principal. Waits for nothing if the token is cached or its key is known.

        Raises:
            TokenExpiredError: The token has expired.
            UnauthenticatedError: The token is not acceptable for another reason.
            UnavailableError: Its key is not known and Keycloak cannot be asked.
        """
        if len(token) > MAX_TOKEN_BYTES:
            raise UnauthenticatedError("The access token is too long")
        # A token from an AUTH packet may contain lone surrogates; the parser refuses it, not this encoding.
        encoded = token.encode("utf-8", "surrogatepass")
        digest = _digest(encoded)
        principal = self._cached(digest)
        if principal is not None:
            return principal
        signed = await self.signed(encoded, self._issued_at)
        if signed.header.media_type not in _TYPES:
            raise UnauthenticatedError("The token is not an access token")
        claims = decode_claims(signed.payload)
        refusal = self._policy.refusal(claims, self._clock())
        if refusal is not None:
            raise refusal
        principal = claims.principal(self._policy.client_id, signed.header.kid)
        self.check(principal)
        self._remember(digest, principal)
        return principal

    def check(self, principal: Principal) -> None:
        """Check a principal again that was verified before an ``await``.

        Raises:
            UnauthenticatedError: It was revoked meanwhile, or its key withdrawn.
            UnavailableError: Revocations have not been read yet, so no token can be accepted.
        """
        if not self._revocations.is_known:
            raise UnavailableError("The revoked sessions are not known yet")
        if self._revocations.is_revoked(principal):
            raise UnauthenticatedError("The session has been ended")
        if principal.key_id not in self._keys.keys:
            raise UnauthenticatedError("The access token is signed with a key that was withdrawn")

    def _issued_at(self, unsigned: bytes) -> float:
        """Return the ``iat`` of a token that would be accepted if its signature were valid."""
        claims = decode_claims(unsigned)
        if self._policy.refusal(claims, self._clock()) is not None:
            raise UnauthenticatedError
        return claims.iat

    async def signed(self, token: bytes, issued_at: Callable[[bytes], float]) -> SignedToken:
        """Verify the signature of a token of any kind.

        Args:
            token: A token of the realm.
            issued_at: Returns the ``iat`` of an unverified payload; raises if it would be refused with any key.

        Raises:
            UnauthenticatedError: The token is malformed, or not signed with a key of the realm.
            UnavailableError: Its key is not known and Keycloak cannot be asked.
        """
        parsed = parse_jws(token)
        key = self._keys.keys.get(parsed.header.kid)
        if key is None:
            # `issued_at` raises if the claims would be refused with any key: such a token is not worth a fetch. The
            # client does not learn why, since the token is not verified.
            key = await self._keys.find(parsed.header.kid, issued_at(parsed.payload))
            if key is None:
                raise UnauthenticatedError("The access token is signed with an unknown key")
        if not parsed.is_signed_with(key):
            raise UnauthenticatedError("The access token's signature is not valid")
        return parsed

    def _remember(self, digest: bytes, principal: Principal) -> None:
        if self._cache_size == 0:
            return
        if len(self._cache) >= self._cache_size:
            # The oldest entry: with equal lifetimes it expires first, so no order of use has to be kept.
            del self._cache[next(iter(self._cache))]
        self._cache[digest] = principal

    def _forget_signed_with(self, key_ids: frozenset[str]) -> None:
        self._cache = {digest: known for digest, known in self._cache.items() if known.key_id not in key_ids}
        if self.on_keys_withdrawn is not None:
            self.on_keys_withdrawn(key_ids)


def _digest(token: bytes) -> bytes:
    return hashlib.sha256(token).digest()


class RealmVerifier(TokenVerifier):
    """Verifier of the realm that the settings name. Close it in the loop that used it."""

    def __init__(self, settings: Settings, revocations: RevocationList | None = None) -> None:
        self._realm = RealmClient(settings)
        self._refresh_interval = settings.keycloak_jwks_refresh
        keys = KeySet(
            self._realm.fetch_jwks,
            cooldown=settings.keycloak_jwks_cooldown,
            # After this time every token from before the last fetch has expired. Longer trust would only help an
            # attacker who holds a withdrawn key and can cut us off from Keycloak.
            max_age=settings.token_max_lifetime,
        )
        policy = ClaimsPolicy(
            issuer=settings.keycloak_issuer,
            client_id=settings.keycloak_client_id,
            leeway=settings.keycloak_leeway,
            max_lifetime=settings.token_max_lifetime,
            is_aud_required=settings.token_require_aud,
        )
        super().__init__(
            keys,
            policy,
            revocations=MemoryRevocationList() if revocations is None else revocations,
            cache_size=settings.token_cache_size,
        )

    async def start(self) -> None:
        """Fetch the keys before the first request, and again every ``KEYCLOAK_JWKS_REFRESH`` seconds until ``close``.

        Raises:
            DevelopmentRealmError: This is production, and the realm is the development realm.
        """
        await self.warm_up()
        self._keys.start(self._refresh_interval)

    async def close(self) -> None:
        """Cancel the fetches and close the HTTP client."""
        await self._keys.close()
        await self._realm.close()
