"""Masking of secrets in log lines: values by the field's name, tokens and passwords wherever they occur in text."""

import re
from collections.abc import Mapping, MutableMapping
from functools import lru_cache
from typing import Any, Final

from starpost.settings import Secret

MASK: Final = "***"

_SECRET_NAME: Final = re.compile(
    r"token|passw|secret|authorization|cookie|credential|api_?key|private_?key|(^|_)jwt$|(^|_)dsn$", re.IGNORECASE
)
"""Names whose values are always masked: ``access_token``, ``Set-Cookie``, ``db_password``."""

_HARMLESS_NAME: Final = re.compile(r"^(token_(type|cache_size|expired|warning|issuer)|tokens?_count|.*_expires_at)$")
"""Names that match ``_SECRET_NAME`` and hold no secret."""

_TOKEN: Final = re.compile(
    # A JWT: its header is a JSON object, so it always starts with `eyJ`. A match may begin only at the start of a word
    # that two more follow, so each word is scanned once; starting at each `eyJ` would scan a long word many times.
    r"(?<![\w-])(?=[\w-]++\.[\w-]++\.)[\w-]*?eyJ[\w-]{5,}+\.[\w-]++\.[\w-]*+"
    r"|(?i:(?<=bearer )|(?<=bearer%20)|(?<=bearer\+))[^\s\"',;&]+"  # a bearer token of any form
    r"|(?<=://)[^/\s:@]*:[^/\s@]+(?=@)"  # user and password of a URL
)

_DEPTH: Final = 6
"""Levels of nested values that are inspected. A value below them is masked as a whole."""


def mask_text(text: str) -> str:
    """Replace tokens, and user and password of URLs, by ``***``."""
    # Most texts contain none of these, and the test is six times faster than the expression.
    if "eyJ" in text or "://" in text or "bearer" in text.lower():
        return _TOKEN.sub(MASK, text)
    return text


@lru_cache(maxsize=1024)
def _is_secret(name: str) -> bool:
    return _SECRET_NAME.search(name) is not None and _HARMLESS_NAME.search(name) is None


def mask_secrets(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Mask an event (structlog processor). It runs after every processor that adds text, tracebacks included."""
    for name, value in event.items():
        event[name] = _masked(name, value, _DEPTH)
    return event


def _masked(name: str, value: Any, depth: int) -> Any:
    kind = type(value)
    if kind is int or kind is float or kind is bool or value is None:
        return value
    if kind is Secret or _is_secret(name):
        return MASK
    if isinstance(value, str):
        return mask_text(value)
    if depth == 0:
        return MASK
    if isinstance(value, Mapping):
        return {key: _masked(str(key), item, depth - 1) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_masked(name, item, depth - 1) for item in value]
    # Any other value is written as its repr, which may contain a secret.
    return mask_text(repr(value))
