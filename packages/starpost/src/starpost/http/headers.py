"""Headers of every answer, whoever makes it. Made once: the observer appends them to what an answer has of its own.

No library: ``secure`` sets the same constants through a wrapper of its own around each answer.
"""

from typing import Final

from starpost.settings import Settings

_ALWAYS: Final = (
    # What a browser takes for a script or a page is what we say it is.
    (b"x-content-type-options", b"nosniff"),
    # Addresses of ours, which may hold a token (`WS_QUERY_TOKEN`), are told to nobody.
    (b"referrer-policy", b"no-referrer"),
)
_HTTPS_FOR_A_YEAR: Final = (b"strict-transport-security", b"max-age=31536000")
"""RFC 6797. Not for the names below ours: these may be somebody else's."""


def security_headers(settings: Settings) -> tuple[tuple[bytes, bytes], ...]:
    """The headers. In production also HSTS, also where TLS ends at a proxy; browsers ignore it without TLS."""
    return (*_ALWAYS, _HTTPS_FOR_A_YEAR) if settings.is_production else _ALWAYS
