"""Tables of the wire contract, made from the code that they describe."""

from collections.abc import Iterator
from typing import Any

from starpost.errors import AppError, RSPCode
from starpost.protocol.close_codes import CloseCode, Verdict
from starpost.protocol.codecs import CODECS
from starpost.settings import Settings


def subprotocols() -> list[dict[str, Any]]:
    """Return the codecs, the default first."""
    return [
        {
            "name": codec.name,
            "frames": "text" if codec.frame_type is str else "binary",
            "content_type": f"application/{codec.name}",
            "is_default": codec is CODECS[0],
        }
        for codec in CODECS
    ]


def ways_in(settings: Settings) -> list[dict[str, str]]:
    """Return the ways in which a client can present its token."""
    ways = [
        {"name": "header", "how": "Authorization: Bearer <access token>", "for": "programs"},
        {"name": "subprotocol", "how": "bearer.<access token>, offered beside json or msgpack", "for": "browsers"},
        {"name": "query", "how": "?Authorization=Bearer%20<access token>", "for": "existing clients"},
        {"name": "packet", "how": "AUTH as the first packet", "for": "everyone"},
    ]
    return [way for way in ways if way["name"] != "query" or settings.ws_query_token]


def status_codes() -> list[dict[str, Any]]:
    """Return every ``status_code`` with its error codes."""
    errors = sorted(_errors(AppError), key=lambda error: error.code)
    return [
        {
            "code": int(status),
            "name": status.name,
            "errors": [
                {"code": code, "retryable": is_retryable}
                for code, is_retryable in dict.fromkeys(
                    (error.code, error.is_retryable) for error in errors if error.status_code == status
                )
            ],
        }
        for status in RSPCode
    ]


def _errors(error: type[AppError]) -> Iterator[type[AppError]]:
    """Yield the framework's errors. Errors that a domain derives from them have the same codes."""
    for derived in error.__subclasses__():
        if derived.__module__ == AppError.__module__:
            yield derived
            yield from _errors(derived)


def close_codes() -> list[dict[str, Any]]:
    """Return every close code, and whether the client should reconnect."""
    return [
        {
            "code": int(code),
            "name": code.name,
            "reconnect": Verdict(code, "").should_reconnect,
            "new_token": code is CloseCode.UNAUTHENTICATED,
        }
        for code in CloseCode
    ]
