"""The claims of an access token: their shape, and what they must say.

PyJWT verifies the signature. The claims are decoded here, once, into a typed struct, because PyJWT converts what should
be refused (``"exp": "99999999999"`` counts as a number there) and lets lone surrogates through, which then break the
first log line or reply that carries them.
"""

import math
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from starpost.auth.principal import Principal
from starpost.errors import TokenExpiredError, UnauthenticatedError

# RFC 7519: NumericDate, a JSON number, with or without a fraction. The bound keeps arithmetic exact and finite.
NumericDate = Annotated[float, Meta(ge=0, le=2**53)]
ClaimText = Annotated[str, Meta(min_length=1, max_length=512)]


_DEFAULT_AUDIENCE = frozenset({"account"})
"""What Keycloak writes into ``aud`` when the realm names no audience: its own account console, whose roles every user
has by default."""


class RoleClaim(msgspec.Struct, frozen=True):
    """``realm_access``, or one member of ``resource_access``."""

    roles: list[str] = []


class Claims(msgspec.Struct, frozen=True):
    """The claims that decide; a token's other claims are not looked at."""

    iss: str
    sub: ClaimText
    exp: NumericDate
    iat: NumericDate
    typ: str
    nbf: NumericDate = 0
    aud: str | list[str] = []
    azp: str = ""
    sid: ClaimText | None = None
    preferred_username: ClaimText | None = None
    realm_access: RoleClaim = RoleClaim()
    resource_access: dict[str, RoleClaim] = {}
    cnf: msgspec.Raw | UnsetType = UNSET

    def principal(self, client_id: str, key_id: str) -> Principal:
        """Who this is, with the roles of the realm and of our client; other clients' roles are not ours to honour.

        Args:
            client_id: Ours.
            key_id: Of the key that signed the token.
        """
        own = self.resource_access.get(client_id)
        return Principal(
            user_id=self.sub,
            username=self.preferred_username or self.sub,
            roles=frozenset(self.realm_access.roles).union(own.roles if own is not None else ()),
            issued_at=self.iat,
            expires_at=self.exp,
            session_id=self.sid,
            key_id=key_id,
        )


_decoder = msgspec.json.Decoder(Claims)


def decode_claims(payload: bytes) -> Claims:
    """The claims in the payload of a JWT.

    Raises:
        UnauthenticatedError: A claim is missing or of the wrong type, or the payload is no JSON object.
    """
    try:
        return _decoder.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UnauthenticatedError("The access token's claims are malformed") from error


class ClaimsPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """What the claims of an acceptable token say."""

    issuer: str
    client_id: str
    leeway: float
    max_lifetime: float = math.inf
    """Seconds from ``iat`` to ``exp``: a token that lives longer would outlive its revocation."""

    is_aud_required: bool = False
    """Whether ``aud`` must name the client; else ``azp`` may, where ``aud`` names nobody in particular."""

    def refusal(self, claims: Claims, now: float) -> UnauthenticatedError | None:
        """Why these claims are not acceptable at ``now``, seconds since the epoch; ``None`` when they are."""
        if claims.iss != self.issuer:
            return UnauthenticatedError("The access token is of another issuer")
        if claims.typ != "Bearer":
            # Keycloak signs ID, refresh and logout tokens with the same keys; only `typ` tells them apart.
            return UnauthenticatedError("The token is not an access token")
        if not self._is_for_us(claims):
            return UnauthenticatedError("The access token is for another client")
        if claims.cnf is not UNSET:
            # RFC 7800: whoever presents the token must prove that the key is theirs (by a certificate, RFC 8705, or by
            # DPoP, RFC 9449). Nobody here looks at the proof, so a thief would get in.
            return UnauthenticatedError("The access token is bound to a key, which cannot be checked")
        if max(claims.iat, claims.nbf) > now + self.leeway:
            return UnauthenticatedError("The access token is not valid yet")
        if claims.iat > claims.exp:
            return UnauthenticatedError("The access token expires before it was issued")
        if claims.exp - claims.iat > self.max_lifetime:
            return UnauthenticatedError("The access token lives longer than TOKEN_MAX_LIFETIME allows")
        if claims.exp <= now - self.leeway:
            return TokenExpiredError()
        return None

    def _is_for_us(self, claims: Claims) -> bool:
        """Whether the token is meant for this application (RFC 7519, 4.1.3).

        A token that our client asked for on behalf of another API names us in ``azp`` alone, and that API in ``aud``.
        """
        audience = (claims.aud,) if isinstance(claims.aud, str) else claims.aud
        if self.client_id in audience:
            return True
        return not self.is_aud_required and claims.azp == self.client_id and _DEFAULT_AUDIENCE.issuperset(audience)
