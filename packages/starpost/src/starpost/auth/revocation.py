"""Which verified tokens are refused before they expire.

The verifier asks on every request, cache hits included, so the answer comes from memory. What fills the memory (a
back-channel logout, an administrator, another worker's word) is not its concern.
"""

import time
from collections.abc import Callable, Iterator
from typing import Final, Literal, Protocol

from msgspec import Struct

from starpost.auth.principal import Principal

FORGET_INTERVAL: Final = 60.0
"""Seconds between two looks for entries that are no longer needed: a burst of logouts must not look each time."""


class Revocation(Struct, frozen=True, array_like=True):
    """Tokens that are refused from now on. Times are seconds since the epoch."""

    kind: Literal["session", "user", "username"]
    """Of one session of Keycloak (``sid``), of a user (``sub``), or of a user by name (``preferred_username``)."""

    name: str

    issued_before: float
    """Only those issued up to then, by ``iat``. A session's are refused whenever they were issued: it has ended."""

    until: float
    """When all of them have expired, and the entry may be forgotten."""


class RevocationList(Protocol):
    """What the verifier asks."""

    @property
    def is_known(self) -> bool:
        """Whether the list has been read; until then no token can be judged."""
        ...

    def is_revoked(self, principal: Principal) -> bool:
        """Whether this principal's token is refused although it has not expired. Called per request: no I/O."""
        ...


class MemoryRevocationList:
    """The revocations that this worker knows.

    An entry is only needed while a token that it refuses could still be valid; ``until`` says how long that is, and
    older entries go when a new one comes.

    Args:
        clock: Seconds since the epoch.
        is_known: ``False`` where the list has first to be read from somewhere; set it then.
    """

    def __init__(self, clock: Callable[[], float] = time.time, *, is_known: bool = True) -> None:
        self.is_known = is_known
        self._clock = clock
        self._sessions: dict[str, float] = {}
        self._users: dict[str, tuple[float, float]] = {}
        self._usernames: dict[str, tuple[float, float]] = {}
        self._forget_at = 0.0

    def add(self, revocation: Revocation) -> Revocation:
        """Refuse these tokens from now on; twice does no harm, and a later revocation never shortens an earlier one.

        ``iat`` counts whole seconds: a token issued in the very second of ``issued_before`` is refused as well.

        Returns:
            All that is revoked under this kind and name, the earlier ones included.
        """
        self._forget()
        kind, issued_before, until = revocation.kind, revocation.issued_before, revocation.until
        if kind == "session":
            name = revocation.name
            until = self._sessions[name] = max(until, self._sessions.get(name, until))
        else:
            # The case of a user's name does not matter, as to Keycloak.
            name, entries = (
                (revocation.name, self._users) if kind == "user" else (revocation.name.lower(), self._usernames)
            )
            before, kept_until = entries.get(name, (issued_before, until))
            issued_before, until = entries[name] = (max(before, issued_before), max(kept_until, until))
        return Revocation(kind, name, issued_before, until)

    def is_revoked(self, principal: Principal) -> bool:
        """Whether the session or the user was revoked after the token was issued."""
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
        """Everything that is still needed."""
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
