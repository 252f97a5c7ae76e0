"""Keys of the realm: RSA key pairs as Keycloak's key components, saved in the state folder. Adding one rotates them."""

from __future__ import annotations

import base64
import hashlib
import secrets
import uuid
from collections.abc import Iterator

import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from starpost_dev.realm.state import StateFolder

SIGNING_PROVIDER = "rsa-generated"
ENCRYPTION_PROVIDER = "rsa-enc-generated"
_DOCUMENT = "keys.json"
_ALGORITHMS = {SIGNING_PROVIDER: ("RS256", "sig"), ENCRYPTION_PROVIDER: ("RSA-OAEP", "enc")}


class KeyComponent(msgspec.Struct):
    """Key and its place in the rotation.

    Of the enabled and active keys, the one with the highest priority signs. Every enabled key verifies, and is
    published.
    """

    id: str
    name: str
    provider: str
    priority: int
    pem: str
    enabled: bool = True
    active: bool = True

    def private_key(self) -> rsa.RSAPrivateKey:
        """Return the key pair."""
        key = serialization.load_pem_private_key(self.pem.encode(), password=None)
        if not isinstance(key, rsa.RSAPrivateKey):
            raise TypeError(f"component {self.name} holds no RSA key")
        return key


class _KeyDocument(msgspec.Struct):
    secret: bytes
    components: list[KeyComponent]


class Key:
    """Key ready for use: its pair, its id (`kid`) and its published form."""

    def __init__(self, component: KeyComponent) -> None:
        self.component = component
        self.private = component.private_key()
        self.public = self.private.public_key()
        self.der = self.public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        self.algorithm, self.use = _ALGORITHMS[component.provider]
        self.kid = _base64url(hashlib.sha256(self.der).digest())

    def jwk(self) -> dict[str, str]:
        """Return the public key as a JSON Web Key (RFC 7517)."""
        numbers = self.public.public_numbers()
        return {
            "kid": self.kid,
            "kty": "RSA",
            "alg": self.algorithm,
            "use": self.use,
            "n": _base64url(numbers.n.to_bytes((numbers.n.bit_length() + 7) // 8, "big")),
            "e": _base64url(numbers.e.to_bytes((numbers.e.bit_length() + 7) // 8, "big")),
        }


class KeyRing:
    """Keys of the realm, written to the state folder at every change."""

    def __init__(self, state: StateFolder) -> None:
        self._state = state
        document = state.read(_DOCUMENT, _KeyDocument)
        if document is None:
            # As in Keycloak, there is also a key for encryption, so that verifiers must tell the two apart.
            document = _KeyDocument(
                secrets.token_bytes(64),
                [
                    _generate(SIGNING_PROVIDER, SIGNING_PROVIDER, 100),
                    _generate(ENCRYPTION_PROVIDER, ENCRYPTION_PROVIDER, 100),
                ],
            )
            state.write(_DOCUMENT, document)
        self._keys = {component.id: Key(component) for component in document.components}
        #: Signs what only the realm itself reads: refresh tokens and cookies.
        self.secret = document.secret

    def __iter__(self) -> Iterator[Key]:
        return iter(self._keys.values())

    def signing_key(self) -> Key:
        """Return the key that signs new tokens.

        Raises:
            LookupError: every signing key was removed or disabled.
        """
        usable = [
            key for key in self._keys.values() if key.use == "sig" and key.component.enabled and key.component.active
        ]
        if not usable:
            raise LookupError("the realm has no active signing key")
        return max(usable, key=lambda key: key.component.priority)

    def verification_key(self, kid: str | None) -> Key | None:
        """Return the key that verifies tokens with this `kid`; None if there is none."""
        for key in self._keys.values():
            if key.kid == kid and key.use == "sig" and key.component.enabled:
                return key
        return None

    def jwks(self) -> dict[str, list[dict[str, str]]]:
        """Return the published keys, the newest in the rotation first (RFC 7517, section 5)."""
        enabled = [key for key in self._keys.values() if key.component.enabled]
        enabled.sort(key=lambda key: key.component.priority, reverse=True)
        return {"keys": [key.jwk() for key in enabled]}

    def get(self, component_id: str) -> KeyComponent | None:
        """Return a component by its id."""
        key = self._keys.get(component_id)
        return key.component if key else None

    def add(
        self, name: str, provider: str, priority: int, *, enabled: bool = True, active: bool = True
    ) -> KeyComponent:
        """Generate a key. With the highest priority, it signs from now on."""
        component = _generate(name, provider, priority)
        component.enabled, component.active = enabled, active
        self._keys[component.id] = Key(component)
        self.save()
        return component

    def remove(self, component_id: str) -> bool:
        """Remove a key, which makes the tokens that it signed invalid. Return False if there is no such key."""
        if self._keys.pop(component_id, None) is None:
            return False
        self.save()
        return True

    def save(self) -> None:
        """Write the keys after a change of a component."""
        self._state.write(_DOCUMENT, _KeyDocument(self.secret, [key.component for key in self._keys.values()]))


def _generate(name: str, provider: str, priority: int) -> KeyComponent:
    pem = rsa.generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return KeyComponent(str(uuid.uuid4()), name, provider, priority, pem.decode())


def _base64url(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()
