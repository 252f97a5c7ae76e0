"""Refusals of the realm.

Keycloak has three shapes of refusals: OAuth 2.0 errors at the protocol endpoints (RFC 6749, section 5.2), challenges at
endpoints that require a bearer token (RFC 6750, section 3), and ``{"error": …}`` or ``{"errorMessage": …}`` in the
administration API.
"""

from __future__ import annotations


class RealmError(Exception):
    """Refusal of a request.

    Attributes:
        status: the HTTP status.
        body: the JSON object of the answer; None means no body.
        headers: further headers of the answer.
    """

    def __init__(self, status: int, body: dict[str, str] | None = None, headers: dict[str, str] | None = None) -> None:
        super().__init__(f"{status} {body}")
        self.status = status
        self.body = body
        self.headers = headers or {}


class OAuthError(RealmError):
    """An OAuth 2.0 error answer (RFC 6749, section 5.2)."""

    def __init__(self, error: str, description: str, status: int = 400) -> None:
        super().__init__(status, {"error": error, "error_description": description})
        self.error = error
        self.description = description


class BearerError(RealmError):
    """Refusal of a bearer token, in ``WWW-Authenticate`` (RFC 6750, section 3)."""

    def __init__(self, realm: str, error: str | None = None, description: str | None = None, status: int = 401) -> None:
        challenge = f'Bearer realm="{realm}"'
        if error is not None:
            challenge += f', error="{error}", error_description="{description}"'
        super().__init__(status, None, {"WWW-Authenticate": challenge})


class AdminError(RealmError):
    """A refusal of the administration API."""

    def __init__(self, status: int, message: str, *, member: str = "error") -> None:
        super().__init__(status, {member: message})
