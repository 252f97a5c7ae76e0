"""Sign-ins that last: a user's session, and within it one session for each client that asked for tokens."""

from __future__ import annotations

import secrets
import time

import msgspec


class RefreshUse(msgspec.Struct):
    """The last refresh token of a chain that was spent, and how often."""

    token_id: str
    count: int
    spent_at: int


class ClientSession(msgspec.Struct):
    """A client's part of a user's session; times are seconds since the epoch."""

    client_id: str
    started: int
    refresh_uses: dict[str, RefreshUse] = {}


class UserSession(msgspec.Struct):
    """A user's session; times are seconds since the epoch. `signed_in` is set when a browser signed in."""

    id: str
    user_id: str
    started: int
    last_refresh: int
    signed_in: int | None = None
    ip_address: str = "127.0.0.1"
    clients: dict[str, ClientSession] = {}


class SessionStore:
    """The live sessions of the realm.

    Args:
        idle: seconds without a refresh after which a session is over.
        lifespan: seconds after which a session is over in any case.
        sessions: what was live when the realm last stopped.
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
        """The client's part of the session, begun if it is new."""
        return session.clients.setdefault(client_id, ClientSession(client_id, int(time.time())))

    def get(self, session_id: str | None) -> UserSession | None:
        """A live session; None when it is over or never was."""
        session = self._sessions.get(session_id or "")
        return session if session and self._is_live(session, int(time.time())) else None

    def of_user(self, user_id: str) -> list[UserSession]:
        """The live sessions of a user."""
        now = int(time.time())
        return [held for held in self._sessions.values() if held.user_id == user_id and self._is_live(held, now)]

    def end(self, session: UserSession) -> None:
        """End a session: its tokens are no longer good for the realm."""
        self._sessions.pop(session.id, None)

    def live(self) -> list[UserSession]:
        """Every live session, for the state folder."""
        now = int(time.time())
        return [session for session in self._sessions.values() if self._is_live(session, now)]

    def _is_live(self, session: UserSession, now: int) -> bool:
        return now < session.started + self.lifespan and now < session.last_refresh + self.idle

    def _sweep(self, now: int) -> None:
        if now >= self._next_sweep:
            self._next_sweep = now + 60
            self._sessions = {session.id: session for session in self._sessions.values() if self._is_live(session, now)}
