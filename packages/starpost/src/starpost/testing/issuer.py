"""Token issuer for tests: real keys, real tokens, and the realm's documents over real HTTP."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import uuid4

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import get_default_algorithms

from starpost.auth.jwks import parse_jwks
from starpost.settings import Settings

CLIENT = "starpost"
REALM = "starpost"
REALM_PATH = f"/realms/{REALM}"

_CURVES = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}


class SigningKey:
    """Private key with its key id and its algorithm."""

    def __init__(self, algorithm: str = "RS256", *, kid: str | None = None, bits: int = 2048) -> None:
        self.algorithm = algorithm
        self.kid = kid or uuid4().hex
        self.private: Any
        if algorithm in _CURVES:
            self.private = ec.generate_private_key(_CURVES[algorithm])
        elif algorithm == "EdDSA":
            self.private = ed25519.Ed25519PrivateKey.generate()
        else:
            self.private = rsa.generate_private_key(public_exponent=65537, key_size=bits)

    def jwk(self, **members: Any) -> dict[str, Any]:
        """Return the public key in the form in which Keycloak publishes it."""
        public: dict[str, Any] = json.loads(get_default_algorithms()[self.algorithm].to_jwk(self.private.public_key()))
        # PyJWT writes `key_ops`; Keycloak does not.
        public.pop("key_ops", None)
        return public | {"kid": self.kid, "alg": self.algorithm, "use": "sig"} | members

    def sign(self, claims: Any, **header: Any) -> str:
        """Sign a token with these claims. Members of ``header`` replace the usual ones, ``None`` removes one."""
        headers = {"kid": self.kid, "typ": "JWT"} | header
        headers = {name: value for name, value in headers.items() if value is not None}
        payload = claims if isinstance(claims, bytes) else json.dumps(claims).encode()
        return jwt.PyJWS().encode(payload, self.private, algorithm=self.algorithm, headers=headers)


# Made once: generating an RSA key takes a quarter of a second.
RSA_KEY = SigningKey("RS256", kid="rsa-1")
OTHER_RSA_KEY = SigningKey("RS256", kid="rsa-2")
EC_KEY = SigningKey("ES256", kid="ec-1")


def claims(issuer: str, **members: Any) -> dict[str, Any]:
    """Return the claims of a Keycloak access token. ``members`` replace the usual ones, ``None`` removes one."""
    now = int(time.time())
    usual = {
        "exp": now + 300,
        "iat": now,
        "jti": str(uuid4()),
        "iss": issuer,
        "aud": CLIENT,
        "sub": "5f0a11ce-0000-4000-8000-000000000001",
        "typ": "Bearer",
        "azp": CLIENT,
        "sid": "f0c3",
        "realm_access": {"roles": ["author-reader", "offline_access"]},
        "resource_access": {CLIENT: {"roles": ["admin"]}, "other-app": {"roles": ["author-editor"]}},
        "scope": "openid profile",
        "preferred_username": "alice",
    }
    return {name: value for name, value in (usual | members).items() if value is not None}


class Issuer:
    """Server of a realm's discovery document and JWK set, on a free port. Counts the fetches of the keys."""

    def __init__(self) -> None:
        self.keys = [RSA_KEY.jwk(), EC_KEY.jwk()]
        self.jwks_fetches = 0
        self.metadata: dict[str, Any] = {}
        self.status = 200
        self.released = threading.Event()
        self.released.set()
        self.arrived = threading.Event()
        self._server: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None
        self.port = 0
        self.start()

    @property
    def base_url(self) -> str:
        """Base URL of the server."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """Value of ``iss`` in its tokens."""
        return self.base_url + REALM_PATH

    def settings(self, **changes: str) -> Settings:
        """Return settings with this server as Keycloak; ``changes`` replace the usual ones."""
        usual = {"KEYCLOAK_BASE_URL": self.base_url, "KEYCLOAK_JWKS_COOLDOWN": "60", "KEYCLOAK_TIMEOUT": "5"}
        return Settings.from_strings(usual | changes)

    def token(self, key: SigningKey = RSA_KEY, **members: Any) -> str:
        """Sign a token that is valid, except for the claims in ``members``."""
        return key.sign(claims(self.url, **members))

    def start(self) -> None:
        """Serve, on the same port as before ``stop``."""
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                if self.path == f"{REALM_PATH}/.well-known/openid-configuration":
                    document: dict[str, Any] = {"issuer": issuer.url} | issuer.metadata
                elif self.path == f"{REALM_PATH}/protocol/openid-connect/certs":
                    issuer.jwks_fetches += 1
                    document = {"keys": issuer.keys}
                    issuer.arrived.set()
                    issuer.released.wait(100)
                else:
                    self.send_error(404)
                    return
                body = json.dumps(document).encode()
                self.send_response(issuer.status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Connection", "close")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def stop(self) -> None:
        """Stop the server: connections are refused until ``start``."""
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()
            self._server = None


def known_keys(*keys: SigningKey) -> dict[str, jwt.PyJWK]:
    """Return the keys in the form in which the application has them."""
    return parse_jwks(json.dumps({"keys": [key.jwk() for key in keys]}).encode())
