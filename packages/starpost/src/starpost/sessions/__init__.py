"""Connections of all workers, and the end of sessions: registry, revocations, back-channel logout, ``/connections``.

A connection enters the registry when its client has signed in, and leaves it when it ends. A revocation is stored in
Redis, sent to every worker, and closes the sockets whose token it refuses::

    registry = RedisConnectionRegistry(redis, node="here", worker="1", limit=20, lease=30)
    revocations = Revocations(memory, RevocationStore(redis), broker, hub, security, max_lifetime=36_000, leeway=2)
    await revocations.end_user("alice")
"""

from starpost.sessions.backchannel import backchannel_logout_route
from starpost.sessions.registry import ConnectionEntry, RedisConnectionRegistry
from starpost.sessions.revocation_store import RevocationStore
from starpost.sessions.revocations import Revocations
from starpost.sessions.routes import connection_routes

__all__ = [
    "ConnectionEntry",
    "RedisConnectionRegistry",
    "RevocationStore",
    "Revocations",
    "backchannel_logout_route",
    "connection_routes",
]
