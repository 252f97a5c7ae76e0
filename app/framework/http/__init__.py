"""The edge of the application: what every request and every handshake passes before it is routed."""

from app.framework.http.middleware import Middleware, stack, wrap

__all__ = ["Middleware", "stack", "wrap"]
