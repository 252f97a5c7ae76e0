"""JSON Web Signatures in compact form (RFC 7515), parsed strictly and verified with a key of the realm.

    token = parse_jws(b"eyJ…")
    token.is_signed_with(keys[token.header.kid])

PyJWT makes the keys and implements the algorithms. We do not use its parser, which looks at every character of a token
in Python, and at a signed token twice: that takes several times as long as the signature.
"""

from binascii import a2b_base64
from typing import Final

import msgspec
from jwt import PyJWK
from msgspec import UNSET, Raw, Struct, UnsetType

from starpost.auth.jwks import ALGORITHMS
from starpost.errors import UnauthenticatedError

_TO_BASE64: Final = bytes.maketrans(b"-_+/=", b"+/!!!")
"""From the alphabet of base64url to that of base64 (RFC 4648); ``!`` is in neither, so it is refused."""

_PADDING: Final = (b"", b"!", b"==", b"=")
"""Padding that base64 needs, by the length modulo 4; no text has a length of 1 modulo 4."""

_LAST_CHARACTERS: Final = (b"", b"", b"AQgw", b"AEIMQUYcgkosw048")
"""Last characters without unused bits, by the length modulo 4. With such bits a token would have several spellings."""


class Header(Struct, frozen=True):
    """Header of a token. Its other members, such as ``jku`` or ``jwk``, are ignored."""

    alg: str
    kid: str
    typ: str | None = None
    crit: Raw | UnsetType = UNSET
    b64: Raw | UnsetType = UNSET

    @property
    def media_type(self) -> str | None:
        """``typ`` in the form in which types are compared (RFC 7515, 4.1.9); ``None`` if it is absent."""
        return None if self.typ is None else self.typ.lower().removeprefix("application/")


class SignedToken(Struct, frozen=True):
    """A well-formed token. Nothing in it can be trusted before its signature is verified."""

    header: Header
    payload: bytes
    signing_input: bytes
    signature: bytes

    def is_signed_with(self, key: PyJWK) -> bool:
        """Return whether the signature is this key's, made with the one algorithm that the key is for."""
        if self.header.alg != key.algorithm_name:
            return False
        try:
            return key.Algorithm.verify(self.signing_input, key.key, self.signature)
        except ValueError:
            return False


_decode_header: Final = msgspec.json.Decoder(Header).decode


def parse_jws(token: bytes) -> SignedToken:
    """Parse a token, without verifying it.

    Raises:
        UnauthenticatedError: It is malformed, its algorithm is not allowed, or it requires an extension.
    """
    try:
        signing_input, _, signature = token.rpartition(b".")
        header, payload = signing_input.split(b".")
        parsed = SignedToken(_decode_header(_decode(header)), _decode(payload), signing_input, _decode(signature))
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise UnauthenticatedError("The access token is malformed") from error
    if parsed.header.alg not in ALGORITHMS:
        raise UnauthenticatedError("The access token's algorithm is not allowed")
    if parsed.header.crit is not UNSET or parsed.header.b64 is not UNSET:
        # RFC 7515, 4.1.11: a recipient must refuse critical extensions that it does not support. We support none.
        raise UnauthenticatedError("The access token requires an extension that is not supported")
    return parsed


def _decode(segment: bytes) -> bytes:
    rest = len(segment) % 4
    if rest and segment[-1] not in _LAST_CHARACTERS[rest]:
        raise ValueError("not base64url")
    return a2b_base64(segment.translate(_TO_BASE64) + _PADDING[rest], strict_mode=True)
