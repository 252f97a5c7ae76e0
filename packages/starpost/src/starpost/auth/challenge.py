"""What a 401 tells the client to bring (RFC 6750, section 3)."""

from starpost.errors import UnauthenticatedError


class MissingTokenError(UnauthenticatedError):
    """The request brought no access token, and the route wants one."""

    default_msg = "An access token is needed"


def www_authenticate(error: UnauthenticatedError) -> str:
    """The value of ``WWW-Authenticate`` for this refusal.

    A request without a token learns only the scheme; one with a bad token also learns that it is ``invalid_token``,
    the code that RFC 6750 gives to expired, revoked and malformed tokens alike.
    """
    if isinstance(error, MissingTokenError):
        return "Bearer"
    # Our messages are ASCII without quotes; what a header cannot carry is dropped all the same (RFC 6750: %x20-21,
    # %x23-5B, %x5D-7E).
    description = "".join(c for c in error.msg if " " <= c <= "~" and c not in '"\\')
    return f'Bearer error="invalid_token", error_description="{description}"'
