"""Who is it: access tokens of the realm, verified locally, for HTTP requests and for sockets."""

from app.framework.auth.authenticator import Authenticator
from app.framework.auth.challenge import MissingTokenError, www_authenticate
from app.framework.auth.debug import DebugSignIn
from app.framework.auth.keycloak import KeycloakClient
from app.framework.auth.principal import Principal
from app.framework.auth.realm import DevelopmentRealmError
from app.framework.auth.revocation import MemoryRevocationList, RevocationList
from app.framework.auth.verifier import RealmVerifier, TokenVerifier

__all__ = [
    "Authenticator",
    "DebugSignIn",
    "DevelopmentRealmError",
    "KeycloakClient",
    "MemoryRevocationList",
    "MissingTokenError",
    "Principal",
    "RealmVerifier",
    "RevocationList",
    "TokenVerifier",
    "www_authenticate",
]
