"""Revocations: verified tokens that are refused before they expire.

The verifier asks on every request, cache hits included, so the answer comes from memory. ``sessions.revocations`` fills
the memory, on a back-channel logout, by order of an administrator, or as another worker reports.
"""

import time
from collections.abc import Callable, Iterator
from typing import Final, Literal, Protocol

from msgspec import Struct

from starpost.auth.principal import Principal

FORGET_INTERVAL: Final = 60.0
"""Seconds between two removals of expired entries, so that a burst of logouts does not scan the list each time."""


class Revocation(Struct, frozen=True, array_like=True):
    """Revocation of a set of tokens. Times are seconds since the epoch."""

    kind: Literal["session", "user", "username"]
    """Claim that selects the tokens: ``sid``, ``sub`` or ``preferred_username``."""

    name: str

    issued_before: float
    """Latest ``iat`` of a refused token. Ignored for a session, which has ended: all its tokens are refused."""

    until: float
    """Time at which all these tokens have expired, and the entry may be dropped."""


class RevocationList(Protocol):
    """Revocations, as the verifier sees them."""

    @property
    def is_known(self) -> bool:
        """True once the list has been read. Before that, no token can be accepted."""
        ...

    def is_revoked(self, principal: Principal) -> bool:
        """Return whether this principal's token has been revoked. Called for every request, so it does no I/O."""
        ...


class MemoryRevocationList:
    """Revocations that this worker knows.

    An entry is needed only while a token that it refuses could still be valid, which is until ``until``. Adding an
    entry drops expired ones.

    Args:
        clock: Seconds since the epoch.
        is_known: ``False`` if the list must be read first; set it to ``True`` afterwards.
    """

    def __init__(self, clock: Callable[[], float] = time.time, *, is_known: bool = True) -> None:
        self.is_known = is_known
        self._clock = clock
        self._sessions: dict[str, float] = {}
        self._users: dict[str, tuple[float, float]] = {}
        self._usernames: dict[str, tuple[float, float]] = {}
        self._forget_at = 0.0

    def add(self, revocation: Revocation) -> Revocation:
        """Refuse these tokens from now on. Adding again does no harm, and never shortens an earlier revocation.

        ``iat`` is in whole seconds: a token issued in the second of ``issued_before`` is refused as well.

        Returns:
            The revocation in force for this kind and name, merged with earlier ones.
        """
        self._forget()
        kind, issued_before, until = revocation.kind, revocation.issued_before, revocation.until
        if kind == "session":
            name = revocation.name
            until = self._sessions[name] = max(until, self._sessions.get(name, until))
        else:
            # Keycloak ignores the case of user names, and so do we.
            name, entries = (
                (revocation.name, self._users) if kind == "user" else (revocation.name.lower(), self._usernames)
            )
            before, kept_until = entries.get(name, (issued_before, until))
            issued_before, until = entries[name] = (max(before, issued_before), max(kept_until, until))
        return Revocation(kind, name, issued_before, until)

    def is_revoked(self, principal: Principal) -> bool:
        """Return whether the session or the user was revoked after the token was issued."""
        if principal.session_id in self._sessions:
            return True
        revoked = self._users.get(principal.user_id)
        if revoked is not None and principal.issued_at <= revoked[0]:
            return True
        if not self._usernames:
            return False
        revoked = self._usernames.get(principal.username.lower())
        return revoked is not None and principal.issued_at <= revoked[0]

    def known(self) -> Iterator[Revocation]:
        """Yield the revocations that have not expired."""
        now = self._clock()
        for session_id, until in self._sessions.items():
            if until > now:
                yield Revocation("session", session_id, 0.0, until)
        for user_id, (issued_before, until) in self._users.items():
            if until > now:
                yield Revocation("user", user_id, issued_before, until)
        for username, (issued_before, until) in self._usernames.items():
            if until > now:
                yield Revocation("username", username, issued_before, until)

    def _forget(self) -> None:
        now = self._clock()
        if now < self._forget_at:
            return
        self._forget_at = now + FORGET_INTERVAL
        self._sessions = {sid: until for sid, until in self._sessions.items() if until > now}
        self._users = {user: entry for user, entry in self._users.items() if entry[1] > now}
        self._usernames = {user: entry for user, entry in self._usernames.items() if entry[1] > now}
