"""Logout tokens of the realm (OpenID Connect Back-Channel Logout 1.0), which name the sessions that end.

The token authenticates the request: it is signed with the realm's keys, for this client, and may be used once.
"""

import math
import time
from collections.abc import Callable
from typing import Any, Final

import msgspec
from msgspec import UNSET, Struct, UnsetType

from starpost.auth.claims import ClaimText, NumericDate
from starpost.auth.verifier import MAX_TOKEN_BYTES, TokenVerifier
from starpost.errors import UnauthenticatedError

EVENT: Final = "http://schemas.openid.net/event/backchannel-logout"

LIFETIME: Final = 120.0
"""Lifetime, in seconds, of a logout token without ``exp``: the two minutes that the specification recommends (2.4), and
that Keycloak uses. Without a bound we would have to remember its ``jti`` for ever."""

MAX_LIFETIME: Final = 3600.0
"""Longest lifetime, in seconds, that we accept, because we remember the ``jti`` of a token for as long as it lives."""

_TYPES: Final = frozenset({None, "jwt", "logout+jwt"})
"""Values of the header's ``typ``: the specification recommends ``logout+jwt`` (2.4), Keycloak writes ``JWT``."""


class InvalidLogoutTokenError(UnauthenticatedError):
    """The logout request is refused; the message says why."""

    default_msg = "The logout token is not valid"


class Logout(Struct, frozen=True, kw_only=True):
    """Content of a verified logout token. Times are seconds since the epoch."""

    token_id: str
    session_id: str | None
    """Session that has ended; ``None`` means all sessions of the user."""

    user_id: str | None
    issued_at: float
    expires_at: float

    def remaining(self, now: float, leeway: float) -> int:
        """Return the seconds for which the token would still be accepted, rounded up."""
        return max(1, math.ceil(self.expires_at + leeway - now))


class _Claims(Struct, frozen=True):
    """The claims of a logout token (2.4)."""

    iss: str
    aud: str | list[str]
    iat: NumericDate
    jti: ClaimText
    events: dict[str, dict[str, Any]]
    exp: NumericDate | None = None
    nbf: NumericDate = 0
    sub: ClaimText | None = None
    sid: ClaimText | None = None
    typ: str = "Logout"
    nonce: msgspec.Raw | UnsetType = UNSET


_decoder = msgspec.json.Decoder(_Claims)


class LogoutTokenVerifier:
    """Verifier of logout tokens, by the rules of section 2.6.

    Args:
        verifier: Verifies the signature with the realm's keys.
        issuer: Issuer of the realm.
        client_id: Client whose sessions end.
        leeway: Seconds by which clocks may differ.
        clock: Seconds since the epoch.
    """

    def __init__(
        self,
        verifier: TokenVerifier,
        *,
        issuer: str,
        client_id: str,
        leeway: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._verifier = verifier
        self._issuer = issuer
        self._client_id = client_id
        self._leeway = leeway
        self._clock = clock

    async def verify(self, token: str) -> Logout:
        """Return the content of the token. The caller checks that the token was not used before.

        Raises:
            InvalidLogoutTokenError: The token is not acceptable.
            UnavailableError: Its key is not known and Keycloak cannot be asked.
        """
        if len(token) > MAX_TOKEN_BYTES:
            raise InvalidLogoutTokenError("The logout token is too long")
        try:
            # A lone surrogate cannot be encoded; the parser refuses it, not this line.
            encoded = token.encode("utf-8", "surrogatepass")
            signed = await self._verifier.signed(encoded, lambda unsigned: self._examine(unsigned).iat)
        except InvalidLogoutTokenError:
            raise
        except UnauthenticatedError as error:
            raise InvalidLogoutTokenError("The logout token's signature is not valid") from error
        if signed.header.media_type not in _TYPES:
            raise InvalidLogoutTokenError("The token's header names another type of token")
        claims = self._examine(signed.payload)
        return Logout(
            token_id=claims.jti,
            session_id=claims.sid,
            user_id=claims.sub,
            issued_at=claims.iat,
            expires_at=_expiry(claims),
        )

    def _examine(self, payload: bytes) -> _Claims:
        try:
            claims = _decoder.decode(payload)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise InvalidLogoutTokenError("The logout token's claims are malformed") from error
        reason = self._fault(claims)
        if reason is not None:
            raise InvalidLogoutTokenError(reason)
        return claims

    def _fault(self, claims: _Claims) -> str | None:
        """Return the reason for which these claims are not acceptable now; ``None`` if they are."""
        now = self._clock()
        faults = (
            (claims.iss != self._issuer, "The logout token has another issuer"),
            (
                self._client_id not in ((claims.aud,) if isinstance(claims.aud, str) else claims.aud),
                "The logout token is for another client",
            ),
            (claims.typ != "Logout", "The token is not a logout token"),
            (EVENT not in claims.events, "The token has no back-channel logout event"),
            (claims.nonce is not UNSET, "A logout token must not have a nonce"),
            (claims.sub is None and claims.sid is None, "The logout token names neither a session nor a user"),
            (max(claims.iat, claims.nbf) > now + self._leeway, "The logout token is not valid yet"),
            (_expiry(claims) <= now - self._leeway, "The logout token has expired"),
            (_expiry(claims) - claims.iat > MAX_LIFETIME, "The logout token lives too long"),
        )
        return next((reason for is_faulty, reason in faults if is_faulty), None)


def _expiry(claims: _Claims) -> float:
    return claims.iat + LIFETIME if claims.exp is None else claims.exp
