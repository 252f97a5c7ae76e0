"""Who is it: access tokens of the realm, verified locally, for HTTP requests and for sockets."""

from starpost.auth.authenticator import Authenticator
from starpost.auth.challenge import MissingTokenError, www_authenticate
from starpost.auth.debug import DebugSignIn
from starpost.auth.keycloak import KeycloakClient
from starpost.auth.principal import Principal
from starpost.auth.realm import DevelopmentRealmError
from starpost.auth.revocation import MemoryRevocationList, RevocationList
from starpost.auth.verifier import RealmVerifier, TokenVerifier

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
