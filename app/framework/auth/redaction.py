"""Query strings without the tokens that existing clients put there."""

import re

MASK = "***"

_SECRET_PARAMETER = re.compile(
    r"(?P<name>(?:^|(?<=[&;?]))(?:authorization|access_token|id_token|id_token_hint|refresh_token|token|code|state|"
    r"session_state|password|client_secret)=)[^&]*",
    re.IGNORECASE,
)


def redact_query(query: str) -> str:
    """The query string, or a URL with one, with the values of parameters that carry credentials replaced by ``***``.

    By the parameter's name: whatever a client puts there in place of a token is as secret as the token.
    """
    # A name may be percent-encoded (`%41uthorization`); such a query has no honest sender, so nothing of it is kept.
    if re.search(r"(?:^|[&;?])[^=&;?]*%[^=&;?]*=", query):
        return f"{query[: query.index('?') + 1]}{MASK}" if "?" in query else MASK
    return _SECRET_PARAMETER.sub(rf"\g<name>{MASK}", query)
