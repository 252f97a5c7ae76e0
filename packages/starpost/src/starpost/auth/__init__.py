"""Authentication: access tokens of the realm, verified locally, for HTTP requests and for sockets.

A verifier turns a token into a ``Principal``, or raises ``UnauthenticatedError``::

    from starpost.auth import RealmVerifier

    verifier = RealmVerifier(settings)
    await verifier.start()                       # fetches the realm's keys
    principal = await verifier.verify(token)     # no call to Keycloak while the key is known
    principal.username, principal.roles

An anonymous caller is ``None``, never a principal without roles. Roles say nothing here: ``rbac`` decides about them.
``KeycloakClient`` signs users in and administers them; no request with a token waits for it.
"""

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
