"""Signing realm: the keys and documents that the application's verifier fetches, and real RS256 tokens.

Production refuses the development realm, and the bench measures production's settings.
"""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Final, Self
from uuid import uuid4

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

CLIENT: Final = "starpost"
LIFETIME: Final = 6 * 3600
"""Lifetime of a token in seconds, longer than the longest run."""

_PATH: Final = "/realms/starpost"


class SigningRealm:
    """Context manager that serves discovery document and JWK set on a free port of 127.0.0.1."""

    def __init__(self) -> None:
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._kid = uuid4().hex

    def __enter__(self) -> Self:
        realm = self

        class Handler(BaseHTTPRequestHandler):
            """Answers the two documents."""

            def do_GET(self) -> None:
                """Answer one of them, or 404."""
                document = realm._document(self.path)
                body = b"{}" if document is None else json.dumps(document).encode()
                self.send_response(404 if document is None else 200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *_arguments: Any) -> None:  # noqa: A002 - the base class names it so
                """Stay silent."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, name="realm", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def base_url(self) -> str:
        """Value of ``KEYCLOAK_BASE_URL`` for the application."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def issuer(self) -> str:
        """Value of ``iss`` in its tokens."""
        return self.base_url + _PATH

    def token(self, user: str, *roles: str) -> str:
        """Sign an access token for a user with these realm roles, of the size and form of Keycloak's."""
        now = int(time.time())
        claims = {
            "exp": now + LIFETIME,
            "iat": now,
            "jti": str(uuid4()),
            "iss": self.issuer,
            "aud": [CLIENT, "account"],
            "sub": str(uuid4()),
            "typ": "Bearer",
            "azp": CLIENT,
            "sid": str(uuid4()),
            "acr": "1",
            "realm_access": {"roles": [*roles, "offline_access", "uma_authorization", "default-roles-starpost"]},
            "resource_access": {"account": {"roles": ["manage-account", "manage-account-links", "view-profile"]}},
            "scope": "openid email profile",
            "preferred_username": user,
        }
        return jwt.encode(claims, self._key, algorithm="RS256", headers={"kid": self._kid})

    def _document(self, path: str) -> dict[str, Any] | None:
        if path == f"{_PATH}/.well-known/openid-configuration":
            return {"issuer": self.issuer}
        if path == f"{_PATH}/protocol/openid-connect/certs":
            return {"keys": [self._jwk()]}
        return None

    def _jwk(self) -> dict[str, Any]:
        public: dict[str, Any] = json.loads(RSAAlgorithm.to_jwk(self._key.public_key()))
        public.pop("key_ops", None)
        return public | {"kid": self._kid, "alg": "RS256", "use": "sig"}
