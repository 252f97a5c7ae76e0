"""Logout tokens of the realm (OpenID Connect Back-Channel Logout 1.0): whose sessions end.

The token itself is the proof: it is signed with the realm's keys, for this client, now, and counts once.
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
"""Seconds that a logout token without ``exp`` is taken for after its ``iat``: the two minutes that the specification
recommends (2.4), and that Keycloak writes. Without a bound its ``jti`` would have to be remembered for ever."""

MAX_LIFETIME: Final = 3600.0
"""A token that claims to live longer is refused: as long as it lives its ``jti`` has to be remembered."""

_TYPES: Final = frozenset({None, "jwt", "logout+jwt"})
"""The header's ``typ``: ``logout+jwt`` is recommended (2.4), ``JWT`` is what Keycloak writes."""


class InvalidLogoutTokenError(UnauthenticatedError):
    """The logout request is refused; the message says why."""

    default_msg = "The logout token is not valid"


class Logout(Struct, frozen=True, kw_only=True):
    """What a logout token says. Times are seconds since the epoch."""

    token_id: str
    session_id: str | None
    """The session that has ended; without one, all sessions of the user."""

    user_id: str | None
    issued_at: float
    expires_at: float

    def remaining(self, now: float, leeway: float) -> int:
        """Seconds for which the token would still be accepted, rounded up."""
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
    """Judges logout tokens by the rules of section 2.6.

    Args:
        verifier: Knows the realm's keys.
        issuer: The realm.
        client_id: The client whose sessions end.
        leeway: Seconds that clocks may differ.
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
        """What the token says; whether it came before is not known here.

        Raises:
            InvalidLogoutTokenError: It is not acceptable.
            UnavailableError: Its key is not known and Keycloak cannot be asked.
        """
        if len(token) > MAX_TOKEN_BYTES:
            raise InvalidLogoutTokenError("The logout token is too long")
        try:
            payload, header = await self._verifier.signed(token, lambda unsigned: self._examine(unsigned).iat)
        except InvalidLogoutTokenError:
            raise
        except UnauthenticatedError as error:
            raise InvalidLogoutTokenError("The logout token is not signed as it must be") from error
        kind = header.get("typ")
        if (kind.lower().removeprefix("application/") if isinstance(kind, str) else kind) not in _TYPES:
            raise InvalidLogoutTokenError("The token's header names another type")
        claims = self._examine(payload)
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
            raise InvalidLogoutTokenError("The claims are not those of a logout token") from error
        reason = self._fault(claims)
        if reason is not None:
            raise InvalidLogoutTokenError(reason)
        return claims

    def _fault(self, claims: _Claims) -> str | None:
        """Why these claims are not acceptable now; ``None`` when they are."""
        now = self._clock()
        faults = (
            (claims.iss != self._issuer, "The logout token is of another issuer"),
            (
                self._client_id not in ((claims.aud,) if isinstance(claims.aud, str) else claims.aud),
                "The logout token is for another client",
            ),
            (claims.typ != "Logout", "The token is not a logout token"),
            (EVENT not in claims.events, "The token tells no back-channel logout"),
            (claims.nonce is not UNSET, "A logout token must not have a nonce"),
            (claims.sub is None and claims.sid is None, "The logout token names neither a session nor a user"),
            (max(claims.iat, claims.nbf) > now + self._leeway, "The logout token is not valid yet"),
            (_expiry(claims) <= now - self._leeway, "The logout token has expired"),
            (_expiry(claims) - claims.iat > MAX_LIFETIME, "The logout token lives too long"),
        )
        return next((reason for is_faulty, reason in faults if is_faulty), None)


def _expiry(claims: _Claims) -> float:
    return claims.iat + LIFETIME if claims.exp is None else claims.exp
