"""Claims of an access token: their types, and the policy that they must meet.

We decode the claims ourselves, once, into a typed struct, because PyJWT converts values that should be refused
(``"exp": "99999999999"`` counts as a number there), and accepts lone surrogates, which break the first log line or
reply that contains them.
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
"""Value of ``aud`` in tokens of a realm that names no audience: Keycloak's account console, whose roles every user has
by default."""


class RoleClaim(msgspec.Struct, frozen=True):
    """``realm_access``, or one member of ``resource_access``."""

    roles: list[str] = []


class Claims(msgspec.Struct, frozen=True):
    """Claims that we read; a token's other claims are ignored."""

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
        """Make the principal, with the roles of the realm and of our client. Roles of other clients are ignored.

        Args:
            client_id: Our client.
            key_id: Id of the key that signed the token.
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
    """Decode the claims in the payload of a JWT.

    Raises:
        UnauthenticatedError: A claim is missing or of the wrong type, or the payload is not a JSON object.
    """
    try:
        return _decoder.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UnauthenticatedError("The access token's claims are malformed") from error


class ClaimsPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Policy that the claims of an acceptable token meet."""

    issuer: str
    client_id: str
    leeway: float
    max_lifetime: float = math.inf
    """Longest lifetime in seconds, from ``iat`` to ``exp``. A token that lives longer would outlive its revocation."""

    is_aud_required: bool = False
    """True if ``aud`` must name the client. If false, ``azp`` may name it where ``aud`` is absent or the default."""

    def refusal(self, claims: Claims, now: float) -> UnauthenticatedError | None:
        """Return the error of claims that are not acceptable at ``now``, in seconds since the epoch, else ``None``."""
        if claims.iss != self.issuer:
            return UnauthenticatedError("The access token has another issuer")
        if claims.typ != "Bearer":
            # Keycloak signs ID, refresh and logout tokens with the same keys; only `typ` tells them apart.
            return UnauthenticatedError("The token is not an access token")
        if not self._is_for_us(claims):
            return UnauthenticatedError("The access token is for another client")
        if claims.cnf is not UNSET:
            # RFC 7800: the presenter must prove possession of the key (by a certificate, RFC 8705, or by DPoP,
            # RFC 9449). We cannot check the proof, so accepting the token would let in a thief.
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
        """Return whether the token is meant for this application (RFC 7519, 4.1.3).

        A token that our client requested for another API names us in ``azp`` only, and that API in ``aud``.
        """
        audience = (claims.aud,) if isinstance(claims.aud, str) else claims.aud
        if self.client_id in audience:
            return True
        return not self.is_aud_required and claims.azp == self.client_id and _DEFAULT_AUDIENCE.issuperset(audience)
