"""Messages between the supervisor and its holders, over a Unix socket.

A holder sends one `Request`; the supervisor answers with one `Reply`. The connection itself is the hold: the kernel
closes it with the process, however that ends.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from starpost_dev.services.endpoints import Endpoints

# A new supervisor prints this when holders can connect.
READY = "ready"


@dataclass(frozen=True, slots=True)
class Request:
    """Request of a holder: names of services, and the kind of the identity server if it matters."""

    services: tuple[str, ...]
    identity: str | None = None

    def encode(self) -> bytes:
        """Encode the message as one line."""
        return json.dumps(asdict(self)).encode() + b"\n"

    @classmethod
    def decode(cls, line: bytes) -> Request:
        """Decode the result of `encode`.

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
    """Reply of the supervisor: the endpoints, or one sentence that says why the services do not run."""

    endpoints: Endpoints
    error: str | None = None

    def encode(self) -> bytes:
        """Encode the message as one line."""
        return json.dumps({"endpoints": self.endpoints.to_message(), "error": self.error}).encode() + b"\n"

    @classmethod
    def decode(cls, line: bytes) -> Reply:
        """Decode the result of `encode`."""
        message: dict[str, Any] = json.loads(line)
        return cls(Endpoints.from_message(message["endpoints"]), message["error"])
