"""Starpost: real-time, authenticated, role-guarded services on Litestar."""

__version__ = "0.1.0"
