"""Headers of every answer. They are constants, which the observer appends to the answer's own headers.

We use no library: ``secure`` sets the same constants through another wrapper around each answer.
"""

from typing import Final

from starpost.settings import Settings

_ALWAYS: Final = (
    # Browsers must not guess that an answer is a script or a page.
    (b"x-content-type-options", b"nosniff"),
    # Our URLs may contain a token (`WS_QUERY_TOKEN`), so browsers must not send them to others.
    (b"referrer-policy", b"no-referrer"),
)
_HTTPS_FOR_A_YEAR: Final = (b"strict-transport-security", b"max-age=31536000")
"""HSTS (RFC 6797). Without subdomains, which may belong to others."""


def security_headers(settings: Settings) -> tuple[tuple[bytes, bytes], ...]:
    """Return the headers. In production with HSTS, even if TLS ends at a proxy; browsers ignore it without TLS."""
    return (*_ALWAYS, _HTTPS_FOR_A_YEAR) if settings.is_production else _ALWAYS
