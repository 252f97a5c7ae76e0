"""The console: a page that signs in, sends packets and shows what comes back."""

from starpost.console.routes import console_routes

__all__ = ["console_routes"]
