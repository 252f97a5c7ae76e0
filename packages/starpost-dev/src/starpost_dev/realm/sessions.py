"""Sessions: one for a user's sign-in, and within it one for each client that requested tokens."""

from __future__ import annotations

import secrets
import time

import msgspec


class RefreshUse(msgspec.Struct):
    """Refresh token of a chain that was used last, and how often."""

    token_id: str
    count: int
    spent_at: int


class ClientSession(msgspec.Struct):
    """Client's part of a user's session; times are seconds since the epoch."""

    client_id: str
    started: int
    refresh_uses: dict[str, RefreshUse] = {}


class UserSession(msgspec.Struct):
    """User's session; times are seconds since the epoch. `signed_in` is set if a browser signed in."""

    id: str
    user_id: str
    started: int
    last_refresh: int
    signed_in: int | None = None
    ip_address: str = "127.0.0.1"
    clients: dict[str, ClientSession] = {}


class SessionStore:
    """Live sessions of the realm.

    Args:
        idle: seconds without a refresh after which a session ends.
        lifespan: seconds after which a session ends in any case.
        sessions: sessions that were live when the realm last stopped.
    """

    def __init__(self, idle: int, lifespan: int, sessions: list[UserSession] | None = None) -> None:
        self.idle = idle
        self.lifespan = lifespan
        self._sessions = {session.id: session for session in sessions or ()}
        self._next_sweep = 0

    def start(self, user_id: str, *, signed_in: int | None = None) -> UserSession:
        """Begin a session."""
        now = int(time.time())
        self._sweep(now)
        session = UserSession(secrets.token_urlsafe(18), user_id, now, now, signed_in)
        self._sessions[session.id] = session
        return session

    def join(self, session: UserSession, client_id: str) -> ClientSession:
        """Return the client's part of the session, and begin it if it is new."""
        return session.clients.setdefault(client_id, ClientSession(client_id, int(time.time())))

    def get(self, session_id: str | None) -> UserSession | None:
        """Return a live session; None if there is none with this id."""
        session = self._sessions.get(session_id or "")
        return session if session and self._is_live(session, int(time.time())) else None

    def of_user(self, user_id: str) -> list[UserSession]:
        """Return the live sessions of a user."""
        now = int(time.time())
        return [held for held in self._sessions.values() if held.user_id == user_id and self._is_live(held, now)]

    def end(self, session: UserSession) -> None:
        """End a session: the realm no longer accepts its tokens."""
        self._sessions.pop(session.id, None)

    def live(self) -> list[UserSession]:
        """Return every live session, for the state folder."""
        now = int(time.time())
        return [session for session in self._sessions.values() if self._is_live(session, now)]

    def _is_live(self, session: UserSession, now: int) -> bool:
        return now < session.started + self.lifespan and now < session.last_refresh + self.idle

    def _sweep(self, now: int) -> None:
        if now >= self._next_sweep:
            self._next_sweep = now + 60
            self._sessions = {session.id: session for session in self._sessions.values() if self._is_live(session, now)}
