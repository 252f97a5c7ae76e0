"""Query strings without the tokens that existing clients put there."""

import re

MASK = "***"

_SECRET_PARAMETER = re.compile(
    r"(?P<name>(?:^|(?<=[&;?]))(?:authorization|access_token|id_token|id_token_hint|refresh_token|token|code|state|"
    r"session_state|password|client_secret)=)[^&]*",
    re.IGNORECASE,
)

# Each character is looked at once: a query of 60 kB of `%` must not hold up everybody.
_ENCODED_NAME = re.compile(r"(?:^|[&;?])[^=&;?%]*+%[^=&;?]*+=")


def redact_query(query: str) -> str:
    """The query string, or a URL with one, with the values of parameters that carry credentials replaced by ``***``.

    By the parameter's name: whatever a client puts there in place of a token is as secret as the token.
    """
    # A name may be percent-encoded (`%41uthorization`); such a query has no honest sender, so nothing of it is kept.
    if "%" in query and _ENCODED_NAME.search(query):
        return f"{query[: query.index('?') + 1]}{MASK}" if "?" in query else MASK
    # Most queries have none, and to find that out costs a third.
    return _SECRET_PARAMETER.sub(rf"\g<name>{MASK}", query) if _SECRET_PARAMETER.search(query) else query
