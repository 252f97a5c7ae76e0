"""Audiences of pushes: everybody, a user or a role. This worker joins those of its own sockets."""

from collections.abc import Iterable

import structlog

from starpost.auth.principal import Principal
from starpost.connections.hub import ConnectionHub, Member
from starpost.topics.broker import Broker
from starpost.topics.event import Frames

log = structlog.get_logger(__name__)


class Audiences:
    """Audiences of the users and roles that are connected here.

    Args:
        hub: The connections.
        broker: Broker of the worker.
        roles: Roles that the permission table declares; pushes to others do not exist.
    """

    def __init__(self, hub: ConnectionHub, broker: Broker, roles: Iterable[str]) -> None:
        self._hub = hub
        self._broker = broker
        self._roles = frozenset(roles)
        self._joined_roles: set[str] = set()
        self._joined_users: set[str] = set()
        hub.on_user_came = self.came
        hub.on_user_left = self.left

    def start(self) -> None:
        """Receive pushes to everybody."""
        self._broker.join_audience("all", "", self._to_all)

    def came(self, principal: Principal) -> None:
        """Join the audiences of a connection's user."""
        if principal.user_id not in self._joined_users:
            self._joined_users.add(principal.user_id)
            user_id = principal.user_id
            self._broker.join_audience("user", user_id, lambda frames: self._to_user(user_id, frames))
        # Roles are few, so a worker never leaves the audience of one.
        for role in principal.roles & self._roles - self._joined_roles:
            self._joined_roles.add(role)
            self._broker.join_audience("role", role, lambda frames, role=role: self._to_role(role, frames))  # type: ignore[misc]

    def left(self, user_id: str) -> None:
        """Leave the audience of a user whose last connection here has ended."""
        if user_id in self._joined_users:
            self._joined_users.discard(user_id)
            self._broker.leave_audience("user", user_id)

    def _to_all(self, frames: Frames) -> None:
        _push(frames, [found for found in self._hub.connections.values() if found.principal is not None])

    def _to_user(self, user_id: str, frames: Frames) -> None:
        _push(frames, self._hub.of_user(user_id))

    def _to_role(self, role: str, frames: Frames) -> None:
        everybody = self._hub.connections.values()
        _push(frames, [found for found in everybody if found.principal is not None and role in found.principal.roles])


def _push(frames: Frames, connections: Iterable[Member]) -> None:
    """Push to each connection, even if an earlier one fails."""
    for connection in connections:
        try:
            connection.push_frames(frames)
        except Exception:
            log.exception("push_not_delivered", connection_id=connection.id)
