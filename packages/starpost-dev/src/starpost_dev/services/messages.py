"""The lines that the supervisor and those who hold it exchange over its Unix socket.

A holder sends one `Request`; the supervisor answers with one `Reply` and then nothing. The connection itself is the
hold: the kernel ends it with the process, however that ends.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from starpost_dev.services.endpoints import Endpoints

# What a new supervisor prints when holders can connect.
READY = "ready"


@dataclass(frozen=True, slots=True)
class Request:
    """The services that a holder needs, by name; the identity server's kind if it must be that one."""

    services: tuple[str, ...]
    identity: str | None = None

    def encode(self) -> bytes:
        """The message as one line."""
        return json.dumps(asdict(self)).encode() + b"\n"

    @classmethod
    def decode(cls, line: bytes) -> Request:
        """The inverse of `encode`.

        Raises:
            ValueError: The line is not a request.
        """
        message = json.loads(line)
        names = message.get("services") if isinstance(message, dict) else None
        identity = message.get("identity") if isinstance(message, dict) else None
        if (
            not isinstance(names, list)
            or not all(isinstance(name, str) for name in names)
            or not isinstance(identity, str | None)
        ):
            raise ValueError("not a request for services")
        return cls(tuple(names), identity)


@dataclass(frozen=True, slots=True)
class Reply:
    """Where the services answer; or why they do not run, in one sentence."""

    endpoints: Endpoints
    error: str | None = None

    def encode(self) -> bytes:
        """The message as one line."""
        return json.dumps({"endpoints": self.endpoints.to_message(), "error": self.error}).encode() + b"\n"

    @classmethod
    def decode(cls, line: bytes) -> Reply:
        """The inverse of `encode`."""
        message: dict[str, Any] = json.loads(line)
        return cls(Endpoints.from_message(message["endpoints"]), message["error"])
