"""Passwords at rest, and their comparison in constant time."""

from __future__ import annotations

import hashlib
import hmac
import secrets

import msgspec

# Weak against attackers, which is enough for a realm where the password is the name, and fast enough for load tests.
_COST = 1024


class PasswordHash(msgspec.Struct, frozen=True):
    """Salted scrypt digest (RFC 7914)."""

    salt: bytes
    digest: bytes

    @classmethod
    def of(cls, password: str) -> PasswordHash:
        """Hash a password with a fresh salt."""
        salt = secrets.token_bytes(16)
        return cls(salt, _digest(password, salt))

    def matches(self, password: str) -> bool:
        """Compare the password in constant time."""
        return hmac.compare_digest(self.digest, _digest(password, self.salt))


#: Compared for a user who does not exist, so that the time of the answer does not tell.
NOBODY = PasswordHash(b"\x00" * 16, b"\x00" * 64)


def _digest(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=_COST, r=8, p=1)
