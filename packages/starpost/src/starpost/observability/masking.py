"""Nothing secret leaves in a log line: values of telling names, and tokens wherever they stand."""

import re
from collections.abc import Mapping, MutableMapping
from functools import lru_cache
from typing import Any, Final

from starpost.settings import Secret

MASK: Final = "***"

_SECRET_NAME: Final = re.compile(
    r"token|passw|secret|authorization|cookie|credential|api_?key|private_?key|(^|_)jwt$|(^|_)dsn$", re.IGNORECASE
)
"""Names whose values are masked, whatever they are: ``access_token``, ``Set-Cookie``, ``db_password``."""

_HARMLESS_NAME: Final = re.compile(r"^(token_(type|cache_size|expired|warning|issuer)|tokens?_count|.*_expires_at)$")
"""Names that only look like the above."""

_TOKEN: Final = re.compile(
    # A JWT: its header is a JSON object, so it always starts with `eyJ`. The search begins where a word does that two
    # more follow, and goes through it once; from every `eyJ` in a long word it would go on to the word's end.
    r"(?<![\w-])(?=[\w-]++\.[\w-]++\.)[\w-]*?eyJ[\w-]{5,}+\.[\w-]++\.[\w-]*+"
    r"|(?i:(?<=bearer )|(?<=bearer%20)|(?<=bearer\+))[^\s\"',;&]+"  # whatever is handed over as a bearer token
    r"|(?<=://)[^/\s:@]*:[^/\s@]+(?=@)"  # user and password of a URL
)

_DEPTH: Final = 6
"""Levels of nested values that are looked at; below, the whole value is masked."""


def mask_text(text: str) -> str:
    """The text with tokens, and passwords of URLs, replaced."""
    # Most texts hold none of what the expression looks for, and this is six times faster.
    if "eyJ" in text or "://" in text or "bearer" in text.lower():
        return _TOKEN.sub(MASK, text)
    return text


@lru_cache(maxsize=1024)
def _is_secret(name: str) -> bool:
    return _SECRET_NAME.search(name) is not None and _HARMLESS_NAME.search(name) is None


def mask_secrets(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The structlog processor. It runs after everything that adds text, tracebacks included."""
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
    # Anything else is written with its repr, which may hold what it was made of.
    return mask_text(repr(value))
