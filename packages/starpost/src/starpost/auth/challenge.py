"""Challenge of a 401: the header ``WWW-Authenticate`` (RFC 6750, section 3)."""

from starpost.errors import UnauthenticatedError


class MissingTokenError(UnauthenticatedError):
    """The request has no access token, and the route requires one."""

    default_msg = "An access token is required"


def www_authenticate(error: UnauthenticatedError) -> str:
    """Return the value of ``WWW-Authenticate`` for this refusal.

    A request without a token gets only the scheme. A request with a bad token also gets ``invalid_token``, which is
    RFC 6750's code for expired, revoked and malformed tokens alike.
    """
    if isinstance(error, MissingTokenError):
        return "Bearer"
    # Our messages are ASCII without quotes. Characters that the header cannot carry are dropped anyway (RFC 6750:
    # %x20-21, %x23-5B, %x5D-7E).
    description = "".join(c for c in error.msg if " " <= c <= "~" and c not in '"\\')
    return f'Bearer error="invalid_token", error_description="{description}"'
